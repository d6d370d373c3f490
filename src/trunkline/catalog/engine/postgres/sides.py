"""The two kinds of connections: one that writes, in turns with those of other processes, and several that read."""

from __future__ import annotations

import contextlib
from collections.abc import Set
from typing import Any, cast

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine

from trunkline.ambient import Ambient
from trunkline.catalog.engine.postgres import failures
from trunkline.catalog.engine.postgres.connections import Place, raw_of
from trunkline.catalog.engine.postgres.failures import Repeat
from trunkline.catalog.engine.postgres.line import ServerLine
from trunkline.catalog.engine.postgres.listening import told
from trunkline.catalog.engine.writer import RELEASE
from trunkline.errors import FailedPrecondition, Internal, Unavailable

PATIENCE_S = 20.0
"""How long a server that cannot be reached is waited for: it may be starting anew."""
PAUSE_S = 0.2

# The lock is asked for before the snapshot is taken, so that this transaction sees all that came before its turn.
_BEGIN = ("BEGIN ISOLATION LEVEL REPEATABLE READ", "LOCK TABLE schema_version IN EXCLUSIVE MODE")
_TURN = "SELECT pg_current_xact_id()::text, version, (SELECT epoch FROM leader) FROM schema_version"


class PostgresWriting:
    """The connection that writes: see `writer.Writing`. It comes back by itself when it breaks.

    One transaction at a time over all processes, by a lock that the server takes back from who does nothing with it.
    """

    def __init__(
        self, engine: Engine, place: Place, ambient: Ambient, version: int, channel: str, *, durable: bool = True
    ) -> None:
        """version: of the tables. channel: where events are announced. durable: COMMIT waits for the server's disk."""
        self.checkpoints = 0
        self._engine, self._place, self._ambient = engine, place, ambient
        self._version, self._channel, self._durable = version, channel, durable
        self._open: Connection | None = None
        self._raw: Any = None
        self._line: Any = None
        self._unsaid = ""
        self._transaction = ""
        self._epoch: int | None = None

    @property
    def connection(self) -> Connection:
        """The connection as SQLAlchemy sees it."""
        if self._open is None:
            raise Internal("there is no transaction")
        return self._open

    @property
    def line(self) -> ServerLine:
        """The connection without SQLAlchemy."""
        if self._line is None:
            raise Internal("there is no transaction")
        found: ServerLine = self._line
        return found

    def begin(self) -> None:
        """Wait for the turn. Raises FailedPrecondition where a newer release has changed the tables."""
        until = self._ambient.ticks_s() + PATIENCE_S
        while True:
            try:
                self._transaction, version, self._epoch = self._turn()
                break
            except psycopg.Error as error:
                self._drop()
                if not failures.is_broken(error) or self._ambient.ticks_s() > until:
                    raise
            self._ambient.sleep(PAUSE_S)
        if version != self._version:
            self.rollback()
            raise FailedPrecondition(
                f"another release of Trunkline has changed the tables of {self._place.shown} (version {version}, this "
                f"one knows {self._version}); start that release here too"
            )

    def _turn(self) -> tuple[str, int, int | None]:
        if self._open is None:
            self._connect()
        self._unsaid = ""
        (found,) = self._line.begin(_BEGIN, _TURN)
        return cast("tuple[str, int, int | None]", found)

    def _connect(self) -> None:
        self._open = _connected(self._engine)
        self._raw = raw_of(self._open)
        self._line = ServerLine(self._raw, writes=True)
        if not self._durable:
            self._raw.execute("SET synchronous_commit = off")

    @property
    def process(self) -> int:
        """The server's number of this connection, 0 while there is none."""
        return int(self._raw.info.backend_pid) if self._raw is not None else 0

    def commit(self, last_event: int, names: Set[str]) -> None:
        """Raises Repeat where the connection broke and nothing was kept."""
        words = ["COMMIT"]
        if last_event:
            words.insert(0, f"NOTIFY \"{self._channel}\", '{told(last_event, names)}'")
        try:
            self._line.end(words)
        except psycopg.Error as error:
            if not failures.is_broken(error):
                raise
            if not self._was_kept():
                raise Repeat from error

    def _was_kept(self) -> bool:
        """What became of the transaction whose COMMIT was not answered. Raises Unavailable when nobody can say."""
        until = self._ambient.ticks_s() + PATIENCE_S
        while self._ambient.ticks_s() <= until:
            self._drop()
            with contextlib.suppress(psycopg.Error):
                self._connect()
                query = "SELECT pg_xact_status(%s::text::xid8)"
                found = self._raw.execute(query, (self._transaction,)).fetchone()[0]
                if found != "in progress":
                    return bool(found == "committed")
            self._ambient.sleep(PAUSE_S)
        raise Unavailable(
            f"the connection to the database {self._place.shown} broke and does not come back; "
            "whether this request was saved is unknown"
        )

    def epoch(self) -> int | None:
        return self._epoch  # nobody else can change it during this turn

    def rollback(self) -> None:
        if self._open is None:
            return
        self._line.forget()
        try:
            if self._raw.info.transaction_status != TransactionStatus.IDLE:
                self._line.say("ROLLBACK")
        except psycopg.Error:
            self._drop()

    def _drop(self) -> None:
        if self._open is not None:
            with contextlib.suppress(Exception):
                self._raw.close()
                self._open.invalidate()
            with contextlib.suppress(Exception):
                self._open.close()
        self._open = self._raw = self._line = None

    def run(self, words: str) -> None:
        if words == RELEASE:  # another savepoint comes, or the end: it can wait for that
            self._unsaid = f"{RELEASE}; "
            return
        if words.startswith("ROLLBACK"):
            self._line.forget()
        words, self._unsaid = self._unsaid + words, ""
        self._line.say(words)

    def settle(self) -> None:
        self._line.done()

    def sound(self) -> bool:
        return bool(self._raw is not None and self._raw.info.transaction_status == TransactionStatus.INTRANS)

    def lost(self, error: BaseException) -> bool:
        status = self._raw.info.transaction_status
        return failures.passes(error) or status not in (TransactionStatus.INTRANS, TransactionStatus.INERROR)

    def passes(self, error: BaseException) -> bool:
        return failures.passes(error)

    def is_driver(self, error: BaseException) -> bool:
        return isinstance(error, Repeat) or failures.driver_error(error) is not None

    def is_fatal(self, error: BaseException) -> bool:
        return failures.is_fatal(error)

    def in_words(self, error: BaseException) -> BaseException:
        return failures.in_words(error, self._place.shown, self._place.password)

    def numbers(self) -> dict[str, int | None]:
        query = "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = current_schema()"
        return dict(self._raw.execute(query).fetchall())

    def restore_numbers(self, numbers: object) -> None:
        before: Any = numbers
        for name, value in self.numbers().items():
            if before[name] != value:
                given = (name, before[name] or 1, before[name] is not None)
                self._raw.execute("SELECT setval(%s::text::regclass, %s, %s)", given)

    def fold_next(self) -> None:
        """The server tidies up by itself."""

    def committed(self) -> BaseException | None:
        return None

    def close(self) -> None:
        self._drop()


