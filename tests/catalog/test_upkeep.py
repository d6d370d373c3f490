"""What grows by itself is cut back, and nothing else."""

from __future__ import annotations

from pathlib import Path

from trunkline.catalog import outbox, upkeep
from trunkline.catalog.collection import sessions
from trunkline.catalog.engine import Tx
from trunkline.testing.catalogs import open_catalog


def test_events_and_ended_sessions_are_cut_back(tmp_path: Path):
    def much(tx: Tx) -> int:
        for _ in range(2500):
            tx.emit("x", {})
        gens = [sessions.open_session(tx, "test") for _ in range(30)]
        sessions.end_sessions(tx, gens[:-1])
        return gens[-1]

    with open_catalog(tmp_path, rehearse=False) as catalog:
        alive = catalog.transact(much)
        cursor = catalog.transact(lambda tx: outbox.open_cursor(tx, "slow"))
        catalog.transact(lambda tx: outbox.advance(tx, cursor, 2300))
        upkeep.keep_up(catalog, retain_events=100)
        assert catalog.read(outbox.oldest) == 2301
        assert catalog.read(sessions.list_open) == [(alive, "test")]
        assert catalog.read(lambda tx: tx.execute("SELECT count(*) FROM sessions").scalar()) == 1


def test_a_file_that_is_mostly_free_shrinks(tmp_path: Path):
    with open_catalog(tmp_path, rehearse=False) as catalog:
        count = lambda tx: int(tx.execute("PRAGMA page_count").scalar())  # noqa: E731
        before = catalog.read(count)
        fill = "INSERT INTO events (topic, payload, at_us) VALUES ('x', hex(zeroblob(6000)), 0)"
        catalog.transact(lambda tx: [tx.execute(fill) for _ in range(2000)])
        full = catalog.read(count)
        upkeep.keep_up(catalog, retain_events=1)
        assert full > before + 5000
        assert catalog.read(count) < before + 2500
        assert catalog.read(lambda tx: tx.execute("PRAGMA integrity_check").scalar()) == "ok"


def test_the_thread_cuts_back_and_ends(tmp_path: Path):
    with open_catalog(tmp_path, rehearse=False) as catalog:
        gens = catalog.transact(lambda tx: [sessions.open_session(tx, "test") for _ in range(3)])
        catalog.transact(sessions.end_all)
        thread = upkeep.Upkeep(catalog, pause_s=0.001)
        thread.start()
        count = lambda tx: tx.execute("SELECT count(*) FROM sessions").scalar()  # noqa: E731
        while catalog.read(count) > 1:
            catalog.wake.wait(catalog.wake.seq, 0.01)
        thread.stop()
        thread.stop()
        assert len(gens) == 3
