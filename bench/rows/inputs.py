"""Inputs that combine repos: how long until the first datum of very many runs."""

from __future__ import annotations

import json
import time
from typing import Any

from measure import Bench, Line, Row
from rows.samples import BULK_PUT, bulk, finished, make_repo
from rows.unchanged import LOOK_S
from trunkline.client.connection import Client
from trunkline.testing.serving import PachdProcess
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps

PATIENCE_S = 240


def cross(bench: Bench) -> None:
    """1,000 files crossed with 1,000: a million datums."""
    count = bench.sized(1000)
    source: dict[str, Any] = {"cross": [{"pfs": {"repo": name, "glob": "/*"}} for name in ("left", "right")]}
    for _ in range(bench.runs):
        combined(bench, source, count, count * count)


def join(bench: Bench) -> None:
    """100,000 files joined with 100,000 by their names."""
    count = bench.sized(100_000)
    inputs = [{"pfs": {"repo": name, "glob": "/(*)", "join_on": "$1"}} for name in ("left", "right")]
    for _ in range(bench.runs):
        combined(bench, {"join": inputs}, count, count)


def combined(bench: Bench, source: dict[str, Any], count: int, datums: int) -> None:
    """Two repos of `count` files, a pipeline over them; up to the first datum, and until all are planned."""
    mark = bench.scratch("marks") / "first"
    with bench.serving("--workers", "2", "--expose", str(mark.parent)) as (server, client):
        for name in ("left", "right"):
            repo = make_repo(client, name)
            client.upload(BULK_PUT, bulk(repo, count, name.encode(), flat=True))
            finished(client, repo)
        command = f"[ -e {mark} ] || touch {mark}; sleep 1"
        spec = {"pipeline": {"name": "both"}, "transform": {"cmd": ["sh"], "stdin": [command]}, "input": source}
        start = time.perf_counter()
        server.pachctl("create", "pipeline", "-f", "-", stdin=json.dumps(spec).encode())
        while not mark.exists():
            server.pause(LOOK_S)
            if time.perf_counter() - start > PATIENCE_S:
                raise RuntimeError(f"no datum ran within {PATIENCE_S} s: {job_of(client).state}")
        bench.note("create pipeline to the first datum", time.perf_counter() - start)
        total = job_of(client).data_total
        if total != datums:
            raise RuntimeError(f"{total} datums were planned, not {datums}")
        stop(server, client)


def job_of(client: Client) -> pps.JobInfo:
    """The newest job."""
    pipeline = pps.Pipeline(project=pfs.Project(name="default"), name="both")
    job: pps.JobInfo = next(iter(client.pps.ListJob(pps.ListJobRequest(pipeline=pipeline, details=True))))
    return job


def stop(server: PachdProcess, client: Client) -> None:
    """End the job: nobody waits for a million datums."""
    server.pachctl("stop", "job", f"both@{job_of(client).job.id}")


ROWS = (
    Row(
        "cross",
        "pps",
        cross,
        (Line("cross of 1,000 × 1,000", "create pipeline to the first datum"),),
        runs=1,
    ),
    Row(
        "join",
        "pps",
        join,
        (Line("join of 100,000 with 100,000", "create pipeline to the first datum"),),
        runs=1,
    ),
)
