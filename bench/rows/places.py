"""The same work where rows lie on PostgreSQL, and bytes on an S3 server, beside a file and a disk; several servers."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import engines
from measure import Bench, Line, Row
from rows.samples import BULK_PUT, MIB, bulk, finished, make_repo, named_repo, put, random_file
from trunkline.client.connection import Client, connect
from trunkline.client.reading.listing import list_files
from trunkline.testing.calls import on
from trunkline.testing.serving import PachdProcess
from trunkline.wire.gen import pfs_v2_pb2 as pfs

HERE, POSTGRES, S3 = "SQLite and disk", "PostgreSQL and disk", "SQLite and S3"
FACTOR = 3.0
FILES = 20_000
BIG_MIB = 128
COMMITS = 40
LOOKS = 7
SERVERS = 4
CALLS, PUTS = 400, 60


def places(bench: Bench) -> None:
    """Commits, a tree and a big file, on servers that differ in where they keep rows and bytes, turn about."""
    work = bench.scratch("places")
    random_file(work / "big", bench.sized(BIG_MIB) * MIB)
    for run in range(bench.runs):
        for kind, flags in ((HERE, no_flags), (POSTGRES, on_postgres), (S3, on_s3)):
            try:
                with flags(bench, f"places-{run}") as more:
                    work_at(bench, kind, more, work)
            except engines.Missing as missing:
                bench.absent |= {f"{what}, {kind}": str(missing) for what in WORKS}
    shutil.rmtree(work)


@contextmanager
def no_flags(bench: Bench, name: str) -> Iterator[tuple[str, ...]]:
    """A server as it is without any."""
    yield ()


@contextmanager
def on_postgres(bench: Bench, name: str) -> Iterator[tuple[str, ...]]:
    """Flags of a server whose rows lie on a PostgreSQL."""
    with engines.postgres() as server, engines.database(server, name) as url:
        yield "--database", url


@contextmanager
def on_s3(bench: Bench, name: str) -> Iterator[tuple[str, ...]]:
    """Flags of a server whose bytes lie on an S3 server."""
    with engines.object_store(bench.scratch("weed")):
        yield "--storage", f"s3://bench/{name}"


def work_at(bench: Bench, kind: str, flags: tuple[str, ...], work: Path) -> None:
    """All that is measured, on one fresh server."""
    with bench.serving("--workers", "0", *flags) as (server, client), memory() as back:
        repo = make_repo(client, "small")
        times = []
        for index in range(bench.sized(COMMITS, least=10)):
            start = time.perf_counter()
            put(client, repo, f"/f{index}", b"%d" % index)
            finished(client, repo)
            times.append(time.perf_counter() - start)
        bench.note(f"a commit, {kind}", statistics.median(times[5:]))
        times = []
        for _ in range(50):
            start = time.perf_counter()
            client.pfs.InspectRepo(pfs.InspectRepoRequest(repo=repo))
            times.append(time.perf_counter() - start)
        bench.note(f"inspect repo, {kind}", statistics.median(times))
        tree = make_repo(client, "tree")
        with bench.timed(f"put the tree, {kind}"):
            client.upload(BULK_PUT, bulk(tree, bench.sized(FILES), b"x" * 1000))
            finished(client, tree)
        with bench.timed(f"get the tree, {kind}"):
            server.pachctl("get", "file", "-r", "tree@master:/", "-o", str(back / "tree"))
        look(bench, kind, client, tree)
        with bench.timed(f"put the tree again, {kind}"):
            client.upload(BULK_PUT, bulk(tree, bench.sized(FILES), b"x" * 1000))
            finished(client, tree)
        server.pachctl("create", "repo", "big")
        with bench.timed(f"put the big file, {kind}"):
            server.pachctl("put", "file", "big@master:/big", "-f", str(work / "big"))
            server.pachctl("wait", "commit", "big@master")
        with bench.timed(f"get the big file, {kind}"):
            server.pachctl("get", "file", "big@master:/big", "-o", str(back / "big"))


def look(bench: Bench, kind: str, client: Client, repo: pfs.Repo) -> None:
    """Read a tree's names in the ways in which people do, after one file of it has changed."""
    put(client, repo, "/d0000/f000000.txt", b"changed")
    finished(client, repo)
    stub, head = client.pfs, on(repo)
    before = list(stub.ListCommit(pfs.ListCommitRequest(repo=repo)))[1].commit
    folder, top, old = (pfs.File(commit=at, path=path) for at, path in ((head, "/d0000"), (head, "/"), (before, "/")))
    ways: dict[str, Callable[[], Iterable[object]]] = {
        "list a folder": lambda: list_files(client, pfs.ListFileRequest(file=folder)),
        "glob": lambda: stub.GlobFile(pfs.GlobFileRequest(commit=head, pattern="/*/*9.txt")),
        "diff": lambda: stub.DiffFile(pfs.DiffFileRequest(new_file=top, old_file=old)),
    }
    for what, ask in ways.items():
        times = []
        for _ in range(LOOKS):
            start = time.perf_counter()
            found = sum(1 for _ in ask())
            times.append(time.perf_counter() - start)
            if not found:
                raise RuntimeError(f"{what}: nothing is found")
        bench.note(f"{what}, {kind}", statistics.median(times))


