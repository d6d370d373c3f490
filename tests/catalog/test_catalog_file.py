"""The catalog's file and the disk below it: full, refused, damaged, shared, killed."""

from __future__ import annotations

import os
import queue
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from catalog.crowd import Crowd
from trunkline.ambient import SimulatedAmbient, chance
from trunkline.catalog.engine import Catalog, Tx
from trunkline.errors import DataLoss, FailedPrecondition, Unavailable
from trunkline.testing.catalogs import open_catalog, run_and_kill
from trunkline.testing.contracts.catalogs import note, words


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


def test_a_write_that_is_refused_costs_one_function(tmp_path: Path):
    """A limit on the size of files, which the driver reports as a failed write and not as a full disk."""
    program = """
import resource, sys
from trunkline.ambient import RealAmbient
from trunkline.catalog.engine import Catalog
from trunkline.errors import Unavailable
catalog = Catalog.open(sys.argv[1], RealAmbient())
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
put = lambda tx: tx.execute("INSERT INTO events (topic, payload, at_us) VALUES ('x', hex(zeroblob(5000)), 0)")
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
kept = 0
try:
    while kept < 1000:
        catalog.transact(put)
        kept += 1
except Unavailable as error:
    assert "quota" in str(error), error
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
catalog.transact(put)
catalog.close()
print(kept)
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with open_catalog(tmp_path) as catalog:
        assert catalog.read(lambda tx: tx.execute("SELECT count(*) FROM events").scalar()) == int(done.stdout) + 1
        assert 10 < int(done.stdout) < 1000


def test_a_damaged_file_is_not_written_to_any_more(tmp_path: Path):
    """What the driver says is played; that the transaction is gone is real."""
    with open_catalog(tmp_path, rehearse=False) as catalog:
        raw = catalog._writer._side._raw

        def finds_damage(tx: Tx) -> None:
            note(tx, "lost")
            raw.execute("ROLLBACK")
            error = raw.DatabaseError("database disk image is malformed")
            error.sqlite_errorname = "SQLITE_CORRUPT"
            raise error

        catalog.transact(lambda tx: note(tx, "sure"))
        outcomes = Crowd(catalog).run(a=lambda tx: note(tx, "a"), fails=finds_damage, b=lambda tx: note(tx, "b"))
        assert outcomes == {"a": Unavailable, "fails": Unavailable, "b": Unavailable}
        with pytest.raises(Unavailable, match=r"stopped after a failure .* restart the server"):
            catalog.transact(words)
        assert catalog.read(words) == ["sure"]
    with open_catalog(tmp_path) as catalog:
        assert catalog.read(words) == ["sure"]


def test_another_program_that_holds_the_file_is_named(tmp_path: Path):
    program = """
import sys
import pysqlite3.dbapi2 as sqlite
file = sqlite.connect(sys.argv[1], isolation_level=None)
file.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""
    with open_catalog(tmp_path) as catalog:
        catalog._writer._side._raw.execute("PRAGMA busy_timeout = 10")
        command = [sys.executable, "-c", program, str(tmp_path / "catalog.db")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as other:
            assert other.stdout is not None
            other.stdout.readline()
            with pytest.raises(Unavailable, match="another program holds the catalog"):
                catalog.transact(words)
            assert catalog.read(words) == []
            other.communicate(b"")
        assert catalog.transact(words) == []


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


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_many_kills_lose_nothing_acknowledged(tmp_path: Path, record_property: Callable[[str, object], None]):
    moments = chance(int(os.environ.get("TRUNKLINE_SOAK_SEED", "1")))
    for turn in range(100):
        check_a_kill(tmp_path / str(turn), moments.randrange(1, 3000))
    record_property("figures", "100 kills")


@pytest.mark.parametrize("enough", [1, 40, 150])
def test_a_kill_loses_nothing_acknowledged(tmp_path: Path, enough: int):
    check_a_kill(tmp_path, enough)


def check_a_kill(tmp_path: Path, enough: int) -> None:
    told = run_and_kill(WRITES_AND_TELLS, tmp_path, lambda lines: len(lines) >= enough)
    with open_catalog(tmp_path) as catalog:
        kept = catalog.read(words)
        assert set(told) <= set(kept)
        assert {word for word in kept if not word.endswith("+")} == {word[:-1] for word in kept if word.endswith("+")}
        assert catalog.read(lambda tx: tx.execute("PRAGMA integrity_check").scalar()) == "ok"
        assert catalog.wake.seq == len(kept)


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
