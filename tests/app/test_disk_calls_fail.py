"""Writes and syncs of the catalog's own file fail where SQLite makes them, one in so many, injected by strace.

A commit is refused in words or is there whole; nothing acknowledged is lost, a second try works, space comes back.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from trunkline.ambient import RealAmbient
from trunkline.app.config import Config
from trunkline.app.engine import open_engine

PROGRAM = """
import sys
from pathlib import Path
from trunkline.ambient import RealAmbient, chance
from trunkline.app.config import Config
from trunkline.app.engine import open_engine
from trunkline.errors import ResourceExhausted, TrunklineError, Unavailable
from trunkline.model.names import Repo
from trunkline.pfs import content, edits, fsck, reads
from trunkline.pfs.edits import Add, Target
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import repos

folder, turns = Path(sys.argv[1]), int(sys.argv[2])
DATA = Repo("default", "data")
TRIES = 60
said, opened, there = [], [], {}


def again(work):
    for _ in range(TRIES):
        try:
            if not opened:
                opened.append(open_engine(Config(data=folder, workers=0), RealAmbient()))
            return work(opened[0].space)
        except (ResourceExhausted, Unavailable) as error:
            said.append(str(error))
            if "restart" in str(error):
                opened.pop().close()
    raise SystemExit(f"line {work.__code__.co_firstlineno} was tried in vain: {said[-3:]}")


def put(turn):
    path, data = f"/f{turn}", chance(turn).randbytes(3000)
    again(lambda space: edits.modify(space.files, Target(DATA, branch="master"), [Add(path, data)]) and None)
    there[path] = data


def must_hold(space):
    source = reads.need_source(space.files, DATA, "master")
    for path, data in there.items():
        found = b"".join(content.get_file(space.files, source, path))
        # A try that was refused may have been done: then the next one added the same bytes once more.
        assert found and found == data * (len(found) // len(data)), path


again(lambda space: space.files.catalog.transact(lambda tx: repos.create_repo(tx, DATA, update=True)) and None)
for turn in range(turns):
    put(turn)
    again(lambda space: finish_waiting(space.files) and None)
    if turn % 10 == 9:
        again(must_hold)
again(lambda space: space.files.change(lambda change: repos.delete_repo(change, DATA, force=True)) and None)
for _ in range(3):
    again(lambda space: space.collector.collect() and None)
files = again(lambda space: space.files)
assert list(files.store.blobs.names()) == []
assert list(fsck.violations(files, read_bytes=True)) == []
assert files.catalog.read(lambda tx: tx.execute("PRAGMA integrity_check").scalar()) == "ok"
opened[0].close()
print(*sorted(set(said)), sep=chr(10))
"""

WRITES, SYNCS = "pwrite64,pwritev,write", "fdatasync,fsync"
WORDS = {
    "EIO": "I/O error",
    "ENOSPC": "full",
}


def play(folder: Path, calls: str, error: str, every: int, turns: int) -> list[str]:
    """What was said when one of `every` such calls on the catalog's files failed."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed here")
    open_engine(Config(data=folder, workers=0), RealAmbient()).close()
    names = [str(folder / name) for name in ("catalog.db", "catalog.db-wal")]
    paths = [word for name in names for word in ("-P", name)]
    inject = ["-e", f"trace={calls}", "-e", f"inject={calls}:error={error}:when={every}+{every}"]
    tracer = ["strace", "-f", "-qq", "-o", str(folder.parent / "calls"), *paths, *inject]
    done = subprocess.run(
        [*tracer, sys.executable, "-c", PROGRAM, str(folder), str(turns)], capture_output=True, text=True, check=False
    )
    if "ptrace" in done.stderr and "Operation not permitted" in done.stderr:
        pytest.skip("this machine lets nobody trace a process")
    assert done.returncode == 0, done.stderr[-4000:]
    assert "INJECTED" in (folder.parent / "calls").read_text()
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize(("calls", "error", "every"), [(WRITES, "ENOSPC", 97), (SYNCS, "EIO", 7)])
def test_some_calls_fail(tmp_path: Path, calls: str, error: str, every: int) -> None:
    said = play(tmp_path / "data", calls, error, every, 12)
    assert all(WORDS[error] in line for line in said), said
    assert said


@pytest.mark.engines
@pytest.mark.parametrize("error", ["EIO", "ENOSPC", "EINTR"])
@pytest.mark.parametrize(
    ("calls", "every"), [(WRITES, 89), (WRITES, 113), (WRITES, 197), (SYNCS, 7), (SYNCS, 11), (SYNCS, 13)]
)
def test_every_call_fails(tmp_path: Path, calls: str, error: str, every: int) -> None:
    """Each call of a commit is hit in its turn, for how many a commit makes is no multiple of these."""
    said = play(tmp_path / "data", calls, error, every, 40)
    retried = error == "EINTR" and calls == WRITES  # which SQLite does by itself
    assert [line for line in said if line] == [] if retried else all(said)
