"""A catalog in a database of a PostgreSQL server: its parts, made when it is opened."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from trunkline.ambient import Ambient
from trunkline.catalog import migrate
from trunkline.catalog.engine.catalog import Parts
from trunkline.catalog.engine.postgres import failures
from trunkline.catalog.engine.postgres.connections import Place, check_release, make_engine, raw_of
from trunkline.catalog.engine.postgres.listening import Listener
from trunkline.catalog.engine.postgres.sides import PostgresWriting, opened_when_there
from trunkline.catalog.engine.readers import Readers
from trunkline.catalog.engine.rehearsal import Rehearsal
from trunkline.catalog.engine.wake import Wake
from trunkline.catalog.engine.writer import Writer
from trunkline.catalog.migrate.server import bring_up_to_date


def open_database(place: Place, ambient: Ambient, readers: int, synchronous: str, *, rehearse: bool) -> Parts:
    """The parts of a catalog in a database, whose tables are made or migrated.

    synchronous: OFF acknowledges what a crash of the server may still lose. Raises InvalidArgument,
    FailedPrecondition, Unavailable.
    """
    engine = make_engine(place)
    try:
        with engine.connect() as connection:
            raw = raw_of(connection)
            check_release(raw, place.shown)
            newest = bring_up_to_date(connection, place.shown)
            channel = _channel(raw)
    except Exception as error:
        told = failures.in_words(error, place.shown, place.password)
        if told is error:
            raise
        raise told from None
    wake = Wake(newest)
    writing = PostgresWriting(engine, place, ambient, migrate.NEWEST, channel, durable=synchronous != "OFF")
    writer = Writer(writing, wake, ambient, Rehearsal(engine) if rehearse else None)
    listener = Listener(place, channel, wake, lambda: writing.process)
    reading = Readers(partial(opened_when_there, engine, place, ambient), ambient, readers)
    return Parts(writer, reading, wake, partial(_copy_to, place), listener.close, alone=False)


def _channel(raw: psycopg.Connection[Any]) -> str:
    """Where events of this catalog are announced: one database may hold several, each in a schema of its own."""
    row = raw.execute("SELECT current_schema()").fetchone()
    return "trunkline_" + hashlib.sha256(str(row and row[0]).encode()).hexdigest()[:16]


def _copy_to(place: Place, path: Path) -> None:
    from trunkline.catalog.copies.whole import copy_into  # queries need the engine, so it imports them late

    try:
        with place.connect() as raw:
            copy_into(path, raw)
    except psycopg.Error as error:
        raise failures.in_words(error, place.shown, place.password) from None
