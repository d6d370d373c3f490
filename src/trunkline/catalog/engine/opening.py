"""A catalog in a file of its own: its parts, made when it is opened."""

from __future__ import annotations

from functools import partial

from sqlalchemy import Connection, Engine

from trunkline.ambient import Ambient
from trunkline.catalog import migrate
from trunkline.catalog.engine.catalog import Parts
from trunkline.catalog.engine.failures import in_words, undecodable
from trunkline.catalog.engine.readers import Readers
from trunkline.catalog.engine.rehearsal import Rehearsal
from trunkline.catalog.engine.sqlite import Settings, SqliteReading, SqliteWriting, copy_file, make_engine, open_writer
from trunkline.catalog.engine.wake import Wake
from trunkline.catalog.engine.writer import Writer


def open_file(settings: Settings, ambient: Ambient, readers: int, *, rehearse: bool) -> Parts:
    """The parts of a catalog on a file, which is made or migrated. Raises as `Catalog.open`."""
    engine = make_engine(settings)
    connection, newest = _connect(engine, settings)
    wake = Wake(newest)
    writing = SqliteWriting(connection, settings)
    writer = Writer(writing, wake, ambient, Rehearsal(engine) if rehearse else None)
    return Parts(writer, Readers(partial(SqliteReading, engine), ambient, readers), wake, partial(copy_file, engine))


def _connect(engine: Engine, settings: Settings) -> tuple[Connection, int]:
    """The writing connection, its tables brought up to date; and the number of the newest event."""
    connection: Connection | None = None
    try:
        connection = open_writer(engine, settings)
        return connection, migrate.bring_up_to_date(connection, str(settings.path))
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, UnicodeDecodeError):
            raise undecodable(error) from error
        told = in_words(error, isinstance(error, engine.dialect.loaded_dbapi.Error))
        if told is error:
            raise
        raise told from error
