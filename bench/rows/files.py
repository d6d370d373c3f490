"""A big file, and a tree of small ones, beside `cp`, git, DVC, Oxen and Borg."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import grpc

from measure import Bench, Line, Row, shell
from rows.samples import MIB, SMALL_FILE_BYTES, random_file, small_files
from trunkline.testing.serving import PachdProcess
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pfs_v2_pb2_grpc

DVC_READY = "rm -rf dvc && mkdir dvc && cd dvc && git init -q . && dvc init -q && cp -r ../{what} ."
OXEN_READY = (
    "rm -rf oxen && mkdir oxen && cp -r {what} oxen/"
    " && python -c \"import oxen; oxen.user.config_user('b', 'b@localhost')\""
)
OXEN = (
    "cd oxen && python -c \"import oxen; repo = oxen.Repo('.'); repo.init(); repo.add('{what}'); repo.commit('all')\""
    " && sync -f ."
)
BORG_READY = "rm -rf borg && borg init -e none borg"
CHANGED_EVERY = 100
CHANGE = "i=0; for f in {tree}/*/*; do [ $((i++ % {every})) != 0 ] || echo x >> $f; done"
OXEN_MORE = (
    "cd oxen && python -c \"import oxen; repo = oxen.Repo('.'); repo.add('tree'); repo.commit('more')\" && sync -f ."
)


def big_file(bench: Bench) -> None:
    """Put one large random file, beside `cp` and fsync of the same file."""
    size_bytes = bench.sized(2048 * MIB)
    bench.must_hold(4 * size_bytes)
    work = bench.scratch("big")
    for _ in range(bench.runs):
        random_file(work / "random.bin", size_bytes)
        with bench.server() as server:
            server.pachctl("create", "repo", "big")
            with bench.timed("pachctl put file"):
                server.pachctl("put", "file", "big@master:/random.bin", "-f", str(work / "random.bin"))
                server.pachctl("wait", "commit", "big@master")
            with bench.timed("pachctl get file"):
                server.pachctl("get", "file", "big@master:/random.bin", "-o", str(work / "back.bin"))
        shell("cmp random.bin back.bin && rm back.bin", work)
        with bench.timed("cp, fsync"):
            shell("cp random.bin copy.bin && sync copy.bin", work)
        shell("rm copy.bin", work)
        peers_add(bench, work, "random.bin")
    shutil.rmtree(work)


def peers_add(bench: Bench, work: Path, what: str) -> None:
    """Have each peer take a file or a tree in; the copy that it works on is made before. A tree once more, changed."""
    again = what == "tree"
    bench.beside("dvc add", "dvc", f"cd dvc && dvc add -q {what} && sync -f .", work, DVC_READY.format(what=what))
    if again:
        bench.beside("dvc checkout", "dvc", "cd dvc && dvc checkout -q", work, "rm -r dvc/tree")
        bench.beside("dvc add of 1 %", "dvc", "cd dvc && dvc add -q tree && sync -f .", work, changed("dvc/tree"))
    shell("rm -rf dvc", work)
    bench.beside("oxen add, commit", "module:oxen", OXEN.format(what=what), work, OXEN_READY.format(what=what))
    if again:
        bench.beside("oxen add, commit of 1 %", "module:oxen", OXEN_MORE, work, changed("oxen/tree"))
    shell("rm -rf oxen", work)
    bench.beside("borg create", "borg", f"borg create borg::one {what} && sync -f .", work, BORG_READY)
    if again:
        bench.beside("borg create of 1 %", "borg", "borg create borg::two tree && sync -f .", work, changed("tree"))
    shell("rm -rf borg", work)


def changed(tree: str) -> str:
    """A command that writes to one file in a hundred."""
    return CHANGE.format(tree=tree, every=CHANGED_EVERY)


def many_files(bench: Bench) -> None:
    """Put a tree of small files, get it back, change one in a hundred and put it again."""
    for run in range(bench.runs):
        work = bench.scratch("many")
        (work / "tree").mkdir()
        small_files(work / "tree", bench.sized(100_000), run)
        with bench.server() as server:
            server.pachctl("create", "repo", "many")
            with bench.timed("pachctl put file -r"):
                put_tree(server, work)
            with bench.timed("pachctl get file -r"):
                server.pachctl("get", "file", "-r", "many@master:/", "-o", str(work / "back"))
            shell("diff -r tree back && rm -r back", work)
            put_again(bench, server, work, run)
            server.pachctl("create", "repo", "stream")
            with bench.timed("one stream of ModifyFile"):
                put_by_stream(server.address, "stream", work / "tree")
                server.pachctl("wait", "commit", "stream@master")
        with bench.timed("cp -r, sync"):
            shell("cp -r tree copy && sync -f copy", work)
        with bench.timed("cp -r"):
            shell("cp -r tree again", work)
        shell("rm -r copy again", work)
        bench.beside(
            "git add, commit", "git", "cd git && git add tree && git commit -qm all && sync -f .", work,
            # Else it packs what was added by itself, later.
            "mkdir git && cp -r tree git && git init -q git && git -C git config gc.auto 0",
        )  # fmt: skip
        bench.beside(
            "git add, commit of 1 %", "git", "cd git && git add tree && git commit -qm all && sync -f .", work,
            changed("git/tree"),
        )  # fmt: skip
        shell("rm -rf git", work)
        peers_add(bench, work, "tree")
    shutil.rmtree(work)


def put_tree(server: PachdProcess, work: Path, *flags: str) -> None:
    """Put the tree, and wait until its commit is finished."""
    server.pachctl("put", "file", "-r", *flags, "many@master:/", "-f", str(work / "tree"))
    server.pachctl("wait", "commit", "many@master")


def put_by_stream(address: str, repo: str, tree: Path) -> None:
    """Put a tree by one call that every client of Pachyderm has, a message for each file."""
    branch = pfs.Branch(repo=pfs.Repo(name=repo, type="user", project=pfs.Project(name="default")), name="master")

    def edits() -> Iterator[pfs.ModifyFileRequest]:
        yield pfs.ModifyFileRequest(set_commit=pfs.Commit(branch=branch, repo=branch.repo))
        for path in tree.rglob("*"):
            if path.is_file():
                added = pfs.AddFile(path=f"/{path.relative_to(tree)}")
                added.raw.value = path.read_bytes()
                yield pfs.ModifyFileRequest(add_file=added)

    with grpc.insecure_channel(address) as channel:
        pfs_v2_pb2_grpc.APIStub(channel).ModifyFile(edits())


def put_again(bench: Bench, server: PachdProcess, work: Path, run: int) -> None:
    """Put the tree twice more, each time with one file in a hundred changed: with and without the client's cache."""
    caches = "--no-cache" in server.pachctl("put", "file", "--help")
    ways: list[tuple[str, tuple[str, ...]]] = [("without", ("--no-cache",) if caches else ())]
    if caches:
        ways.insert(0, ("with the stat cache", ()))
    else:
        bench.absent["with the stat cache"] = "pachctl has none yet"
    for name, flags in ways:
        small_files(work / "tree", bench.sized(100_000), 1000 + run + len(flags), CHANGED_EVERY)
        before = blobs(server)
        with bench.timed(name):
            put_tree(server, work, *flags)
        changed = len(range(0, bench.sized(100_000), CHANGED_EVERY)) * SMALL_FILE_BYTES
        stored = sum(size for name, size in blobs(server).items() if name not in before)
        bench.note(f"bytes stored / bytes changed, {name}", stored / changed, "×")


