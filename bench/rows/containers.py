"""Code in containers of this machine's engine, beside the same code as processes, and beside `docker run`."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
from typing import Any

from measure import Bench, Line, Row
from rows.datums import files, must_process, with_files
from trunkline.worker.containers.engine import socket_url
from trunkline.worker.shim.program import program

IMAGE = "localhost/trunkline-bench:1"
ABSENT = "no container engine on this machine (DOCKER_HOST)"


def thousand_contained(bench: Bench) -> None:
    """Run `cp` once for each of 1,000 files, in containers and as processes of the same server, its workers warm."""
    url = socket_url(os.environ)
    if not url:
        bench.absent["in containers"] = ABSENT
        return
    make_image(url)
    count = bench.sized(1000)
    work = files(bench, count)
    with bench.server("--workers", "2", "--containers", url) as server:
        for kind, runner in (("in containers", "container"), ("as processes", "process")):
            for run in range(-1, bench.runs):  # the first one warms containers and workers
                repo, name = f"{runner}{run + 1}", f"copy-{runner}{run + 1}"
                with_files(server, repo, spec_of(name, repo, runner), work / "in")
                if run < 0:
                    server.pachctl("finish", "commit", f"{repo}@master")
                    server.pachctl("wait", "commit", f"{name}@master")
                    continue
                with bench.timed(kind):
                    server.pachctl("finish", "commit", f"{repo}@master")
                    server.pachctl("wait", "commit", f"{name}@master")
                must_process(server, name, count)
    shutil.rmtree(work)


def first_datum(bench: Bench) -> None:
    """From `create pipeline` to the output of its first datum, in a container that is not there yet."""
    url = socket_url(os.environ)
    if not url:
        bench.absent["create pipeline to output"] = ABSENT
        return
    make_image(url)
    program()  # which a checkout compiles once, and a wheel brings
    docker = shutil.which("docker")
    if docker is None:
        bench.absent["docker run"] = "not on this machine"
    work = files(bench, 1)
    for _ in range(bench.runs):
        with bench.server("--workers", "1", "--containers", url) as server:
            server.pachctl("create", "repo", "in")
            server.pachctl("put", "file", "-r", "in@master:/", "-f", str(work / "in"))
            text = json.dumps(spec_of("first", "in", "container")).encode()
            with bench.timed("create pipeline to output"):
                server.pachctl("create", "pipeline", "-f", "-", stdin=text)
                server.pachctl("wait", "commit", "first@master")
            must_process(server, "first", 1)
        if docker is not None:
            with bench.timed("docker run"):
                command = [docker, "run", "--rm", IMAGE, "cp", "/bin/cp", "/copy"]
                subprocess.run(command, env=os.environ | {"DOCKER_HOST": url}, check=True, capture_output=True)
    shutil.rmtree(work)


def spec_of(name: str, repo: str, runner: str) -> dict[str, Any]:
    """A pipeline that copies each file."""
    return {
        "pipeline": {"name": name},
        "transform": {"image": IMAGE, "cmd": ["cp", "-rL", f"/pfs/{repo}/.", "/pfs/out/"]},
        "input": {"pfs": {"repo": repo, "glob": "/*"}},
        "trunkline": {"runner": runner},
    }


def make_image(url: str) -> None:
    """An image of nothing but `cp` and what it is linked to."""
    import docker

    copies = shutil.which("cp") or "/bin/cp"
    told = subprocess.run(["ldd", copies], check=True, capture_output=True, text=True).stdout
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for path in sorted({word for word in told.split() if word.startswith("/")}):
            archive.add(os.path.realpath(path), path.lstrip("/"), recursive=False)
        archive.add(os.path.realpath(copies), "bin/cp", recursive=False)
    repository, _, tag = IMAGE.rpartition(":")
    api = docker.APIClient(base_url=url, version="auto")
    api.import_image_from_data(whole.getvalue(), repository=repository, tag=tag)


ROWS = (
    Row(
        "containers",
        "pps",
        thousand_contained,
        (Line("1,000 datums of cp in containers, warm", "in containers", ("as processes",), factor=1.3),),
        runs=3,
    ),
    Row(
        "first-container",
        "pps",
        first_datum,
        (Line("from create pipeline to the first datum's output", "create pipeline to output", ("docker run",)),),
        runs=3,
    ),
)
