"""One bit flipped in any region of any kind of blob: the read says what is damaged, other files stay readable."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pfs.collected import stored
from trunkline.ambient import SimulatedAmbient, chance
from trunkline.catalog.collection import chunks as chunk_rows
from trunkline.errors import DataLoss, TrunklineError
from trunkline.model.names import Repo
from trunkline.pfs import content, edits, fsck, reads
from trunkline.pfs.collection.loop import Collector
from trunkline.pfs.edits import Add, AddMany, Target
from trunkline.pfs.files import Files, on_damage
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import repos
from trunkline.storage import Store
from trunkline.storage.blobs import LocalBlobs
from trunkline.storage.filesets import seal
from trunkline.testing.catalogs import open_catalog

BIG, MANY = Repo("default", "big"), Repo("default", "many")
REGIONS = [0.0, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 1.0]
DATA = chance(9).randbytes(700_000) + b"even" * 50_000
COUNT = 6000


@pytest.fixture
def world(tmp_path: Path):
    """A file of one chunk in one repo, so many small ones in another that their rows are a part of their own."""
    ambient = SimulatedAmbient(5)
    with open_catalog(tmp_path / "data", ambient, rehearse=False) as catalog:
        files = opened(tmp_path, catalog, ambient)
        catalog.transact(repos.ensure_default_project)
        catalog.transact(lambda tx: [repos.create_repo(tx, repo) for repo in (BIG, MANY)] and None)
        edits.modify(files, Target(BIG, branch="master"), [Add("/big", DATA)])
        names = [f"/{number:05}" for number in range(COUNT)]
        block = AddMany(names, [8] * COUNT, b"".join(b"%08d" % number for number in range(COUNT)))
        edits.modify(files, Target(MANY, branch="master"), [block])
        finish_waiting(files)
        Collector(files).collect()  # what is left is held
        yield files


def opened(folder: Path, catalog, ambient) -> Files:
    blobs = LocalBlobs(folder / "blobs")
    told = on_damage(catalog)
    store = Store(blobs, folder / "cache", ambient, threads=2, read_cache_bytes=0, on_damage=told)
    return Files(catalog, store, ambient)


def afresh(files: Files, folder: Path) -> Files:
    """As another process, on another machine, would see the same blobs."""
    shutil.rmtree(folder / "cache")
    return opened(folder, files.catalog, files.ambient)


def flip(folder: Path, name: str, where: float) -> None:
    path = folder / "blobs" / name
    data = bytearray(path.read_bytes())
    data[min(int(len(data) * where), len(data) - 1)] ^= 16
    path.chmod(0o644)
    path.write_bytes(data)


def read(files: Files, repo: Repo, path: str) -> bytes:
    source = reads.need_source(files, repo, "master")
    return b"".join(content.get_file(files, source, path))


def chunk_of(files: Files, repo: Repo, path: str) -> str:
    source = reads.need_source(files, repo, "master")
    found = source.view.file(path)
    assert found is not None
    assert found.pieces[0].chunk is not None
    return found.pieces[0].chunk.blob


@pytest.mark.parametrize("where", REGIONS)
def test_a_chunk(world, tmp_path, where) -> None:
    blob = chunk_of(world, BIG, "/big")
    flip(tmp_path, blob, where)
    files = afresh(world, tmp_path)
    with pytest.raises(DataLoss, match=blob.rpartition("/")[2]):
        read(files, BIG, "/big")
    assert read(files, MANY, "/00007") == b"00000007"
    assert any(blob.rpartition("/")[2] in line and "I-1" in line for line in fsck.violations(files, read_bytes=True))


@pytest.mark.parametrize("where", REGIONS)
def test_a_part_of_a_file_set(world, tmp_path, where) -> None:
    parts = [name for name in stored(world) if name.startswith("parts/")]
    assert parts
    for part in parts:
        flip(tmp_path, part, where)
    files = afresh(world, tmp_path)
    with pytest.raises(DataLoss, match=r"part parts/.* of a file set is damaged"):
        read(files, MANY, "/00007")
    assert read(files, BIG, "/big") == DATA
    lines = list(fsck.violations(files, read_bytes=True))
    assert all(any(part in line for line in lines) for part in parts)


def test_a_part_that_this_machine_still_has_decoded_is_found_all_the_same(world, tmp_path) -> None:
    part = next(name for name in stored(world) if name.startswith("parts/"))
    flip(tmp_path, part, 0.5)
    assert read(world, MANY, "/00007") == b"00000007"
    assert any(part in line for line in fsck.violations(world, read_bytes=True))


@pytest.mark.parametrize("where", [0.0, 0.5, 1.0])
def test_a_chunk_list(world, tmp_path, monkeypatch, where) -> None:
    monkeypatch.setattr(seal, "INLINE_BYTES", 0)  # as if it were long
    edits.modify(world, Target(BIG, branch="listed"), [Add("/other", DATA[::-1])])
    finish_waiting(world)
    Collector(world).collect()
    listed = [name for name in stored(world) if name.startswith("lists/")]
    assert listed
    for name in listed:
        flip(tmp_path, name, where)
    files = afresh(world, tmp_path)
    assert any("its chunk list has changed" in line for line in fsck.violations(files))
    # What no list can be trusted to name is not freed: everything stays.
    before = stored(files)
    files.change(lambda change: repos.delete_repo(change, MANY, force=True))
    with pytest.raises(DataLoss, match="chunk list"):
        Collector(files).collect()
    assert stored(files) == before
    assert read(files, BIG, "/big") == DATA


def test_what_is_put_again_heals_what_was_found_damaged(world, tmp_path) -> None:
    blob = chunk_of(world, BIG, "/big")
    flip(tmp_path, blob, 0.5)
    with pytest.raises(TrunklineError):
        read(world, BIG, "/big")
    assert world.catalog.read(lambda tx: tx.execute("SELECT count(*) FROM chunks WHERE damaged").scalar()) == 1
    edits.modify(world, Target(BIG, branch="other"), [Add("/big", DATA)])
    finish_waiting(world)
    source = reads.need_source(world, BIG, "other")
    assert b"".join(content.get_file(world, source, "/big")) == DATA
    digest = bytes.fromhex(blob.rpartition("/")[2].partition(".")[0])
    assert world.catalog.read(lambda tx: chunk_rows.intact_of(tx, digest)) is not None
    del source
    world.change(lambda change: repos.delete_repo(change, BIG, force=True))
    Collector(world).collect()
    assert blob not in stored(world)
