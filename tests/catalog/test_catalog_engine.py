"""The engine on SQLite: the contract, and what is peculiar to one writer thread and one file."""

from __future__ import annotations

import queue
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from trunkline.ambient import RealAmbient, SimulatedAmbient
from trunkline.catalog.engine import Catalog, Tx
from trunkline.catalog.engine.lock import FolderLock
from trunkline.catalog.engine.sqlite import check_release
from trunkline.errors import Aborted, DataLoss, FailedPrecondition, Internal, ResourceExhausted, Unimplemented
from trunkline.testing.catalogs import NoRoom, open_catalog, run_and_kill
from trunkline.testing.contracts.catalogs import CatalogContract, note, words


class TestPlain(CatalogContract):
    """As the server runs it."""

    @pytest.fixture
    def catalog(self, tmp_path: Path):
        with Catalog.open(tmp_path, RealAmbient()) as catalog:
            yield catalog


class TestRehearsing(CatalogContract):
    """As other rooms' tests run it: every function twice."""

    @pytest.fixture
    def catalog(self, tmp_path: Path):
        with open_catalog(tmp_path) as catalog:
            yield catalog


@pytest.fixture
def catalog(tmp_path: Path):
    with open_catalog(tmp_path, rehearse=False) as catalog:
        yield catalog


class Crowd:
    """Functions that reach the writer as one group, since it is kept busy until all of them wait."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.outcomes: dict[str, object] = {}

    def run(self, **functions: object) -> dict[str, object]:
        busy, go = threading.Event(), threading.Event()

        def hold(_tx: Tx) -> None:
            busy.set()
            assert go.wait(60)

        threads = [threading.Thread(target=self.catalog.transact, args=(hold,))]
        threads[0].start()
        assert busy.wait(60)
        waiting = self.catalog._writer._waiting
        for place, (name, function) in enumerate(functions.items(), 1):
            threads.append(threading.Thread(target=self._one, args=(name, function)))
            threads[-1].start()
            while waiting.qsize() < place:
                threading.Event().wait(0.001)
        go.set()
        for thread in threads:
            thread.join()
        return self.outcomes

    def _one(self, name: str, function) -> None:
        try:
            self.outcomes[name] = self.catalog.transact(function)
        except Exception as error:
            self.outcomes[name] = type(error)


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
    raw = catalog._writer._raw

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


def test_a_full_file_system_loses_nothing(tmp_path: Path):
    """On a real one of 2 MiB, where COMMIT itself finds the disk full."""
    program = """
import sys
from pathlib import Path
from trunkline.ambient import RealAmbient
from trunkline.catalog.engine import Catalog
from trunkline.errors import ResourceExhausted
folder = Path(sys.argv[1])
kept = 0
catalog = Catalog.open(folder, RealAmbient())
put = lambda tx: tx.execute("INSERT INTO events (topic, payload, at_us) VALUES ('x', hex(zeroblob(5000)), 0)")
try:
    while kept < 100_000:
        catalog.transact(put)
        kept += 1
except ResourceExhausted:
    pass
for file in folder.glob("ballast"):
    file.unlink()
