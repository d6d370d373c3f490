"""The engine on SQLite: the contract, and what is peculiar to one writer thread and one file."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from catalog.crowd import Crowd
from trunkline.ambient import RealAmbient
from trunkline.catalog.engine import Catalog, Seed, Tx
from trunkline.catalog.engine.lock import FolderLock
from trunkline.catalog.engine.sqlite import check_release
from trunkline.errors import (
    Aborted,
    FailedPrecondition,
    Internal,
    ResourceExhausted,
)
from trunkline.testing.catalogs import NoRoom, open_catalog
from trunkline.testing.contracts.catalogs import CatalogContract, note, words
from trunkline.testing.contracts.statements import StatementContract


class TestPlain(CatalogContract, StatementContract):
    """As the server runs it."""

    @pytest.fixture
    def catalog(self, tmp_path: Path):
        with Catalog.open(tmp_path, RealAmbient()) as catalog:
            yield catalog


class TestRehearsing(CatalogContract, StatementContract):
    """As other rooms' tests run it: every function twice."""

    @pytest.fixture
    def catalog(self, tmp_path: Path):
        with open_catalog(tmp_path) as catalog:
            yield catalog


@pytest.fixture
def catalog(tmp_path: Path):
    with open_catalog(tmp_path, rehearse=False) as catalog:
        yield catalog


def fill(tx: Tx) -> None:
    """Writes more than any disk in these tests has room for."""
    note(tx, "too much")
    for _ in range(2000):
        tx.execute("INSERT INTO events (topic, payload, at_us) VALUES ('fill', hex(zeroblob(2000)), 0)")


def test_functions_that_wait_share_a_commit(catalog: Catalog):
    before = catalog.counts.commits
    Crowd(catalog).run(**{f"f{n}": lambda tx, n=n: note(tx, str(n)) for n in range(20)})
    assert catalog.counts.commits - before == 2  # the one that kept the writer busy, and all others together
    assert catalog.read(words) == [str(n) for n in range(20)]


def test_a_full_disk_fails_one_function_and_loses_nothing(catalog: Catalog):
    with NoRoom(catalog):
        outcomes = Crowd(catalog).run(
            a=lambda tx: note(tx, "a"), big=fill, b=lambda tx: note(tx, "b"), c=lambda tx: note(tx, "c")
        )
        assert outcomes == {"a": 1, "big": ResourceExhausted, "b": 2, "c": 3}
        assert catalog.counts.reruns == 1
    assert catalog.read(words) == ["a", "b", "c"]
    catalog.transact(fill)  # room again


def test_an_interrupt_fails_one_function_and_loses_nothing(catalog: Catalog):
    raw = catalog._writer._side._raw

    def endless(tx: Tx) -> None:
        note(tx, "endless")
        stop = threading.Timer(0.05, raw.interrupt)
        stop.start()
        tx.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) INSERT INTO cursors SELECT i, i, i FROM n"
        )

    outcomes = Crowd(catalog).run(a=lambda tx: note(tx, "a"), endless=endless, b=lambda tx: note(tx, "b"))
    assert outcomes == {"a": 1, "endless": Aborted, "b": 2}
    assert catalog.read(words) == ["a", "b"]


def test_a_function_that_hides_a_fatal_error_is_found_out(catalog: Catalog):
    def hides(tx: Tx) -> str:
        try:
            fill(tx)
        except Exception:
            return "all is well"
        return "there was room"

    def goes_on(tx: Tx) -> None:
        hides(tx)
        tx.execute("DELETE FROM events")  # would run outside of any transaction

    with NoRoom(catalog):
        outcomes = Crowd(catalog).run(a=lambda tx: note(tx, "a"), hides=hides, goes_on=goes_on)
    assert outcomes == {"a": 1, "hides": Internal, "goes_on": Internal}
    assert catalog.read(words) == ["a"]


@pytest.mark.parametrize(("first", "second"), [("id", "other id"), ("row", "other row"), ("row", None), (None, "row")])
def test_rehearsal_finds_a_function_that_does_not_repeat(tmp_path: Path, first: str | None, second: str | None):
    turns = iter([first, second])

    def fickle(tx: Tx) -> str | None:
        turn = next(turns)
        if turn and "row" in turn:
            tx.execute("INSERT INTO cursors (name, position, fence) VALUES (:turn, 0, 0)", {"turn": turn})
            return None
        return turn

    with open_catalog(tmp_path) as catalog:
        with pytest.raises(Internal, match="does not repeat"):
            catalog.transact(fickle)
        assert catalog.read(lambda tx: tx.execute("SELECT * FROM cursors").all()) == []


def test_rehearsal_refuses_an_answer_that_runs_later(tmp_path: Path):
    with open_catalog(tmp_path) as catalog, pytest.raises(Internal, match="iterator"):
        catalog.transact(lambda tx: (row for row in tx.execute("SELECT 1")))


def test_a_seed_gives_these_ids_for_ever(catalog: Catalog):
    """Recorded requests keep their seed: docs/formats/catalog.md."""
    ids = catalog.transact(lambda tx: [tx.new_id(), tx.new_id()], Seed(1_700_000_000_000_000, 42))
    assert ids == ["bdd640fb06674ad19c80317fa3b1799d", "23b8c1e9392446debeb13b9046685257"]


def test_a_second_process_is_refused_in_words(tmp_path: Path):
    program = """
import os, sys
from trunkline.ambient import RealAmbient
from trunkline.catalog.engine import Catalog
catalog = Catalog.open(sys.argv[1], RealAmbient())
print(os.getpid(), flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as first:
        assert first.stdout is not None
        pid = first.stdout.readline().decode().strip()
        with pytest.raises(FailedPrecondition, match=f"in use by process {pid}; stop that one"):
            open_catalog(tmp_path)
        first.communicate(b"")
    open_catalog(tmp_path).close()


def test_a_lock_taken_twice_in_one_process_is_refused_too(tmp_path: Path):
    lock = FolderLock(tmp_path)
    with pytest.raises(FailedPrecondition, match="in use"):
        FolderLock(tmp_path)
    lock.release()
    FolderLock(tmp_path).release()


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FailedPrecondition, match="file/data cannot be used: Not a directory"):
        open_catalog(tmp_path / "file" / "data")


@pytest.mark.parametrize("version", [(3, 7, 0), (3, 40, 1), (3, 44, 5), (3, 50, 4), (3, 51, 2)])
def test_a_sqlite_that_corrupts_is_refused(version: tuple[int, int, int]):
    with pytest.raises(FailedPrecondition, match="pysqlite3"):
        check_release(version)


@pytest.mark.parametrize("version", [(3, 44, 6), (3, 50, 7), (3, 51, 3), (3, 53, 4), (4, 0, 0)])
def test_a_mended_sqlite_is_taken(version: tuple[int, int, int]):
    check_release(version)


def test_settings_that_promises_rest_on(tmp_path: Path):
    with Catalog.open(tmp_path, RealAmbient()) as catalog:
        names = ("journal_mode", "synchronous", "foreign_keys", "auto_vacuum")
        found = catalog.transact(lambda tx: [tx.execute(f"PRAGMA {name}").scalar() for name in names])
        assert found == ["wal", 2, 1, 2]
        assert catalog.read(lambda tx: tx.execute("PRAGMA query_only").scalar()) == 1
