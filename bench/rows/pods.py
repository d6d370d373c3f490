"""Code in pods of a Kubernetes cluster, beside the same code as processes, and beside a pod that nobody manages."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import engines
from measure import Bench, Line, Row
from rows.datums import files, must_process, with_files
from trunkline.fleet.kubernetes.access import find_access
from trunkline.fleet.kubernetes.api import KINDS, PODS, HttpCluster
from trunkline.fleet.kubernetes.names import OWNER
from trunkline.testing.serving import PachdProcess

IMAGE = "localhost/tools:1"
WORKER_IMAGE = "localhost/trunkline:test"
WORKERS = 2
PATIENCE_S = 120
NEEDED = {"KUBECONFIG": "a Kubernetes cluster", "TRUNKLINE_PODS_HOST": "an address of this machine that pods reach"}
FREE: dict[str, Any] = {"resource_requests": {}, "sidecar_resource_requests": {}}


def absent() -> str:
    """Why no pods can be run here; "": they can. The cluster must have the images of tests/engines/archives.py."""
    missing = [f"{what} ({name})" for name, what in NEEDED.items() if not os.environ.get(name)]
    return f"not here: {', '.join(missing)}" if missing else ""


@contextmanager
def server_of_pods(bench: Bench) -> Iterator[PachdProcess]:
    """A fresh server whose workers are pods; bytes lie on an S3 server that they reach too. Nothing is left behind."""
    host = os.environ["TRUNKLINE_PODS_HOST"]
    with engines.object_store(bench.scratch("weed"), host):
        flags = ("--insecure", "--fleet", "kubernetes", "--worker-image", WORKER_IMAGE, "--listen", f"{host}:0")
        flags += ("--kubeconfig", os.environ["KUBECONFIG"], "--storage", "s3://pods/bench")
        with bench.server(*flags) as server:
            yield server
            server.pachctl("delete", "pipeline", "--all", "--force")
            cluster = HttpCluster(find_access({}, os.environ["KUBECONFIG"]))
            must(lambda: not any(cluster.list(kind, OWNER).items for kind in KINDS), "what was deleted to go")


def thousand_in_pods(bench: Bench) -> None:
    """Run `cp` once for each of 1,000 files, in pods and as processes, their workers warm."""
    if why := absent():
        bench.absent["in pods"] = why
        return
    count = bench.sized(1000)
    work = files(bench, count)
    with server_of_pods(bench) as server:
        run_all(bench, server, "in pods", work / "in", count)
    with bench.server("--workers", f"{WORKERS}", "--containers", "off") as server:
        run_all(bench, server, "as processes", work / "in", count)
    shutil.rmtree(work)


def run_all(bench: Bench, server: PachdProcess, kind: str, folder: Path, count: int) -> None:
    """One pipeline, whose workers stay from one job to the next, each with all files changed; the first warms them."""
    for run in range(-1, bench.runs):
        for path in folder.iterdir():
            path.write_text(f"{run} {path.name}")
        if run < 0:
            with_files(server, "in", spec_of("copy", "in"), folder)
            server.pachctl("finish", "commit", "in@master")
            server.pachctl("wait", "commit", "copy@master")
            continue
        server.pachctl("start", "commit", "in@master")
        server.pachctl("put", "file", "-r", "in@master:/", "-f", str(folder))
        with bench.timed(kind):
            server.pachctl("finish", "commit", "in@master")
            server.pachctl("wait", "commit", "copy@master")
        must_process(server, "copy", count)


def first_pod(bench: Bench) -> None:
    """From `create pipeline` to the output of its first datum, beside a pod of the same image that runs `cp` once."""
    if why := absent():
        bench.absent["create pipeline to output"] = why
        return
    cluster = HttpCluster(find_access({}, os.environ["KUBECONFIG"]))
    work = files(bench, 1)
    for run in range(bench.runs):
        with server_of_pods(bench) as server:
            server.pachctl("create", "repo", "in")
            server.pachctl("put", "file", "-r", "in@master:/", "-f", str(work / "in"))
            text = json.dumps(spec_of("first", "in")).encode()
            with bench.timed("create pipeline to output"):
                server.pachctl("create", "pipeline", "-f", "-", stdin=text)
                server.pachctl("wait", "commit", "first@master")
            must_process(server, "first", 1)
        with bench.timed("a bare pod, to its end"):
            bare_pod(cluster, f"trunkline-bench-{os.getpid()}-{run}")
    shutil.rmtree(work)


def bare_pod(cluster: HttpCluster, name: str) -> None:
    """What `kubectl run --restart=Never` makes, until it has succeeded; it is deleted then."""
    container: dict[str, Any] = {"name": "one", "image": IMAGE, "imagePullPolicy": "IfNotPresent"}
    container |= {"command": ["cp", "/bin/cp", "/copy"]}
    spec = {"restartPolicy": "Never", "containers": [container]}
    made = cluster.create(PODS, {"metadata": {"name": name, "labels": {"bench": name}}, "spec": spec})
    try:
        must(lambda: phase(cluster, name) == "Succeeded", f"pod {name} to succeed")
    finally:
        cluster.delete(PODS, name, made["metadata"]["uid"])


def phase(cluster: HttpCluster, name: str) -> str:
    """How far a pod has come."""
    (pod,) = cluster.list(PODS, f"bench={name}").items
    return str(pod.get("status", {}).get("phase"))


def must(true: Any, what: str) -> None:
    """Wait for something. Raises RuntimeError."""
    end = time.perf_counter() + PATIENCE_S
    while not true():
        if time.perf_counter() > end:
            raise RuntimeError(f"waited {PATIENCE_S} s for {what}")
        time.sleep(0.05)


def spec_of(name: str, repo: str) -> dict[str, Any]:
    """A pipeline that copies each file."""
    return {
        "pipeline": {"name": name},
        "transform": {"image": IMAGE, "cmd": ["cp", "-rL", f"/pfs/{repo}/.", "/pfs/out/"]},
        "input": {"pfs": {"repo": repo, "glob": "/*"}},
        "parallelism_spec": {"constant": WORKERS},
        **FREE,
    }


ROWS = (
    Row(
        "pods",
        "pps",
        thousand_in_pods,
        (Line("1,000 datums of cp in pods, warm", "in pods", ("as processes",), factor=1.3),),
        runs=3,
    ),
    Row(
        "first-pod",
        "pps",
        first_pod,
        (
            Line(
                "from create pipeline to the first datum's output",
                "create pipeline to output",
                ("a bare pod, to its end",),
            ),
        ),
        runs=3,
    ),
)