catalog.transact(put)  # the same catalog goes on as soon as there is room
catalog.close()
again = Catalog.open(folder, RealAmbient())
there = again.read(lambda tx: tx.execute("SELECT count(*) FROM events").scalar())
assert there == kept + 1, (there, kept)
assert again.read(lambda tx: tx.execute("PRAGMA integrity_check").scalar()) == "ok"
print("kept", kept)
"""
    script = tmp_path / "program.py"
    script.write_text(program)
    shell = 'mount -t tmpfs -o size=2m none "$3" && head -c 100000 /dev/zero > "$3/ballast" && exec "$1" "$2" "$3"'
    (tmp_path / "small").mkdir()
    if subprocess.run(
        ["unshare", "-Urm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
    ).returncode:
        pytest.skip("this machine lets nobody mount a small file system")
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", shell, "sh", sys.executable, script, tmp_path / "small"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[1]) > 10


def test_the_log_stays_bounded_beside_readers(tmp_path: Path):
    limit = 256 * 1024
    ambient = SimulatedAmbient()
    with Catalog.open(tmp_path, ambient, synchronous="OFF", wal_limit_bytes=limit) as catalog:
        log = tmp_path / "catalog.db-wal"
        sizes = []
        for turn in range(200):
            catalog.transact(
                lambda tx: tx.execute("INSERT INTO events (topic, payload, at_us) VALUES ('x', hex(zeroblob(8000)), 0)")
            )
            if turn % 10 == 0:
                catalog.read(lambda tx: tx.execute("SELECT count(*) FROM events").scalar())
            sizes.append(log.stat().st_size)
        assert catalog.counts.checkpoints >= 5
        assert max(sizes) < 2 * limit


def test_a_reader_that_stays_does_not_stop_the_writer(tmp_path: Path):
    limit = 128 * 1024
    with Catalog.open(tmp_path, SimulatedAmbient(), synchronous="OFF", wal_limit_bytes=limit) as catalog:
        asked: queue.Queue[bool] = queue.Queue()

        def stay(tx: Tx) -> int:
            before = len(words(tx))
            asked.put(True)
            assert done.wait(60)
            return before

        done = threading.Event()
        answers: list[int] = []
        reader = threading.Thread(target=lambda: answers.append(catalog.read(stay)))
        reader.start()
        asked.get(timeout=60)
        for _ in range(100):
            catalog.transact(lambda tx: tx.emit("word", {"word": "x" * 4000}))
        done.set()
        reader.join()
        assert answers == [0]
        for _ in range(30):  # with the reader gone, the log is folded
            catalog.transact(lambda tx: tx.emit("word", {"word": "x" * 4000}))
        assert (tmp_path / "catalog.db-wal").stat().st_size < 2 * limit
        assert len(catalog.read(words)) == 130


WRITES_AND_TELLS = """
import os, sys, threading
from trunkline.ambient import RealAmbient
from trunkline.catalog.engine import Catalog
catalog = Catalog.open(sys.argv[1], RealAmbient())
def work(name):
    for n in range(1_000_000):
        word = f"{name}.{n}"
        def f(tx):
            tx.emit("word", {"word": word})
            tx.emit("word", {"word": word + "+"})  # its pair: both or neither
        catalog.transact(f)
        os.write(1, f"{word}\\n".encode())
for name in "abcd":
    threading.Thread(target=work, args=(name,)).start()
"""


@pytest.mark.parametrize("enough", [1, 40, 150])
def test_a_kill_loses_nothing_acknowledged(tmp_path: Path, enough: int):
    told = run_and_kill(WRITES_AND_TELLS, tmp_path, lambda lines: len(lines) >= enough)
    with open_catalog(tmp_path) as catalog:
        kept = catalog.read(words)
        assert set(told) <= set(kept)
        assert {word for word in kept if not word.endswith("+")} == {word[:-1] for word in kept if word.endswith("+")}
        assert catalog.read(lambda tx: tx.execute("PRAGMA integrity_check").scalar()) == "ok"
        assert catalog.wake.seq == len(kept)


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


def test_a_failed_open_lets_go_of_the_folder(tmp_path: Path):
    (tmp_path / "catalog.db").write_bytes(b"this is no database, but it is longer than a header" * 20)
    with pytest.raises(DataLoss):
        open_catalog(tmp_path)
    (tmp_path / "catalog.db").unlink()
    open_catalog(tmp_path).close()


def test_a_file_of_another_program_is_left_alone(tmp_path: Path):
    with sqlite3.connect(tmp_path / "catalog.db") as other:
        other.execute("CREATE TABLE photos (name)")
    other.close()
    before = (tmp_path / "catalog.db").read_bytes()
    with pytest.raises(FailedPrecondition, match="another program"):
        open_catalog(tmp_path)
    assert (tmp_path / "catalog.db").read_bytes() == before


def test_a_database_server_is_refused_for_now(tmp_path: Path):
    with pytest.raises(Unimplemented, match="give a folder"):
        Catalog.open("postgresql://host/db", SimulatedAmbient())


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
