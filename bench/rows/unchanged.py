"""A hundred thousand datums: the first time, again with nothing changed, with one changed, with one more."""

from __future__ import annotations

import json
import shutil
import time

from measure import Bench, Line, Row, shell
from rows.samples import BULK_PUT, bulk, finished, make_repo, named_repo, put, spec
from trunkline.client.connection import Client
from trunkline.testing.calls import on
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps

LOOK_S = 0.005
FEW = 100
"""Stages that `dvc repro` is given: it takes a second for ten of them to find out that there is nothing to do."""
STAGES = """
stages:
  copy:
    foreach: ${names}
    do: {cmd: "cp in/${item} out/${item}", deps: ["in/${item}"], outs: ["out/${item}"]}
"""
MAKEFILE = """
OUT := $(patsubst in/%,out/%,$(wildcard in/*))
all: $(OUT)
$(OUT): out/%: in/%
\t@cp $< $@
"""


BESIDE = ("make -j2, 1 added to 10,000", f"dvc repro, 1 added to {FEW}")


def hundred_thousand(bench: Bench) -> None:
    """Process 100,000 files, a datum and a shell with `cp` each; then make small changes."""
    count = bench.sized(100_000)
    mark = bench.scratch("marks") / "first"
    with bench.serving("--workers", "2", "--expose", str(mark.parent)) as (server, client):
        repo = make_repo(client, "many")
        made = spec("copy", "many", f"[ -e {mark} ] || touch {mark}; cp /pfs/many/* /pfs/out/")
        server.pachctl("create", "pipeline", "-f", "-", stdin=json.dumps(made).encode())
        client.pfs.StartCommit(pfs.StartCommitRequest(branch=on(repo).branch))
        client.upload(BULK_PUT, bulk(repo, count, b"small file\n", flat=True))
        start = time.perf_counter()
        client.pfs.FinishCommit(pfs.FinishCommitRequest(commit=on(repo)))
        while not mark.exists():
            server.pause(LOOK_S)
        bench.note("commit to the first datum", time.perf_counter() - start)
        finished(client, named_repo("copy"))
        bench.note("commit to finished output", time.perf_counter() - start)
        must_have(client, count)
        for run in range(bench.runs):
            change(bench, client, repo, "nothing changed", b"", count)
            change(bench, client, repo, "1 changed", b"%d" % run, count, "/f000000")
            change(bench, client, repo, "1 added", b"%d" % run, count, f"/g{run}")
    beside_make(bench, count)
    beside_dvc(bench)


def change(bench: Bench, client: Client, repo: pfs.Repo, name: str, data: bytes, count: int, path: str = "") -> None:
    """One more commit, and the time to the output that follows from it."""
    start = time.perf_counter()
    if path:
        put(client, repo, path, data)
    else:
        commit = client.pfs.StartCommit(pfs.StartCommitRequest(branch=on(repo).branch))
        client.pfs.FinishCommit(pfs.FinishCommitRequest(commit=commit))
    finished(client, named_repo("copy"))
    bench.note(name, time.perf_counter() - start)
    job = newest(client)
    if job.data_processed != (1 if path else 0) or job.data_skipped < count - 1:
        raise RuntimeError(f"{name}: {job.data_processed} datums processed, {job.data_skipped} skipped")


def newest(client: Client) -> pps.JobInfo:
    """The newest job."""
    pipeline = pps.Pipeline(project=pfs.Project(name="default"), name="copy")
    jobs = client.pps.ListJob(pps.ListJobRequest(pipeline=pipeline, number=1, details=True))
    job: pps.JobInfo = next(iter(jobs))
    return job


def must_have(client: Client, count: int) -> None:
    """Raise RuntimeError unless the newest job processed them all."""
    job = newest(client)
    if job.data_processed != count:
        raise RuntimeError(f"{job.data_processed} of {count} datums processed: {job.reason}")


def beside_make(bench: Bench, count: int) -> None:
    """`make`, with a tenth as many targets that are up to date, and one new file: with all of them it takes minutes.
    The targets are made by one `cp`."""
    work = bench.scratch("make")
    (work / "in").mkdir()
    for index in range(max(1, count // 10)):
        (work / f"in/f{index:06}").write_bytes(b"%d small file\n" % index)
    (work / "Makefile").write_text(MAKEFILE)
    shell("cp -r in out", work)
    (work / "in/g").write_text("one more")
    bench.beside("make -j2, 1 added to 10,000", "make", "make -s -j2 all", work)
    shutil.rmtree(work)


def beside_dvc(bench: Bench) -> None:
    """`dvc repro`, with a stage for each of a few files, of which one is new."""
    if not bench.peers.has("dvc"):
        bench.absent[f"dvc repro, 1 added to {FEW}"] = "not on this machine"
        return
    work = bench.scratch("dvc")
    for folder in ("in", "out"):
        (work / folder).mkdir()
    for index in range(FEW + 1):
        (work / f"in/f{index:06}").write_bytes(b"%d small file\n" % index)
    (work / "dvc.yaml").write_text(STAGES)
    for count in (FEW, FEW + 1):
        (work / f"{count}.yaml").write_text(json.dumps({"names": [f"f{index:06}" for index in range(count)]}))
    ready = (
        f"git init -q . && dvc init -q && cp {FEW}.yaml params.yaml && dvc repro -q && cp {FEW + 1}.yaml params.yaml"
    )
    bench.beside(f"dvc repro, 1 added to {FEW}", "dvc", "dvc repro -q", work, ready)
    shutil.rmtree(work)


ROWS = (
    Row(
        "datums-100k",
        "pps",
        hundred_thousand,
        (
            Line("100,000 datums: the first runs", "commit to the first datum", goal=2.0),
            Line("100,000 datums of cp", "commit to finished output"),
            Line("100,000 datums, nothing changed", "nothing changed"),
            Line("100,000 datums, 1 changed", "1 changed"),
            Line("one file added to 100,000 datums", "1 added", BESIDE, goal=1.0),
        ),
        runs=3,
    ),
)
