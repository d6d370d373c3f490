"""Trees of a thousand to a million files: what each thing done with them costs. The curves are drawn from these."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any

from measure import Bench, Line, Row
from rows.samples import BULK_PUT, bulk, finished, make_repo, put, small_files
from trunkline.client.connection import Client
from trunkline.client.reading.listing import list_files
from trunkline.testing.calls import on
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own

BODY = b"x" * 100
PAGE = 1000
SIZES = {"tree-1k": 1000, "tree-10k": 10_000, "tree-100k": 100_000, "tree-1m": 1_000_000}
PEERS_FILES = 10_000
DVC_LIST = f"dvc list, of {PEERS_FILES:,}"
CURVES = (
    "put",
    "finish",
    "walk, first 1,000",
    "glob, first 1,000",
    "one directory",
    "diff of 1 change",
    "one more commit",
    "squash",
    "collect",
)


def tree(bench: Bench, full: int) -> None:
    """Put that many files of 100 bytes in one commit, look at them, change one, squash, delete, collect."""
    count = bench.sized(full)
    for _ in range(bench.runs):
        with bench.serving() as (server, client):
            repo = make_repo(client, "tree")
            messages = list(bulk(repo, count, BODY))
            start = time.perf_counter()
            client.upload(BULK_PUT, iter(messages))
            bench.note("put", time.perf_counter() - start)
            first = finished(client, repo)
            bench.note("finish", time.perf_counter() - start - bench.figures["put"].values[-1])
            messages.clear()
            put(client, repo, "/d0000/f000000.txt", b"changed")
            finished(client, repo)
            look(bench, client, repo, count)
            for number in range(5):
                start = time.perf_counter()
                put(client, repo, f"/d0000/new{number}.txt", b"new")
                finished(client, repo)
                bench.note("one more commit", time.perf_counter() - start)
            bench.note("memory, files in", server.peak_bytes()[server.pid], "B")
            with bench.timed("squash"):
                client.pfs.SquashCommit(pfs.SquashCommitRequest(commit=first.commit))
                finished(client, repo)
            client.pfs.DeleteRepo(pfs.DeleteRepoRequest(repo=repo, force=True))
            with bench.timed("collect"):
                client.space.RunCollection(own.RunCollectionRequest())
    if full == SIZES["tree-1m"]:
        beside_lists(bench)


def look(bench: Bench, client: Client, repo: pfs.Repo, count: int) -> None:
    """Read the head in the ways in which people do. Each is done once before it is measured."""
    stub, head = client.pfs, on(repo)
    parent = pfs.Commit(branch=head.branch, id=list(stub.ListCommit(pfs.ListCommitRequest(repo=repo)))[1].commit.id)

    def file(path: str, commit: pfs.Commit = head) -> pfs.File:
        return pfs.File(commit=commit, path=path)

    asked = {
        "walk, first 1,000": lambda: stub.WalkFile(pfs.WalkFileRequest(file=file("/"))),
        "glob, first 1,000": lambda: stub.GlobFile(pfs.GlobFileRequest(commit=head, pattern="/**/*9.txt")),
        "list /": lambda: stub.ListFile(pfs.ListFileRequest(file=file("/"))),
        "one directory": lambda: list_files(client, pfs.ListFileRequest(file=file("/d0000"))),
        "ListFile": lambda: stub.ListFile(pfs.ListFileRequest(file=file("/d0000"))),
        "diff of 1 change": lambda: stub.DiffFile(pfs.DiffFileRequest(new_file=file("/"), old_file=file("/", parent))),
    }
    for name, ask in asked.items():
        for again in range(3):
            start = time.perf_counter()
            found = sum(1 for _ in some(ask()))
            if again:
                bench.note(name, time.perf_counter() - start)
            if not found or (name in ("one directory", "ListFile") and found != min(count, PAGE)):
                raise RuntimeError(f"{name}: {found} entries")


def beside_lists(bench: Bench) -> None:
    """`dvc list` of one directory in a tree of fewer files: taking a million in would take it an hour."""
    work = bench.scratch("lists")
    (work / "tree").mkdir()
    small_files(work / "tree", bench.sized(PEERS_FILES), seed=1)
    ready = "git init -q . && dvc init -q && dvc add -q tree"
    bench.beside(DVC_LIST, "dvc", "dvc list . tree/d0000 > /dev/null", work, ready)
    shutil.rmtree(work)


def some(answers: Iterable[Any]) -> Iterator[Any]:
    """The first thousand; then the call is ended."""
    yield from islice(answers, PAGE)
    cancel = getattr(answers, "cancel", None)
    if cancel is not None:
        cancel()


def lines(count: int) -> tuple[Line, ...]:
    """What is shown of a tree of so many files; goals are those for a million."""
    goal = 0.2 if count == SIZES["tree-1m"] else 0.0
    peers = (DVC_LIST,) if goal else ()
    named = f"{count:,} files"
    return (
        Line(f"{named}: put", "put", ("finish",)),
        Line(f"{named}: list", "walk, first 1,000", ("list /",), goal=goal),
        Line(f"{named}: glob", "glob, first 1,000", goal=goal),
        Line(f"{named}: diff", "diff of 1 change", goal=goal),
        Line(f"{named}: one directory", "one directory", ("ListFile", *peers), goal=goal / 10),
        Line(f"{named}: one more commit", "one more commit"),
        Line(f"{named}: squash, collect", "squash", ("collect",)),
        Line(f"{named}: memory of pachd", "memory, files in", goal=700 * 2**20 if goal else 0.0),
    )


ROWS = tuple(
    Row(name, "pfs", partial(tree, full=count), lines(count), runs=1 if count > 10_000 else 3)
    for name, count in SIZES.items()
)
