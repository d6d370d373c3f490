"""SQLite's log, cut or spoilt at any frame after a kill: what was acknowledged before is there, and nothing is halved.

A process writes commits and tells of each how long the log was when it was acknowledged; then it is killed. What a disk
may have made of the log since is played on copies of what it left.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from trunkline.ambient import SimulatedAmbient, chance
from trunkline.catalog.engine import Catalog
from trunkline.errors import NotFound
from trunkline.model.names import Repo
from trunkline.pfs import content, edits, fsck, reads
from trunkline.pfs.edits import Add, Target
from trunkline.pfs.files import Files
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import repos
from trunkline.storage import Store
from trunkline.storage.blobs import LocalBlobs
from trunkline.testing.catalogs import run_and_kill

DATA = Repo("default", "data")
HEAD_BYTES, FRAME_BYTES = 32, 24 + 4096
"""What the log begins with, and each of its frames: a head and a page."""
COMMITS = 12

WRITES_AND_TELLS = """
import os, sys
from pathlib import Path
from pfs.test_torn_log import DATA, data_of, opened
from trunkline.pfs import edits
from trunkline.pfs.edits import Add, Target
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import repos
folder = Path(sys.argv[1])
files = opened(folder, folder / "blobs")
log = folder / "catalog" / "catalog.db-wal"
files.catalog.transact(repos.ensure_default_project)
files.catalog.transact(lambda tx: repos.create_repo(tx, DATA))
for number in range(1_000_000):
    edits.modify(files, Target(DATA, branch="master"), [Add(f"/f{number}", data_of(f"/f{number}"))])
    os.write(1, f"/f{number} {log.stat().st_size}\\n".encode())
    if number % 3:
        finish_waiting(files)
"""


def data_of(path: str) -> bytes:
    """What is put there."""
    luck = chance(int(path.removeprefix("/f")))
    return luck.randbytes(luck.choice((5, 3000, 40_000)))


def opened(place: Path, blobs: Path, seed: int = 5) -> Files:
    """A server's files on this catalog, as it starts. seed: of its ids."""
    ambient = SimulatedAmbient(seed)
    catalog = Catalog.open(place / "catalog", ambient, synchronous="OFF")
    return Files(catalog, Store(LocalBlobs(blobs), place / "cache", ambient, threads=2), ambient)


