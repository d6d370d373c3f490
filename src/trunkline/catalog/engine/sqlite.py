"""SQLite as we use it: which releases, which settings, how connections are made."""

from __future__ import annotations

from collections.abc import Sequence, Set
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from trunkline.catalog.engine.failures import code_of, in_words, is_fatal, undecodable
from trunkline.catalog.engine.fixed import Changes, Plan
from trunkline.errors import FailedPrecondition, Internal

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


class FileLine:
    """See `fixed.Line`."""

    __slots__ = ("_raw", "dialect")

    def __init__(self, connection: Connection) -> None:
        self.dialect = connection.dialect
        self._raw = raw_of(connection)

    def one(self, plan: Plan, values: Sequence[Any]) -> tuple[list[Any], int]:
        cursor = self._raw.execute(plan.text, values)
        if plan.rows is None:
            return [], cursor.rowcount
        rows = plan.rows(cursor.fetchall())
        return rows, len(rows)

    def many(self, plan: Plan, sets: Sequence[Sequence[Any]]) -> int:
        return int(self._raw.executemany(plan.text, sets).rowcount)

    def again(self, changes: Changes) -> bool:
        for text, alike in groupby(changes, itemgetter(0)):
            # What it answered then is known: the driver takes many at once of those only that answer nothing.
            self._raw.executemany(text.partition(" RETURNING ")[0], [values for _, values in alike])
        return True

    def began(self) -> None:
        """It has begun already."""


class SqliteWriting:
    """The writing connection of a file, and its log: see `writer.Writing`."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self.connection = connection
        self.line = FileLine(connection)
        self.checkpoints = 0
        self._raw = raw_of(connection)
        self._driver_error: type[BaseException] = self._raw.Error
        self._wal = Path(f"{settings.path}-wal")
        self._wal_limit = settings.wal_limit_bytes
        self._fold_above = settings.wal_limit_bytes

    def begin(self) -> None:
        self._raw.execute("BEGIN IMMEDIATE")

    def commit(self, last_event: int, names: Set[str]) -> None:
        self._raw.execute("COMMIT")

    def epoch(self) -> int | None:
        return None

    def rollback(self) -> None:
        if self._raw.in_transaction:
            self._raw.execute("ROLLBACK")

    def settle(self) -> None:
        """Nothing is put off."""

    def run(self, words: str) -> None:
        self._raw.execute(words)

    def sound(self) -> bool:
        return bool(self._raw.in_transaction)

    def lost(self, error: BaseException) -> bool:
        return not self._raw.in_transaction

    def passes(self, error: BaseException) -> bool:
        return False

    def is_fatal(self, error: BaseException) -> bool:
        return is_fatal(error)

    def in_words(self, error: BaseException) -> BaseException:
        return in_words(error, self.is_driver(error))

    def is_driver(self, error: BaseException) -> bool:
        return isinstance(error, self._driver_error)

    def numbers(self) -> object:
        return None

    def restore_numbers(self, numbers: object) -> None:
        """They are rows, and undone as such."""

    def fold_next(self) -> None:
        """Fold the log into the file with the next commit, however small it is."""
        self._fold_above = 0

    def committed(self) -> BaseException | None:
        """Fold a log that has grown large into the file. Readers are not waited for: a later commit tries again."""
        try:
            size = self._wal.stat().st_size
        except OSError:
            return None
        if size <= self._fold_above:
            return None
        self._raw.execute("PRAGMA busy_timeout = 50")
        try:
            busy = self._raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            self.checkpoints += 1
            self._fold_above = size + self._wal_limit // 4 if busy else self._wal_limit
        except self._driver_error as error:
            return error
        finally:
            self._raw.execute("PRAGMA busy_timeout = 5000")
        return None

    def close(self) -> None:
        self.connection.close()


class SqliteReading:
    """A reading connection of a file: see `readers.ReadConnection`."""

    def __init__(self, engine: Engine) -> None:
        try:
            self.connection = open_reader(engine)
        except UnicodeDecodeError as error:
            raise undecodable(error) from error
        except DBAPIError as error:
            raise in_words(error, is_driver=True) from error
        self.line = FileLine(self.connection)
        self._raw = raw_of(self.connection)

    def begin(self) -> None:
        self._raw.execute("BEGIN")

    def end(self) -> None:
        if self._raw.in_transaction:
            self._raw.execute("ROLLBACK")

    def sound(self) -> bool:
        return bool(self._raw.in_transaction)

    def passes(self, error: BaseException) -> bool:
        return False

    def in_words(self, error: BaseException) -> BaseException:
        if code_of(error) == "SQLITE_READONLY":
            return Internal("a read tried to change rows; that is for transact")
        return in_words(error, isinstance(error, self._raw.Error))

    def close(self) -> None:
        self.connection.close()


def copy_file(engine: Engine, path: Path) -> None:
    """A copy of all rows in a new file, by a connection of its own: it takes as long as the file is large.

    Raises ResourceExhausted, Unavailable.
    """
    source = SqliteReading(engine)
    raw = raw_of(source.connection)
    target = driver().connect(str(path), isolation_level=None)
    try:
        raw.backup(target)
        # A copy is one file, without a log beside it.
        target.execute("PRAGMA journal_mode = DELETE")
    except Exception as error:
        told = in_words(error, isinstance(error, raw.Error))
        if told is error:
            raise
        raise told from error
    finally:
        target.close()
        source.close()
