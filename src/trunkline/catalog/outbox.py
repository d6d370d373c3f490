"""The outbox: events written with the transaction that caused them, and how far each consumer has come.

`Tx.emit` writes. A durable consumer has a named cursor, moved in the transaction of its own decision, so that each
event is dealt with once. A watcher (a door) reads state, remembers a position and follows; behind what is retained it
reads state again. Order is `seq`, never time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from trunkline.ambient import Micros
from trunkline.catalog.engine import Fixed, Tx, given, some
from trunkline.catalog.tables import cursors, events
from trunkline.errors import Aborted, Internal


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened."""

    seq: int
    topic: str
    payload: dict[str, Any]
    at_us: Micros


@dataclass(frozen=True, slots=True)
class Cursor:
    """A durable consumer's hold on its cursor: who opens it later gets a higher fence and shuts this one out."""

    name: str
    position: int
    fence: int


_AFTER = select(events).where(events.c.seq > given("after")).order_by(events.c.seq).limit(given("most"))
_READ = Fixed(_AFTER)
_READ_TOPICS = Fixed(_AFTER.where(events.c.topic.in_(some("topics"))))
_ADVANCE = Fixed(
    update(cursors).where(cursors.c.name == given("of"), cursors.c.fence == given("under")).values(position=given("to"))
)
_NEWEST = Fixed(select(func.max(events.c.seq), select(func.max(cursors.c.position)).scalar_subquery()))
_OLDEST = Fixed(select(func.min(events.c.seq)))


def open_cursor(tx: Tx, name: str) -> Cursor:
    """Take a cursor over, or start one before the oldest event there is."""
    change = update(cursors).where(cursors.c.name == name).values(fence=cursors.c.fence + 1)
    row = tx.execute(change.returning(cursors.c.position, cursors.c.fence)).first()
    if row is not None:
        return Cursor(name, row.position, row.fence)
    start = oldest(tx) - 1
    tx.execute(insert(cursors).values(name=name, position=start, fence=1))
    return Cursor(name, start, 1)


def read_after(tx: Tx, position: int, limit: int, topics: Sequence[str] = ()) -> list[Event]:
    """The first `limit` events later than `position`, in order; of some topics only, where any are named."""
    values = {"after": position, "most": limit}
    rows = tx.execute(_READ_TOPICS, {**values, "topics": list(topics)}) if topics else tx.execute(_READ, values)
    return [Event(row.seq, row.topic, json.loads(row.payload), row.at_us) for row in rows]


def follow(tx: Tx, position: int, limit: int, topics: Sequence[str] = ()) -> list[Event] | None:
    """As `read_after`, for a watcher. None: some of what it has not seen is gone, it must read state again."""
    return None if position < oldest(tx) - 1 else read_after(tx, position, limit, topics)


def advance(tx: Tx, cursor: Cursor, position: int) -> Cursor:
    """Say that everything up to `position` is dealt with, in the transaction of the decision about it.

    Answers the cursor as it is then. Raises Aborted when another consumer has opened it since: its decisions count.
    """
    if position < cursor.position:
        raise Internal(f"cursor {cursor.name} cannot go back from {cursor.position} to {position}")
    values = {"of": cursor.name, "under": cursor.fence, "to": position}
    if tx.execute(_ADVANCE, values).rowcount == 0:
        raise Aborted(f"another process reads the events of {cursor.name} now; this one stops")
    return Cursor(cursor.name, position, cursor.fence)


def position_of(tx: Tx, name: str) -> int | None:
    """How far a consumer has come; None: there is no such cursor."""
    found = tx.execute(select(cursors.c.position).where(cursors.c.name == name)).scalar()
    return None if found is None else int(found)


def drop_cursor(tx: Tx, name: str) -> None:
    """Forget a consumer that is gone for good, so that its events can go."""
    tx.execute(delete(cursors).where(cursors.c.name == name))


def newest(tx: Tx) -> int:
    """Number of the newest event in this snapshot: state read beside it contains what all events up to it tell."""
    retained, passed = tx.execute(_NEWEST).one()
    return max(retained or 0, passed or 0)


def oldest(tx: Tx) -> int:
    """Number of the oldest event that can still be read, or of the next one to come where there is none."""
    found = tx.execute(_OLDEST).scalar()
    return newest(tx) + 1 if found is None else int(found)


def trim(tx: Tx, retain: int, limit: int = 1000) -> int:
    """Delete up to `limit` of the oldest events that every cursor has passed, but for the newest `retain` of all.

    The newest event always stays: numbers go on from it. Answers how many were deleted.
    """
    passed = tx.execute(select(func.min(cursors.c.position))).scalar()
    last = newest(tx) - max(retain, 1)
    if passed is not None:
        last = min(last, passed)
    old = select(events.c.seq).where(events.c.seq <= last).order_by(events.c.seq).limit(limit)
    return tx.execute(delete(events).where(events.c.seq.in_(old))).rowcount
