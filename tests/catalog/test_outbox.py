"""The outbox: order, cursors with fences, what is retained."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.catalog import outbox
from trunkline.catalog.engine import Catalog, Tx
from trunkline.errors import Aborted, Internal
from trunkline.testing.catalogs import open_catalog, run_and_kill


@pytest.fixture
def catalog(tmp_path: Path):
    with open_catalog(tmp_path) as catalog:
        yield catalog


def emit(catalog: Catalog, *topics: str) -> None:
    def f(tx: Tx) -> None:
        for number, topic in enumerate(topics):
            tx.emit(topic, {"number": number, "text": "zażółć"})

    catalog.transact(f)


def seqs(events: list[outbox.Event] | None) -> list[int]:
    assert events is not None
    return [event.seq for event in events]


def test_events_come_in_the_order_of_emission(catalog: Catalog):
    emit(catalog, "a", "b")
    emit(catalog, "a")
    found = catalog.read(lambda tx: outbox.read_after(tx, 0, 10))
    assert [(event.seq, event.topic, event.payload["number"]) for event in found] == [
        (1, "a", 0),
        (2, "b", 1),
        (3, "a", 0),
    ]
    assert found[0].payload["text"] == "zażółć"
    assert found[0].at_us == found[1].at_us < found[2].at_us
    assert seqs(catalog.read(lambda tx: outbox.read_after(tx, 1, 1))) == [2]
    assert seqs(catalog.read(lambda tx: outbox.read_after(tx, 0, 10, ["a"]))) == [1, 3]


def test_a_failed_function_emits_nothing_and_leaves_no_gap_behind_a_cursor(catalog: Catalog):
    def fails(tx: Tx) -> None:
        tx.emit("a", {})
        raise Aborted("no")

    with pytest.raises(Aborted):
        catalog.transact(fails)
    emit(catalog, "a")
    assert seqs(catalog.read(lambda tx: outbox.read_after(tx, 0, 10))) == [1]


def test_a_consumer_decides_and_advances_in_one_transaction(catalog: Catalog):
    emit(catalog, "a", "a", "a")
    cursor = catalog.transact(lambda tx: outbox.open_cursor(tx, "controller"))
    assert cursor.position == 0

    def decide(tx: Tx) -> outbox.Cursor:
        (event,) = outbox.read_after(tx, cursor.position, 1)
        tx.emit("decided", {"about": event.seq})
        return outbox.advance(tx, cursor, event.seq)

    cursor = catalog.transact(decide)
    assert catalog.read(lambda tx: outbox.position_of(tx, "controller")) == cursor.position == 1
    assert catalog.read(lambda tx: outbox.position_of(tx, "nobody")) is None
    with pytest.raises(Internal, match="cannot go back"):
        catalog.transact(lambda tx: outbox.advance(tx, cursor, 0))


def test_a_consumer_that_was_replaced_is_refused(catalog: Catalog):
    emit(catalog, "a", "a")
    old = catalog.transact(lambda tx: outbox.open_cursor(tx, "controller"))
    old = catalog.transact(lambda tx: outbox.advance(tx, old, 1))
    new = catalog.transact(lambda tx: outbox.open_cursor(tx, "controller"))
    assert new.position == 1

    def late(tx: Tx) -> None:
        tx.emit("decided", {})
        outbox.advance(tx, old, 2)

    with pytest.raises(Aborted, match="another process reads"):
        catalog.transact(late)
    assert seqs(catalog.read(lambda tx: outbox.read_after(tx, 0, 10))) == [1, 2]
    assert catalog.transact(lambda tx: outbox.advance(tx, new, 2)).position == 2


def test_events_go_when_every_cursor_has_passed_but_for_the_newest(catalog: Catalog):
    emit(catalog, *"aaaaaaaaaa")
    fast = catalog.transact(lambda tx: outbox.open_cursor(tx, "fast"))
    slow = catalog.transact(lambda tx: outbox.open_cursor(tx, "slow"))
    catalog.transact(lambda tx: outbox.advance(tx, fast, 10))
    slow = catalog.transact(lambda tx: outbox.advance(tx, slow, 4))
    assert catalog.transact(lambda tx: outbox.trim(tx, retain=3)) == 4
    assert catalog.read(outbox.oldest) == 5
    catalog.transact(lambda tx: outbox.advance(tx, slow, 10))
    assert catalog.transact(lambda tx: outbox.trim(tx, retain=3, limit=2)) == 2
    assert catalog.transact(lambda tx: outbox.trim(tx, retain=3)) == 1
    assert catalog.transact(lambda tx: outbox.trim(tx, retain=0)) == 2  # the newest always stays
    assert catalog.read(outbox.oldest) == 10
    assert catalog.read(outbox.newest) == 10


def test_a_consumer_that_is_gone_for_good_holds_nothing_back(catalog: Catalog):
    emit(catalog, "a", "a")
    catalog.transact(lambda tx: outbox.open_cursor(tx, "old"))
    assert catalog.transact(lambda tx: outbox.trim(tx, retain=1)) == 0
    catalog.transact(lambda tx: outbox.drop_cursor(tx, "old"))
    assert catalog.transact(lambda tx: outbox.trim(tx, retain=1)) == 1


def test_a_watcher_behind_what_is_retained_reads_state_again(catalog: Catalog):
    emit(catalog, *"aaaaa")
    catalog.transact(lambda tx: outbox.trim(tx, retain=2))
    assert catalog.read(lambda tx: outbox.follow(tx, 2, 10)) is None
    assert seqs(catalog.read(lambda tx: outbox.follow(tx, 3, 10))) == [4, 5]
    assert seqs(catalog.read(lambda tx: outbox.follow(tx, 5, 10))) == []


def test_numbers_go_on_after_a_restart(tmp_path: Path):
    with open_catalog(tmp_path) as catalog:
        emit(catalog, "a", "a")
        cursor = catalog.transact(lambda tx: outbox.open_cursor(tx, "c"))
        catalog.transact(lambda tx: outbox.advance(tx, cursor, 2))
        catalog.transact(lambda tx: outbox.trim(tx, retain=0))
    with open_catalog(tmp_path) as catalog:
        assert catalog.wake.seq == 2
        emit(catalog, "a")
        assert catalog.wake.seq == 3
        assert seqs(catalog.read(lambda tx: outbox.follow(tx, 2, 10))) == [3]


def test_an_event_that_is_no_json_is_refused(catalog: Catalog):
    with pytest.raises(TypeError):
        catalog.transact(lambda tx: tx.emit("a", {"bytes": b"x"}))
    assert catalog.read(lambda tx: outbox.read_after(tx, 0, 1)) == []


CONSUMES = """
import os, sys, threading
from trunkline.ambient import RealAmbient
from trunkline.catalog import outbox
from trunkline.catalog.engine import Catalog
catalog = Catalog.open(sys.argv[1], RealAmbient())
cursor = catalog.transact(lambda tx: outbox.open_cursor(tx, "sum"))
def produce():
    while True:
        catalog.transact(lambda tx: tx.emit("in", {}))
threading.Thread(target=produce, daemon=True).start()
while True:
    catalog.wake.wait(cursor.position, 10)
    def consume(tx):
        events = outbox.read_after(tx, cursor.position, 5)
        for event in events:
            if event.topic == "in":
                tx.emit("out", {"of": event.seq})
        return outbox.advance(tx, cursor, events[-1].seq) if events else cursor
    cursor = catalog.transact(consume)
    os.write(1, b"x\\n")
"""


def test_a_consumer_that_is_killed_deals_with_each_event_once(tmp_path: Path):
    for turn in range(1, 4):
        run_and_kill(CONSUMES, tmp_path, lambda lines, turn=turn: len(lines) >= 20 * turn)
    with open_catalog(tmp_path) as catalog:
        done = catalog.read(lambda tx: outbox.position_of(tx, "sum"))
        everything = catalog.read(lambda tx: outbox.read_after(tx, 0, 100_000))
        assert done is not None
        wanted = [event.seq for event in everything if event.topic == "in" and event.seq <= done]
        assert [event.payload["of"] for event in everything if event.topic == "out"] == wanted
        assert len(wanted) > 20
