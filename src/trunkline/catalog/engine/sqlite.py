"""SQLite as we use it: which releases, which settings, how connections are made."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import NullPool

from trunkline.errors import FailedPrecondition

APPLICATION_ID = 0x54524E4B
"""Written into the file's header, so that a file of another program is never taken for a catalog."""

WAL_LIMIT_BYTES = 64 * 1024 * 1024
_BUSY_S = 5.0
STATEMENTS = 512
"""How many statements a connection keeps prepared: more than we have."""

# Two connections that write and checkpoint at the same instant can corrupt the file in these releases of SQLite.
_MENDED = (3, 51, 3)
_MENDED_LINES = {(3, 50): 7, (3, 44): 6}
_FIRST_WITH_WAL = (3, 7, 0)


def driver() -> ModuleType:
    """The DB-API module: pysqlite3 brings a SQLite of its own; without it, the interpreter's, if that one is sound."""
    try:
        import pysqlite3.dbapi2 as module  # type: ignore[import-untyped]
    except ImportError:
        import sqlite3 as module
    check_release(module.sqlite_version_info)
    return module  # type: ignore[no-any-return]


def check_release(version: tuple[int, ...]) -> None:
    """Refuse releases of SQLite whose write-ahead log can corrupt the file. Raises FailedPrecondition."""
    mended = version >= _MENDED or version[2] >= _MENDED_LINES.get((version[0], version[1]), 1_000)
    if mended and version >= _FIRST_WITH_WAL:
        return
    found = ".".join(map(str, version))
    raise FailedPrecondition(
        f"SQLite {found} can corrupt a catalog (its write-ahead log has a known fault, mended in 3.51.3, 3.50.7 and "
        "3.44.6); install the package pysqlite3 0.6.1 or later, which brings a sound one"
    )


class Settings:
    """How a catalog file is opened. synchronous: FULL keeps every acknowledged write through a power cut."""

    def __init__(self, path: Path, synchronous: str = "FULL", wal_limit_bytes: int = WAL_LIMIT_BYTES) -> None:
        if synchronous not in ("FULL", "NORMAL", "OFF"):
            raise FailedPrecondition(f'synchronous is "{synchronous}"; it can be FULL, NORMAL or OFF')
        self.path = path
        self.synchronous = synchronous
        self.wal_limit_bytes = wal_limit_bytes


def make_engine(settings: Settings) -> Engine:
    """SQLAlchemy's side: one cache of compiled statements for all connections, no pool, no transactions of its own."""
    module = driver()

    def connect() -> Any:
        # No isolation level: BEGIN and COMMIT are ours, the driver adds none.
        raw = module.connect(
            str(settings.path),
            timeout=_BUSY_S,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=STATEMENTS,
        )
        raw.execute(f"PRAGMA synchronous = {settings.synchronous}")
        raw.execute("PRAGMA foreign_keys = ON")
        raw.execute("PRAGMA temp_store = MEMORY")
        raw.execute("PRAGMA trusted_schema = OFF")
        return raw

    engine = create_engine(
        "sqlite+pysqlite://", module=module, creator=connect, poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )
    # SQLAlchemy and alembic end a transaction here and there, in the belief that it is theirs.
    for verb in ("do_begin", "do_commit", "do_rollback"):
        setattr(engine.dialect, verb, _nothing)
    return engine


def _nothing(_connection: object) -> None:
    """Ours to do."""


def open_writer(engine: Engine, settings: Settings) -> Connection:
    """The only connection that changes anything. Turns the log on; the file must be ours or empty."""
    connection = engine.connect()
    raw = raw_of(connection)
    owner = raw.execute("PRAGMA application_id").fetchone()[0]
    if owner != APPLICATION_ID:
        if owner != 0 or raw.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            connection.close()
            raise FailedPrecondition(f"{settings.path} is a SQLite file of another program, not a catalog")
        # Both can only be chosen while the file is empty.
        raw.execute("PRAGMA auto_vacuum = INCREMENTAL")
        raw.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute(f"PRAGMA journal_size_limit = {settings.wal_limit_bytes}")
    raw.execute("PRAGMA cache_size = -16000")
    # Rows hold small files: what was deleted shall not stay readable in free pages (I-15).
    raw.execute("PRAGMA secure_delete = ON")
    return connection


def open_reader(engine: Engine) -> Connection:
    """A connection that sees snapshots and can change nothing."""
    connection = engine.connect()
    raw_of(connection).execute("PRAGMA query_only = ON")
    return connection


def raw_of(connection: Connection) -> Any:
    """The driver's own connection, for what SQLAlchemy has no words for."""
    return connection.connection.dbapi_connection
