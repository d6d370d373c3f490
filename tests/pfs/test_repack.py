"""Packs of mostly dead bytes are packed anew: the dead bytes go, and nobody can tell otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from pfs.collected import new_files
from trunkline.ambient import SimulatedAmbient, chance
from trunkline.catalog import commits as commit_rows
from trunkline.catalog.collection import packs as pack_rows
from trunkline.model.names import Repo
from trunkline.pfs import content, edits, fsck, reads
from trunkline.pfs.collection.cycle import Figures
from trunkline.pfs.collection.loop import REPACK_S, Collector
from trunkline.pfs.collection.marking import Lists
from trunkline.pfs.collection.repack import Repacker
from trunkline.pfs.edits import Add, Copy, Delete, Target
from trunkline.pfs.files import Files
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import repos
from trunkline.storage import ChunkKey
from trunkline.testing.catalogs import assert_sound, open_catalog

ALL, SOME = Repo("default", "all"), Repo("default", "some")
COUNT, SIZE = 300, 12_000
KEPT = range(0, COUNT, 15)


def data(number: int) -> bytes:
    """A file that no other shares a byte with, and that does not compress."""
    return chance(number).randbytes(SIZE)


@pytest.fixture
def ambient() -> SimulatedAmbient:
    return SimulatedAmbient(5)


@pytest.fixture
def files(tmp_path: Path, ambient: SimulatedAmbient):
    """Many files in packs, of which a second repo has a few; and the first repo deleted."""
    with open_catalog(tmp_path / "data", ambient, rehearse=True) as catalog:
        made = new_files(catalog, tmp_path / "cache", ambient)
        for repo in (ALL, SOME):
            catalog.transact(lambda tx, repo=repo: repos.create_repo(tx, repo))
        edits.modify(made, Target(ALL, branch="master"), [Add(f"/{n:03}", data(n)) for n in range(COUNT)])
        finish_waiting(made)
        edits.modify(made, Target(SOME, branch="master"), [Copy(f"/{n:03}", ALL, "master", f"/{n:03}") for n in KEPT])
        finish_waiting(made)
        edits.modify(made, Target(SOME, branch="master"), [Add("/last", b"last"), Delete("/000")])
        finish_waiting(made)
        made.change(lambda change: repos.delete_repo(change, ALL, force=True))
        yield made
        assert_sound(catalog)


def chunk_bytes(files: Files) -> int:
    return sum(files.store.blobs.size(name) for name in files.store.blobs.names("chunks/"))


def hashes(files: Files, ref: str = "master") -> dict[str, bytes]:
    source = reads.need_source(files, SOME, ref)
    return {info.path: info.hash for info in reads.walk_file(source, "/")}


def read(files: Files, path: str, ref: str = "master") -> bytes:
    return b"".join(content.get_file(files, reads.need_source(files, SOME, ref), path))


def test_dead_bytes_go_and_content_stays(files: Files) -> None:
    before, first = hashes(files), hashes(files, "master^")
    live = len(KEPT) * SIZE
    assert chunk_bytes(files) > COUNT * SIZE
    done = Collector(files).collect()
    assert done.repacked >= 2
    assert done.rewritten == 1
    assert live < chunk_bytes(files) < live * 1.02
    assert files.catalog.read(pack_rows.dead_bytes) == 0
    assert (hashes(files), hashes(files, "master^")) == (before, first)
    for number in KEPT:
        assert read(files, f"/{number:03}", "master^") == data(number)
    assert list(fsck.violations(files, read_bytes=True)) == []
    again = Collector(files).collect()
    assert (again.repacked, again.rewritten, again.moved) == (0, 0, False)


def test_dead_bytes_are_counted_and_shown(files: Files) -> None:
    Collector(files)._cycles(Figures())
    for _ in Repacker(files, Lists(files)).count():
        pass
    assert files.catalog.read(pack_rows.dead_bytes) == (COUNT - len(KEPT)) * SIZE


def test_the_next_commit_builds_on_what_was_repacked(files: Files) -> None:
    Collector(files).collect()
    edits.modify(files, Target(SOME, branch="master"), [Add("/015", b" and more")])
    finish_waiting(files)
    assert read(files, "/015") == data(15) + b" and more"
    assert list(fsck.violations(files, read_bytes=True)) == []


def test_an_open_commit_keeps_what_it_has(files: Files) -> None:
    finish_waiting(files)
    Collector(files).collect()
    edits.modify(files, Target(SOME, branch="other"), [Add("/x", data(400))])
    row = files.catalog.read(lambda tx: commit_rows.next_finishing(tx, 0, 10))
    assert len(row) == 1
    Collector(files).collect()
    finish_waiting(files)
    assert read(files, "/x", "other") == data(400)


def test_a_running_read_goes_on_with_the_old_places(files: Files) -> None:
    pieces = content.get_file(files, reads.need_source(files, SOME, "master^"), "/000")
    source = reads.need_source(files, SOME, "master^")
    later = content.get_file(files, source, "/285")
    first = next(pieces)
    Collector(files).collect()
    assert bytes(first) + b"".join(pieces) == data(0)
    assert b"".join(later) == data(285)
    del source
    files.reading.settle()


@pytest.mark.parametrize("steps", range(0, 30, 2))
def test_one_killed_after_any_step_is_followed_by_another(files: Files, steps: int) -> None:
    collector = Collector(files)
    collector._cycles(Figures())
    killed = Repacker(files, Lists(files)).run(Figures())
    for _ in range(steps):
        next(killed, None)
    del killed
    assert list(fsck.violations(files, read_bytes=True)) == []
    collector.collect()
    assert list(fsck.violations(files, read_bytes=True)) == []
    assert chunk_bytes(files) < len(KEPT) * SIZE * 1.02


def test_a_damaged_pack_is_left_as_it_is(files: Files) -> None:
    Collector(files)._cycles(Figures())
    broken = files.catalog.read(lambda tx: pack_rows.list_counted(tx, (b"", -1), b"", 1))[0]
    name = ChunkKey(broken.hash, broken.gen).blob
    blob = bytearray(files.store.blobs.get(name))
    blob[-100:] = bytes(100)
    blob[100:50_000] = bytes(49_900)
    files.store.blobs.delete(name)
    files.store.blobs.put(name, bytes(blob))
    before = hashes(files)
    Collector(files).collect()
    assert hashes(files) == before
    assert name in list(files.store.blobs.names("chunks/"))


def test_the_loop_repacks_in_time(files: Files, ambient: SimulatedAmbient) -> None:
    collector = Collector(files)
    for _ in range(40):
        ambient.advance(REPACK_S / 10)
        collector.step()
    assert collector.total.repacked >= 2
    assert chunk_bytes(files) < len(KEPT) * SIZE * 1.02
