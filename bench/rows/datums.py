"""Datums: a thousand of `cp` beside other ways to run it, batches, one that writes much, one that reads much."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measure import Bench, Line, Row, shell
from rows.samples import MIB, finished, named_repo, random_file
from trunkline.testing.calls import on
from trunkline.testing.serving import PachdProcess, documents
from trunkline.wire.gen import pfs_v2_pb2 as pfs

SNAKEFILE = """
rule all:
    input: expand("out/{name}", name=glob_wildcards("in/{name}").name)
rule copy:
    input: "in/{name}"
    output: "out/{name}"
    shell: "cp {input} {output}"
"""
LUIGI = """
import os, subprocess, luigi
class Copy(luigi.Task):
    name = luigi.Parameter()
    def output(self):
        return luigi.LocalTarget(f"out/{self.name}")
    def run(self):
        subprocess.run(["cp", f"in/{self.name}", self.output().path], check=True)
class All(luigi.WrapperTask):
    def requires(self):
        return [Copy(name=name) for name in os.listdir("in")]
assert luigi.build([All()], workers=2, local_scheduler=True, log_level="ERROR")
"""
REDUN = """
import os
from redun import File, script, task
redun_namespace = "bench"
@task()
def copy(name: str, source: File) -> File:
    return script(f"cp in/{name} out/{name}", outputs=File(f"out/{name}"))
@task()
def all_files() -> list[File]:
    return [copy(name, File(f"in/{name}")) for name in sorted(os.listdir("in"))]
"""
BATCH = """
from pachyderm_sdk import batch_all_datums
@batch_all_datums
def main():
    with open("/pfs/{repo}/" + __import__("os").listdir("/pfs/{repo}")[0]) as source:
        text = source.read()
    with open("/pfs/out/" + text.split()[1], "w") as out:
        out.write(text)
main()
"""
SOCKET = """
import os, socket
here = socket.socket(socket.AF_UNIX)
here.connect(os.environ["PPS_WORKER_SOCKET"])
while True:
    here.sendall(bytes(1))
    block = b""
    while not block.endswith(bytes(2)):
        block += here.recv(65536)
    path = dict(line.split("=", 1) for line in block[:-2].decode().split(chr(0)))["{repo}"]
    with open(path, "rb") as source:
        data = source.read()
    with open("/pfs/out/" + os.path.basename(path), "wb") as out:
        out.write(data)
"""
SDK = "datums a second"
SOCKETS = ("datums a second, of 1,000", "datums a second, of 10,000")
FEW = 10
"""Peers that need more than a second for ten of these are given one in so many, and their names say so."""


def thousand_datums(bench: Bench) -> None:
    """Run `cp` once for each of 1,000 files, from the commit's end to the job's, beside `xargs -P2` and others."""
    count = bench.sized(1000)
    work = files(bench, count)
    with bench.serving("--workers", "2") as (server, client):
        for run in range(bench.runs):
            repo, name = f"in{run}", f"copy{run}"
            spec = {
                "pipeline": {"name": name},
                "transform": {"cmd": ["cp", "-rL", f"/pfs/{repo}/.", "/pfs/out/"]},
                "input": {"pfs": {"repo": repo, "glob": "/*"}},
            }
            with_files(server, repo, spec, work / "in")
            with bench.timed("finish commit to finished output"):
                client.pfs.FinishCommit(pfs.FinishCommitRequest(commit=on(named_repo(repo))))
                finished(client, named_repo(name))
            must_process(server, name, count)
            with bench.timed("xargs -P2 cp"):
                shell("mkdir out && ls in | xargs -P2 -I{} cp in/{} out/ && sync -f out", work)
            shell("rm -r out", work)
    bench.beside("parallel -j2 cp", "parallel", "ls in | parallel -j2 cp in/{} out/ && sync -f out", work, "mkdir out")
    bench.beside("luigi", "luigi", "python flow.py && sync -f out", work, fresh("flow.py", LUIGI))
    few = f"mkdir all && mv in/* all/ && cp all/*{FEW - 1} in/ && "
    bench.beside(
        "snakemake, 100 of them", "snakemake", "snakemake --cores 2 --quiet all && sync -f out", work,
        few + fresh("Snakefile", SNAKEFILE),
    )  # fmt: skip
    bench.beside(
        "redun, 100 of them", "redun", "redun run flow.py all_files && sync -f out", work, fresh("flow.py", REDUN)
    )
    shutil.rmtree(work)


def fresh(name: str, text: str) -> str:
    """The command that writes a peer's file and empties its output."""
    return f"rm -rf out && mkdir out && cat > {name} <<'END'\n{text}END\n"


def files(bench: Bench, count: int) -> Path:
    """A folder with `count` small files in its folder `in`."""
    work = bench.scratch("datums")
    (work / "in").mkdir()
    for index in range(count):
        (work / "in" / f"f{index:06}").write_text(f"file {index}\n")
    return work


def with_files(server: PachdProcess, repo: str, spec: dict[str, Any], folder: Path) -> None:
    """Make the repo and the pipeline, and put the folder into a commit that stays open."""
    server.pachctl("create", "repo", repo)
    server.pachctl("create", "pipeline", "-f", "-", stdin=json.dumps(spec).encode())
    server.pachctl("start", "commit", f"{repo}@master")
    server.pachctl("put", "file", "-r", f"{repo}@master:/", "-f", str(folder))


