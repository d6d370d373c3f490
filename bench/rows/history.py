"""Whether a commit costs the same when many came before it, and what many branches do to each other."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from measure import Bench, Line, Row
from rows.samples import BULK_PUT, bulk, finished, make_repo, put
from trunkline.client.connection import Client
from trunkline.testing.calls import on
from trunkline.wire.gen import pfs_v2_pb2 as pfs

WINDOW = 20
"""A commit's time is the median of so many around it: a single one depends on what else is written just then."""
BRANCHES = 64


def commit_times(client: Client, repo: pfs.Repo, count: int) -> list[float]:
    """Seconds of each of `count` commits of one small file, from the first byte sent to FINISHED."""
    times = []
    for index in range(count):
        start = time.perf_counter()
        put(client, repo, f"/n{index:06}", b"%d" % index)
        finished(client, repo)
        times.append(time.perf_counter() - start)
    return times


def commits(bench: Bench, full: int) -> None:
    """Commits of one file each, into an empty repo."""
    count = bench.sized(full, least=2 * WINDOW)
    with bench.serving() as (server, client):
        repo = make_repo(client, "history")
        times = commit_times(client, repo, count)
        bench.note("the 10th", statistics.median(times[1 : WINDOW + 1]))
        bench.note("the last", statistics.median(times[-WINDOW:]))
        after(bench, client, repo)
        bench.note_memory(server)
        server.stop()
        with bench.timed("pachd to serving, after them"):
            server.start(fresh=False)


def after(bench: Bench, client: Client, repo: pfs.Repo) -> None:
    """What looking at a long history costs."""
    with bench.timed("list all commits"):
        total = sum(1 for _ in client.pfs.ListCommit(pfs.ListCommitRequest(repo=repo)))
    if not total:
        raise RuntimeError("there are no commits")
    with bench.timed("list the last 10"):
        list(client.pfs.ListCommit(pfs.ListCommitRequest(repo=repo, number=10)))


def wide(bench: Bench) -> None:
    """Commits of one file each, onto many files."""
    count = bench.sized(1000, least=2 * WINDOW)
    with bench.serving() as (server, client):
        repo = make_repo(client, "wide")
        client.upload(BULK_PUT, bulk(repo, bench.sized(100_000), b"x" * 100))
        finished(client, repo)
        times = commit_times(client, repo, count)
        bench.note("the 10th", statistics.median(times[1 : WINDOW + 1]))
        bench.note("the last", statistics.median(times[-WINDOW:]))
        after(bench, client, repo)
        with bench.timed("list 1,000 of the files"):
            list(client.pfs.ListFile(pfs.ListFileRequest(file=pfs.File(commit=on(repo), path="/d0000"))))
        bench.note_memory(server)
        server.stop()
        with bench.timed("pachd to serving, after them"):
            server.start(fresh=False)


def branches(bench: Bench) -> None:
    """Commits on 64 branches of one repo at once, beside as many on one branch."""
    each = bench.sized(5)
    with bench.serving() as (_, client):
        repo = make_repo(client, "branches")

        def write(branch: int) -> None:
            for index in range(each):
                put(client, repo, f"/n{index}", b"%d %d" % (branch, index), f"b{branch}")
            finished(client, repo, f"b{branch}")

        for _ in range(bench.runs):
            start = time.perf_counter()
            with ThreadPoolExecutor(BRANCHES) as threads:
                list(threads.map(write, range(BRANCHES)))
            bench.note("64 branches at once", BRANCHES * each / (time.perf_counter() - start), "/s")
            start = time.perf_counter()
            for index in range(each * 8):
                put(client, repo, f"/n{index}", b"%d" % index)
            finished(client, repo)
            bench.note("one branch", 8 * each / (time.perf_counter() - start), "/s")


def growth(title: str) -> tuple[Line, ...]:
    """The lines of a row of many commits."""
    return (
        Line(f"{title}, the last", "the last", ("the 10th",), factor=1.2),
        Line(f"{title}, then list commit", "list all commits", ("list the last 10",)),
        Line(f"{title}, then start", "pachd to serving, after them", goal=1.0),
    )


ROWS = (
    Row("commits-1k", "pfs", lambda bench: commits(bench, 1000), growth("1,000 commits of one file each"), runs=1),
    Row("history-100k", "pfs", wide, growth("1,000 commits on 100,000 files"), runs=1),
    Row("branches", "pfs", branches, (Line("commits a second", "64 branches at once", ("one branch",)),), runs=2),
    Row("commits-10k", "pfs", lambda bench: commits(bench, 10_000), growth("10,000 commits of one file each"), runs=1),
)
