"""One bit flipped in any page of the catalog's file: it is refused, or fsck says so; no wrong byte is ever read."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from trunkline.ambient import SimulatedAmbient, chance
from trunkline.catalog.engine import Catalog
from trunkline.errors import DataLoss, TrunklineError
from trunkline.model.names import Repo
from trunkline.pfs import content, edits, fsck, reads
from trunkline.pfs.edits import Add, Target
from trunkline.pfs.files import Files
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import repos
from trunkline.storage import Store
from trunkline.storage.blobs import LocalBlobs

REPOS = [Repo("default", "one"), Repo("default", "two")]
FILES = {f"/f{number}": chance(number).randbytes(size) for number, size in enumerate([10, 3000, 90_000])}
PAGE = 4096
TREES = (2, 5, 10, 13)
"""The first byte of a page that is part of a table or an index."""


def opened(place: Path, blobs: Path) -> Files:
    ambient = SimulatedAmbient(5)
    catalog = Catalog.open(place / "catalog", ambient, synchronous="OFF")
    return Files(catalog, Store(LocalBlobs(blobs), place / "cache", ambient, threads=2, read_cache_bytes=0), ambient)


@pytest.fixture
def good(tmp_path: Path) -> bytes:
    """The file of a catalog with two repos, whose blobs stay in the folder `blobs`."""
    files = opened(tmp_path / "good", tmp_path / "blobs")
    files.catalog.transact(repos.ensure_default_project)
    for repo in REPOS:
        files.catalog.transact(lambda tx, repo=repo: repos.create_repo(tx, repo))
        edits.modify(files, Target(repo, branch="master"), [Add(path, data) for path, data in FILES.items()])
        finish_waiting(files)
    files.catalog.close()
    files.store.close()
    return (tmp_path / "good" / "catalog" / "catalog.db").read_bytes()


def flipped(good: bytes, at: int, bit: int, place: Path) -> Path:
    """A folder with that catalog, one bit of it another."""
    shutil.rmtree(place, ignore_errors=True)
    (place / "catalog").mkdir(parents=True)
    data = bytearray(good)
    data[at] ^= 1 << bit
    (place / "catalog" / "catalog.db").write_bytes(data)
    return place


def said_of(place: Path, blobs: Path) -> list[str]:
    """What a server says to this file, once nothing that it gives to readers was found to be wrong."""
    try:
        files = opened(place, blobs)
    except DataLoss as error:
        return [str(error)]
    try:
        for repo in REPOS:
            with suppress(TrunklineError):
                source = reads.need_source(files, repo, "master")
                for path, data in FILES.items():
                    with suppress(TrunklineError):
                        assert b"".join(content.get_file(files, source, path)) == data
        return list(fsck.violations(files, read_bytes=True))
    except DataLoss as error:
        return [str(error)]
    finally:
        files.catalog.close()
        files.store.close()


def test_how_pages_hang_together(good: bytes, tmp_path: Path) -> None:
    """The header of a page: the kind, the number of its cells, where they begin."""
    luck = chance(3)
    used = [at for at in range(PAGE, len(good), PAGE) if good[at] in TREES and good[at + 3 : at + 5] != b"\0\0"]
    for at in luck.sample(used, 8):
        said = said_of(
            flipped(good, at + luck.choice([0, 4, 5, 6]), luck.randrange(8), tmp_path / "x"), tmp_path / "blobs"
        )
        assert said, f"nothing is said of a page at {at}"
        assert "catalog" in said[0], said


def test_any_byte(good: bytes, tmp_path: Path) -> None:
    """Where nothing is found, nothing that was wrong was read."""
    luck = chance(4)
    for _ in range(15):
        at = luck.randrange(len(good))
        said_of(flipped(good, at, luck.randrange(8), tmp_path / "x"), tmp_path / "blobs")


@pytest.mark.parametrize("text", [b"CREATE TABLE", b"ABLE", b"EY (", b"NTEGER", b"default", b"/f1"])
def test_a_text_that_is_none_any_more(good: bytes, tmp_path: Path, text: bytes) -> None:
    """SQLite quotes a broken schema in its message, which the driver then cannot read."""
    for at in [found.start() for found in re.finditer(re.escape(text), good)][:3]:
        said = said_of(flipped(good, at, 7, tmp_path / "x"), tmp_path / "blobs")
        assert all("damaged" in line for line in said[:1]), said
        assert said or text in (b"default", b"/f1")


@pytest.mark.parametrize("text", [b"doomed_through BIGINT", b"UNIQUE (", b"schema_version", b"NOT NULL"])
def test_another_word_in_what_it_says_of_its_tables(good: bytes, tmp_path: Path, text: bytes) -> None:
    """SQLite takes it for what was meant."""
    for at in [found.start() for found in re.finditer(re.escape(text), good)][:2]:
        said = said_of(flipped(good, at, 0, tmp_path / "x"), tmp_path / "blobs")
        assert "the catalog file is damaged" in said[0], said


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_any_byte_for_long(good: bytes, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    luck = chance(1000 + int(os.environ.get("TRUNKLINE_SOAK_SEED") or 1))
    said = 0
    for _ in range(3000):
        at = luck.randrange(len(good))
        said += bool(said_of(flipped(good, at, luck.randrange(8), tmp_path / "x"), tmp_path / "blobs"))
    record_property("figures", f"3000 flips in {len(good)} bytes; {said} found, of the others nothing wrong was read")


def test_the_first_page(good: bytes, tmp_path: Path) -> None:
    said = said_of(flipped(good, 3, 1, tmp_path / "x"), tmp_path / "blobs")
    assert "catalog file is damaged" in said[0]