def must_process(server: PachdProcess, pipeline: str, count: int) -> None:
    """Raise RuntimeError unless the newest job processed so many datums."""
    job = next(documents(server.pachctl("list", "job", "-p", pipeline, "--raw")))
    if int(job.get("data_processed", 0)) != count:
        said = f"{job['state']}, {job.get('data_processed', 0)} of {count} datums processed"
        raise RuntimeError(f"{pipeline} ended as {said}: {job.get('reason', '')}")


def batches(bench: Bench) -> None:
    """The same 1,000 files, taken one after another by one process a worker, through the public SDK."""
    if not bench.peers.has("module:pachyderm_sdk"):
        bench.absent[SDK] = "pachyderm-sdk is not on this machine"
        return
    in_batches(bench, bench.sized(1000), SDK, [str(bench.peers.folder / "bin/python"), "-c", BATCH])


def batches_at_socket(bench: Bench) -> None:
    """Files that code asks for at the worker's socket, in plain Python: 1,000, and 10,000."""
    for count, figure in zip((1000, 10_000), SOCKETS, strict=True):
        in_batches(bench, bench.sized(count), figure, [sys.executable, "-ISc", SOCKET])


def in_batches(bench: Bench, count: int, figure: str, command: Sequence[str]) -> None:
    """Note how many datums a second a batching pipeline does, from the commit's end to the job's.

    {repo} in the command is its input.
    """
    work = files(bench, count)
    with bench.serving("--workers", "2", "--expose", str(bench.peers.folder)) as (server, client):
        for run in range(bench.runs):
            repo, name = f"in{run}", f"batch{run}"
            spec = {
                "pipeline": {"name": name},
                "transform": {"cmd": [word.replace("{repo}", repo) for word in command], "datum_batching": True},
                "input": {"pfs": {"repo": repo, "glob": "/*"}},
            }
            with_files(server, repo, spec, work / "in")
            start = time.perf_counter()
            client.pfs.FinishCommit(pfs.FinishCommitRequest(commit=on(named_repo(repo))))
            finished(client, named_repo(name))
            bench.note(figure, count / (time.perf_counter() - start), "/s")
            must_process(server, name, count)
    shutil.rmtree(work)


def one_datum(bench: Bench) -> None:
    """One datum that writes 10,000 files; one that reads 2 GiB."""
    work, size_bytes, count = bench.scratch("one"), bench.sized(2048 * MIB), bench.sized(10_000)
    bench.must_hold(3 * size_bytes)
    (work / "in").mkdir()
    write = f"cd /pfs/out && seq {count} | split -l 1 -a 5 -d - f"
    with bench.server("--workers", "2") as server:
        for run in range(bench.runs):
            random_file(work / "in/random.bin", size_bytes)
            for repo, name, command in (
                ("few", "write", write),
                ("big", "read", "cat /pfs/*/random.bin | wc -c > /pfs/out/n"),
            ):
                if repo == "few":
                    (work / "few").mkdir(exist_ok=True)
                    (work / "few/one").write_text(str(run))
                spec = {
                    "pipeline": {"name": f"{name}{run}"},
                    "transform": {"cmd": ["bash"], "stdin": [command]},
                    "input": {"pfs": {"repo": f"{repo}{run}", "glob": "/"}},
                }
                with_files(server, f"{repo}{run}", spec, work / ("few" if repo == "few" else "in"))
                with bench.timed(f"datum, {name}"):
                    server.pachctl("finish", "commit", f"{repo}{run}@master")
                    server.pachctl("wait", "commit", f"{name}{run}@master")
                must_process(server, f"{name}{run}", 1)
                server.pachctl("delete", "pipeline", f"{name}{run}")
            with bench.timed("split"):
                shell(f"mkdir out && cd out && seq {count} | split -l 1 -a 5 -d - f && sync -f .", work)
            with bench.timed("cat"):
                shell("cat in/random.bin | wc -c > n", work)
            shell("rm -r out n", work)
    shutil.rmtree(work)


ROWS = (
    Row(
        "datums",
        "pps",
        thousand_datums,
        (
            Line(
                "1,000 datums of cp",
                "finish commit to finished output",
                ("xargs -P2 cp", "parallel -j2 cp", "luigi", "snakemake, 100 of them", "redun, 100 of them"),
                factor=1.5,
                plus_s=0.5,
            ),
        ),
    ),
    Row(
        "batches",
        "pps",
        batches,
        (Line("1,000 datums in batches, by pachyderm-sdk", SDK, goal=700.0),),
        runs=3,
    ),
    Row(
        "batches-socket",
        "pps",
        batches_at_socket,
        (
            Line("1,000 datums in batches, at the worker's socket", SOCKETS[0], goal=2000.0),
            Line("10,000 datums in batches, at the worker's socket", SOCKETS[1], goal=2000.0),
        ),
        runs=3,
    ),
    Row(
        "one-datum",
        "pps",
        one_datum,
        (
            Line("one datum writes 10,000 files", "datum, write", ("split",)),
            Line("one datum reads 2 GiB", "datum, read", ("cat",)),
        ),
        runs=2,
    ),
)