class PostgresReading:
    """A connection that reads: see `readers.ReadConnection`."""

    def __init__(self, engine: Engine, place: Place) -> None:
        self._place = place
        try:
            self.connection = _connected(engine)
        except psycopg.Error as error:
            raise failures.in_words(error, place.shown, place.password) from None
        self._raw = raw_of(self.connection)
        self.line = ServerLine(self._raw)

    def begin(self) -> None:
        self.line.begin_with_next("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def end(self) -> None:
        with contextlib.suppress(psycopg.Error):  # a broken connection has nothing to let go
            self.line.roll_back_later()

    def sound(self) -> bool:
        return self.line.sound()

    def passes(self, error: BaseException) -> bool:
        return failures.passes(error)

    def in_words(self, error: BaseException) -> BaseException:
        told = failures.driver_error(error)
        if told is not None and told.sqlstate == "25006":
            return Internal("a read tried to change rows; that is for transact")
        return failures.in_words(error, self._place.shown, self._place.password)

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._raw.close()
            self.connection.invalidate()
        with contextlib.suppress(Exception):
            self.connection.close()


def opened_when_there(engine: Engine, place: Place, ambient: Ambient) -> PostgresReading:
    """A reading connection, waiting for a server that is starting anew. Raises Unavailable, FailedPrecondition."""
    until = ambient.ticks_s() + PATIENCE_S
    while True:
        try:
            return PostgresReading(engine, place)
        except Unavailable:
            if ambient.ticks_s() > until:
                raise
        ambient.sleep(PAUSE_S)


def _connected(engine: Engine) -> Connection:
    """Raises psycopg.Error, which SQLAlchemy wraps in errors of its own."""
    try:
        return engine.connect()
    except Exception as error:
        raise failures.driver_error(error) or error from None