def blobs(server: PachdProcess) -> dict[str, int]:
    """What the server's blobs take on disk, content and rows: the bytes of each, by its name. Collection takes others
    meanwhile."""
    return {path.name: path.stat().st_size for path in (server.data / "blobs").rglob("*") if path.is_file()}


CHANGED = ("git add, commit of 1 %", "dvc add of 1 %", "oxen add, commit of 1 %", "borg create of 1 %")

ROWS = (
    Row(
        "big-file",
        "pfs",
        big_file,
        (
            Line(
                "put one 2 GiB random file",
                "pachctl put file",
                ("cp, fsync", "dvc add", "oxen add, commit", "borg create"),
                factor=1.5,
            ),
            Line("get it back", "pachctl get file", ("cp, fsync",)),
        ),
        runs=2,
    ),
    Row(
        "many-files",
        "pfs",
        many_files,
        (
            Line(
                "put 100,000 files of 3 KB, one commit",
                "pachctl put file -r",
                ("cp -r, sync", "git add, commit", "dvc add", "oxen add, commit", "borg create"),
                goal=10.0,
            ),
            Line("the same by the public call", "one stream of ModifyFile", ("cp -r, sync",), goal=30.0),
            Line("get these 100,000 files", "pachctl get file -r", ("cp -r", "dvc checkout"), factor=2.0),
            Line("put them again, 1 % changed", "with the stat cache", CHANGED, goal=3.0),
            Line("put them again, 1 % changed", "without", CHANGED, goal=8.0),
            Line("what that stores", "bytes stored / bytes changed, with the stat cache", goal=1.15),
            Line("what that stores", "bytes stored / bytes changed, without", goal=1.15),
        ),
        runs=1,
    ),
)
