"""Many pipelines: one after another, and idle."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from measure import Bench, Line, Row
from rows.samples import finished, make_repo, named_repo, put, spec
from trunkline.testing.serving import PachdProcess

IDLE_S = 10.0


def make_pipelines(server: PachdProcess, sources: list[str]) -> None:
    """Pipelines p0, p1, ...; each copies what the repo of its place in `sources` holds."""
    specs = [spec(f"p{index}", source, f"cp /pfs/{source}/* /pfs/out/") for index, source in enumerate(sources)]
    server.pachctl("create", "pipeline", "-f", "-", stdin=json.dumps(specs).encode())


def chain(bench: Bench) -> None:
    """50 pipelines, each reading the one before: from a commit at the top to the last output."""
    count = bench.sized(50, least=2)
    with bench.serving("--workers", "2") as (server, client):
        top = make_repo(client, "top")
        with bench.timed("create pipeline, each of them"):
            make_pipelines(server, ["top", *(f"p{index}" for index in range(count - 1))])
        values = bench.figures["create pipeline, each of them"].values
        values[:] = [value / count for value in values]
        for run in range(bench.runs + 1):
            start = time.perf_counter()
            put(client, top, "/file", b"%d" % run)
            finished(client, named_repo(f"p{count - 1}"))
            if run:  # the first also starts the workers
                bench.note("commit to the last output", time.perf_counter() - start)


def idle(bench: Bench) -> None:
    """200 pipelines that have nothing to do."""
    count = bench.sized(200)
    with bench.serving("--workers", "2") as (server, client):
        make_repo(client, "top")
        bench.note("memory without them", resident(server), "B")
        make_pipelines(server, ["top"] * count)
        for index in range(count):
            finished(client, named_repo(f"p{index}"))  # the job of the empty input
        for _ in range(bench.runs):
            before, start = cpu_s(server), time.perf_counter()
            server.pause(IDLE_S)
            bench.note("cores used", (cpu_s(server) - before) / (time.perf_counter() - start), "cores")
            bench.note("memory with them", resident(server), "B")
        bench.note_memory(server)
        server.stop()
        with bench.timed("pachd to serving, with them"):
            server.start(fresh=False)


def cpu_s(server: PachdProcess) -> float:
    """CPU seconds that the server and all that it started have used."""
    ticks = 0
    for pid in server.family():
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident(server: PachdProcess) -> int:
    """Bytes of memory that the server holds now."""
    pages = int(Path(f"/proc/{server.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


ROWS = (
    Row(
        "chain",
        "pps",
        chain,
        (Line("a chain of 50 pipelines", "commit to the last output", ("create pipeline, each of them",)),),
        runs=2,
    ),
    Row(
        "idle",
        "pps",
        idle,
        (
            Line("200 idle pipelines: CPU", "cores used"),
            Line("200 idle pipelines: memory", "memory with them", ("memory without them",)),
            Line("200 idle pipelines: start", "pachd to serving, with them", goal=1.0),
        ),
        runs=1,
    ),
)