@contextmanager
def memory() -> Iterator[Path]:
    """A folder in memory: making 20,000 files on a disk takes 1 to 6 s, by what that disk did before."""
    with TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def servers(bench: Bench) -> None:
    """What a call costs where several servers share a database and a store, beside one server alone on them."""
    for run in range(bench.runs):
        for count in (1, SERVERS):
            name = f"{count} server{'s' if count > 1 else ''}"
            try:
                with ExitStack() as stack:
                    url = stack.enter_context(on_postgres(bench, f"servers-{run}-{count}"))
                    place = stack.enter_context(on_s3(bench, f"servers-{run}-{count}"))
                    flags = ("--workers", "0", *url, *place)
                    some = [
                        stack.enter_context(PachdProcess(bench.scratch(f"server-{number}"), flags))
                        for number in range(count)
                    ]
                    clients = [stack.enter_context(connect(f"grpc://{one.address}")) for one in some]
                    calls(bench, name, some, clients)
            except engines.Missing as missing:
                bench.absent |= {f"{what}, {name}": str(missing) for what in CALLED}
                return


def calls(bench: Bench, name: str, some: list[PachdProcess], clients: list[Client]) -> None:
    """The CPU seconds of all servers for each call, one call after the other, a server after the other."""
    repo = make_repo(clients[0], "data")

    def commit(index: int) -> None:
        client = clients[index % len(clients)]
        put(client, named_repo("data"), f"/f{index}", b"x")
        finished(client, repo)

    def inspect(index: int) -> None:
        clients[index % len(clients)].pfs.InspectRepo(pfs.InspectRepoRequest(repo=repo))

    for what, do, full in (("a commit", commit, PUTS), ("inspect repo", inspect, CALLS)):
        count = bench.sized(full, least=20)
        for index in range(4 * len(clients)):
            do(-1 - index)
        bench.note(f"{what}, {name}", cpu_of(some, do, count))


def cpu_of(some: list[PachdProcess], do: Callable[[int], None], count: int) -> float:
    """CPU seconds of servers for each of `count` calls."""
    before = sum(map(cpu_s, some))
    for index in range(count):
        do(index)
    return (sum(map(cpu_s, some)) - before) / count


def cpu_s(server: PachdProcess) -> float:
    """CPU seconds that a server and its workers have used."""
    ticks = 0
    for pid in server.family():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


WORKS = {
    "a commit": "a commit of one small file",
    "inspect repo": "inspect repo",
    "put the tree": f"put {FILES:,} small files",
    "get the tree": f"get these {FILES:,} files",
    "list a folder": "list a folder of 1,000 of these files",
    "glob": "glob of each tenth of these files",
    "diff": "diff of a commit that changes one of these files",
    "put the tree again": "put these files again, unchanged",
    "put the big file": f"put {BIG_MIB} MiB",
    "get the big file": f"get {BIG_MIB} MiB",
}
CALLED = {"a commit": "CPU of a commit", "inspect repo": "CPU of inspect repo"}

ROWS = (
    Row(
        "places",
        "pfs",
        places,
        tuple(
            Line(f"{title}, {kind}", f"{what}, {kind}", (f"{what}, {HERE}",), factor=FACTOR)
            for what, title in WORKS.items()
            for kind in (POSTGRES, S3)
        ),
        runs=1,
    ),
    Row(
        "servers",
        "pfs",
        servers,
        tuple(
            Line(
                f"{title}, {SERVERS} servers on one PostgreSQL",
                f"{what}, {SERVERS} servers",
                (f"{what}, 1 server",),
                factor=1.5,
            )
            for what, title in CALLED.items()
        ),
        runs=1,
    ),
)