@dataclass
class Left:
    """What a killed process left. told: what it acknowledged, and the bytes of the log at that moment."""

    folder: Path
    log: bytes
    told: dict[str, int]

    @property
    def frames(self) -> range:
        """Where each begins."""
        return range(HEAD_BYTES, len(self.log), FRAME_BYTES)

    def with_log(self, log: bytes, place: Path) -> None:
        """A folder with what was left, but another log."""
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.folder / "catalog", place / "catalog")
        (place / "catalog" / "catalog.db-wal").write_bytes(log)

    def before(self, at: int) -> list[str]:
        """What was acknowledged before the log was so long."""
        return [path for path, size in self.told.items() if size <= at]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    folder = tmp_path_factory.mktemp("left")
    patch = pytest.MonkeyPatch()
    with patch.context() as patched:
        patched.setenv(
            "PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        )
        lines = run_and_kill(WRITES_AND_TELLS, folder, lambda lines: len(lines) >= COMMITS)
    told = {path: int(size) for path, size in (line.split() for line in lines)}
    return Left(folder, (folder / "catalog" / "catalog.db-wal").read_bytes(), told)


Harm = Callable[[bytes, int, int], bytes]
"""Makes another log of one: what is told is where a frame begins, and a number to choose by."""


def cut(log: bytes, at: int, number: int) -> bytes:
    """It ends before the frame."""
    return log[:at]


def cut_within(log: bytes, at: int, number: int) -> bytes:
    """It ends within the frame: in its head, after it, in the page."""
    return log[: at + (1, 8, 23, 24, 25, 1000, FRAME_BYTES - 1)[number % 7]]


def zeros(log: bytes, at: int, number: int) -> bytes:
    """It has its length, and nothing was written from somewhere in the frame on."""
    start = at + (0, 8, 24, 600)[number % 4]
    return log[:start] + bytes(len(log) - start)


def flip(log: bytes, at: int, number: int) -> bytes:
    """One bit of the frame is another; those after it are as they were."""
    place = at + (0, 4, 8, 12, 16, 20, 24, 25, 500, FRAME_BYTES - 1)[number % 10]
    return log[:place] + bytes([log[place] ^ (1 << number % 8)]) + log[place + 1 :]


def lost_page(log: bytes, at: int, number: int) -> bytes:
    """The page of the frame was not written, though all after it was."""
    return log[: at + 24] + bytes(FRAME_BYTES - 24) + log[at + FRAME_BYTES :]


def former(log: bytes, at: int, number: int) -> bytes:
    """From there on it has frames of a log that was folded before: they look whole, with another salt."""
    frames = [log[each : each + FRAME_BYTES] for each in range(at, len(log), FRAME_BYTES)]
    return log[:at] + b"".join(frame[:8] + bytes([frame[8] ^ 1]) + frame[9:] for frame in frames)


HARMS: tuple[Harm, ...] = (cut, cut_within, zeros, flip, lost_page, former)


def must_hold(left: Left, at: int, place: Path) -> None:
    """A server that starts on this has what was acknowledged before, nothing of another commit by half, and goes on."""
    files = opened(place, left.folder / "blobs", seed=6)
    try:
        assert list(fsck.violations(files, read_bytes=True)) == []
        files.catalog.transact(repos.ensure_default_project)
        there = left.before(at)
        if there or files.catalog.read(lambda tx: DATA in [info.repo for info in repos.list_repos(tx, [])]):
            finish_waiting(files)
            found = dict(_content(files))
            assert found.keys() >= set(there), f"lost: {set(there) - found.keys()}"
            assert all(data == data_of(path) for path, data in found.items())
        else:
            files.catalog.transact(lambda tx: repos.create_repo(tx, DATA))
        edits.modify(files, Target(DATA, branch="master"), [Add("/f1000", data_of("/f1000"))])
        finish_waiting(files)
        assert dict(_content(files))["/f1000"] == data_of("/f1000")
        assert list(fsck.violations(files)) == []
    finally:
        files.store.close()
        files.catalog.close()


def _content(files: Files) -> Iterator[tuple[str, bytes]]:
    try:
        source = reads.need_source(files, DATA, "master")
    except NotFound:
        return
    for info in reads.walk_file(source, "/"):
        if not info.is_dir:
            yield info.path, b"".join(content.get_file(files, source, info.path))


def test_the_log_has_all_of_it(left: Left) -> None:
    """So that the tests below are about what they say."""
    assert int.from_bytes(left.log[8:12], "big") == FRAME_BYTES - 24
    assert (len(left.log) - HEAD_BYTES) % FRAME_BYTES == 0
    assert len(left.frames) > 100
    assert all(left.log[each + 8 : each + 16] == left.log[16:24] for each in left.frames)
    assert min(left.told.values()) > HEAD_BYTES + FRAME_BYTES


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: str(harm.__name__))
def test_some_frames(left: Left, harm: Harm, tmp_path: Path) -> None:
    luck = chance(HARMS.index(harm))
    for number, at in enumerate([HEAD_BYTES, *luck.sample(left.frames, 3)]):
        left.with_log(harm(left.log, at, number), tmp_path / "x")
        must_hold(left, at, tmp_path / "x")


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_every_frame(left: Left, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    seed = int(os.environ.get("TRUNKLINE_SOAK_SEED") or 1)
    for harm in HARMS:
        for number, at in enumerate(left.frames, seed):
            left.with_log(harm(left.log, at, number), tmp_path / "x")
            must_hold(left, at, tmp_path / "x")
    record_property("figures", f"{len(HARMS)} harms at each of {len(left.frames)} frames")


def test_the_head_of_the_log(left: Left, tmp_path: Path) -> None:
    """Without it no frame can be told from what was there before: everything that was not folded is gone."""
    for place in (0, 8, 16, 24, 31):
        changed = bytes([left.log[place] ^ 16])
        left.with_log(left.log[:place] + changed + left.log[place + 1 :], tmp_path / "x")
        must_hold(left, 0, tmp_path / "x")


def test_what_was_lost_is_found_out(left: Left, tmp_path: Path) -> None:
    """So that the tests above can fail."""
    at = left.told["/f5"]
    left.with_log(left.log[: at - FRAME_BYTES], tmp_path / "x")
    with pytest.raises(AssertionError, match="lost"):
        must_hold(left, at, tmp_path / "x")
