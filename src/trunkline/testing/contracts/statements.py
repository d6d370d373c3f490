"""The promises of `trunkline.catalog.engine.Fixed`, whatever database is behind it: what SQLAlchemy itself would do."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from trunkline.catalog.engine import Catalog, Fixed, Tx, given, some
from trunkline.catalog.tables import chunks, cursors, events, holders
from trunkline.catalog.tables_pps import pipelines
from trunkline.errors import Internal, InvalidArgument

ADD = Fixed(insert(cursors))
MOVE = Fixed(update(cursors).where(cursors.c.name == given("of")).values(position=given("to")))
CLEAR = Fixed(delete(cursors))
_ADD_ONE = Fixed(insert(pipelines).returning(pipelines.c.key))
_CHANGE = Fixed(update(pipelines).where(pipelines.c.key == given("at")))
_MORE = Fixed(
    update(pipelines).where(pipelines.c.key == given("at")).values(version=pipelines.c.version + given("more"))
)
_AMONG = Fixed(select(pipelines).where(pipelines.c.key.in_(some("keys"))).order_by(pipelines.c.key))
_NOT_STOPPED = Fixed(
    select(pipelines.c.name)
    .where(pipelines.c.stopped.is_(False), pipelines.c.state == "RUNNING")
    .order_by(pipelines.c.key.desc())
)
_REMOVE = Fixed(delete(pipelines).where(pipelines.c.key.in_(some("keys"))))
_CURSORS = Fixed(select(cursors.c.name, cursors.c.position).order_by(cursors.c.position, cursors.c.name))
_EVENTS = Fixed(select(events.c.seq, events.c.topic).where(events.c.seq > given("after")).order_by(events.c.seq))
_HOLD = Fixed(insert(holders))
_CHUNK = Fixed(insert(chunks))
_CHUNK_OF = Fixed(select(chunks).where(chunks.c.hash == given("hash")))


def story(tx: Tx) -> list[Any]:
    """A bit of everything; what it came to."""
    told: list[Any] = []
    new = {"project": "default", "version": 1, "state": "RUNNING", "created_us": 5, "updated_us": 1 << 60}
    keys = [int(tx.execute(_ADD_ONE, {**new, "name": name}).scalar()) for name in ("a", "ä%s$1'", "c")]
    told.append(tx.execute(_CHANGE, {"at": keys[0], "stopped": True, "reason": "x"}).rowcount)
    told.append(tx.execute(_CHANGE, {"at": 99, "reason": "y"}).rowcount)
    told.append(tx.execute(_MORE, {"at": keys[1], "more": 41}).rowcount)
    for wanted in (keys, keys[1:], [], [keys[2]], keys):
        rows = tx.execute(_AMONG, {"keys": wanted})
        told.append([(row.name, row.version, row.stopped, row.up_us, row.metadata, row.updated_us) for row in rows])
    told.append(tx.execute(_NOT_STOPPED).scalars())
    told.append(tx.execute(_REMOVE, {"keys": keys[:2]}).rowcount)
    return told


class StatementContract:
    """Supply the fixture `catalog`: a fresh one for each test, which the fixture closes."""

    def test_a_fixed_statement_does_what_it_says(self, catalog: Catalog) -> None:
        told = catalog.transact(story)
        whole = [
            ("a", 1, True, None, "{}", 1 << 60),
            ("ä%s$1'", 42, False, None, "{}", 1 << 60),
            ("c", 1, False, None, "{}", 1 << 60),
        ]
        assert told == [1, 0, 1, whole, whole[1:], [], whole[2:], whole, ["c", "ä%s$1'"], 2]

    @pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 150])
    def test_rows_of_any_number_are_kept_in_their_order(self, catalog: Catalog, count: int) -> None:
        rows = [{"name": f"n{at}", "position": at, "fence": 1} for at in range(count)]
        assert catalog.transact(lambda tx: tx.execute(ADD, rows)).rowcount in (count, -1)
        moves = [{"of": f"n{at}", "to": count - at} for at in range(count)]
        catalog.transact(lambda tx: tx.execute(MOVE, moves))
        found = [tuple(row) for row in catalog.read(lambda tx: tx.execute(_CURSORS))]
        assert found == [(f"n{count - at}", at) for at in range(1, count + 1)]

        def tell(tx: Tx) -> None:
            for at in range(count):
                tx.emit(f"t{at}", {})

        catalog.transact(tell)
        told = [tuple(row) for row in catalog.read(lambda tx: tx.execute(_EVENTS, {"after": 0}))]
        assert told == [(at + 1, f"t{at}") for at in range(count)]

    def test_bytes_come_back_as_they_are(self, catalog: Catalog) -> None:
        for hash_ in (b"\0" * 32, bytes(range(32)), b"\\x41" * 8, b"\xff" * 32):
            kept = catalog.transact(lambda tx, hash_=hash_: _chunk(tx, hash_))  # type: ignore[misc]
            assert kept == hash_

    def test_a_rule_that_it_breaks_is_told_in_words_and_the_next_one_goes_on(self, catalog: Catalog) -> None:
        with pytest.raises(Internal, match="a change would break a rule of the catalog"):
            catalog.transact(lambda tx: tx.execute(_HOLD, {"fileset_id": "none", "kind": "k", "key": "1"}))
        twice = [{"name": "x", "position": 1, "fence": 1}] * 2
        with pytest.raises(Internal, match="a change would break a rule of the catalog"):
            catalog.transact(lambda tx: tx.execute(ADD, twice))
        for _ in range(2):  # as the first statement of a snapshot, and as a later one
            with pytest.raises(Internal, match="a read tried to change rows"):
                catalog.read(lambda tx: tx.execute(_REMOVE, {"keys": [1]}))
            with pytest.raises(Internal, match="a read tried to change rows"):
                catalog.read(lambda tx: (tx.execute(_CURSORS), tx.execute(_REMOVE, {"keys": [1]})))
        assert catalog.read(lambda tx: len(tx.execute(_CURSORS))) == 0
        assert catalog.transact(story)[0] == 1

    def test_a_text_with_a_zero_in_it_is_kept_whole_or_refused(self, catalog: Catalog) -> None:
        try:
            catalog.transact(lambda tx: tx.execute(ADD, {"name": "a\0b", "position": 0, "fence": 0}))
            kept = ["a\0b"]
        except InvalidArgument:
            kept = []
        assert catalog.read(lambda tx: tx.execute(_CURSORS).scalars()) == kept

    def test_a_snapshot_stays_as_it_was_when_it_was_first_looked_at(self, catalog: Catalog) -> None:
        def look(tx: Tx) -> tuple[int, int]:
            before = len(tx.execute(_CURSORS))
            return before, len(tx.execute("SELECT 1 FROM cursors"))

        catalog.transact(lambda tx: tx.execute(ADD, {"name": "a", "position": 0, "fence": 0}))
        assert catalog.read(look) == (1, 1)
        assert catalog.read(lambda tx: (len(tx.execute("SELECT 1 FROM cursors")), *look(tx))) == (1, 1, 1)


def _chunk(tx: Tx, hash_: bytes) -> bytes:
    tx.execute(_CHUNK, {"hash": hash_, "gen": 1, "size_bytes": 1, "stored_bytes": 1})
    return bytes(tx.execute(_CHUNK_OF, {"hash": hash_}).one().hash)
