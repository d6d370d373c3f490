"""A catalog in memory, in the caller's own thread: the tables and queries of the real one, without its files.

For tests that make thousands of small worlds. One connection does everything, so a read inside a transaction, a
transaction inside a read, and two threads at once are refused or wrong here as they are there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import NullPool

from trunkline.ambient import Ambient
from trunkline.catalog import migrate
from trunkline.catalog.engine import Catalog, Tx
from trunkline.catalog.engine.sqlite import FileLine, driver, raw_of
from trunkline.catalog.engine.tx import Scope, Seed, end, flush, names_of
from trunkline.catalog.engine.wake import Wake
from trunkline.catalog.engine.writer import Counts
from trunkline.errors import Internal


@cache
def _engine() -> Engine:
    """One for all of them, so that a statement is compiled once in a process and not once in a world."""
    module = driver()

    def connect() -> Any:
        raw = module.connect(":memory:", isolation_level=None, check_same_thread=False)
        raw.execute("PRAGMA foreign_keys = ON")
        return raw

    engine = create_engine(
        "sqlite+pysqlite://", module=module, creator=connect, poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )
    for verb in ("do_begin", "do_commit", "do_rollback"):
        setattr(engine.dialect, verb, lambda _connection: None)
    return engine


@cache
def _pristine() -> Connection:
    """An empty catalog, to copy."""
    connection = _engine().connect()
    migrate.bring_up_to_date(connection, ":memory:")
    return connection


class Killed(BaseException):
    """The process is gone: nothing that runs may catch it, and no more calls have any effect."""


class InlineCatalog(Catalog):
    """Stands for `Catalog`. Its rows outlive `close`: `reopen` is the start of the next server, `forget` their end.

    rows: another one, whose rows this one begins with.
    """

    def __init__(self, folder: Path, ambient: Ambient, rows: InlineCatalog | None = None) -> None:
        self._folder = folder
        self._ambient = ambient
        self._counts = Counts()
        self._busy = ""
        self._left: int | None = None
        self._after = False
        self._dead = False
        self._connection = _engine().connect()
        self._raw = raw_of(self._connection)
        self._line = FileLine(self._connection)
        raw_of(rows._connection if rows else _pristine()).backup(self._raw)
        self.reopen()

    def reopen(self) -> None:
        """As a server that starts on what the last one left."""
        self._dead, self._left, self._busy = False, None, ""
        self.wake = Wake(int(self._raw.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]))
        self._bury_predecessor()

    def forget(self) -> None:
        """Nothing is left."""
        self._connection.close()

    def kill_at(self, transaction: int, *, after: bool) -> None:
        """Let the server die at the n-th transaction from now, before it is committed or right after that."""
        self._left, self._after = transaction, after

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """A look at the rows beside all transactions, also at those of the dead."""
        return list(self._raw.execute(query, values).fetchall())

    def counted(self, deed: Callable[[], object]) -> tuple[int, int]:
        """Do something; how many statements that took, and how many steps of SQLite's machine: they grow with rows."""
        statements, steps = 0, 0

        def step() -> int:
            nonlocal steps
            steps += 1
            return 0

        def statement(_text: str) -> None:
            nonlocal statements
            statements += 1

        self._raw.set_progress_handler(step, 1)
        self._raw.set_trace_callback(statement)
        try:
            deed()
        finally:
            self._raw.set_progress_handler(None, 1)
            self._raw.set_trace_callback(None)
        return statements, steps

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def alone(self) -> bool:
        return True

    def led(self, epoch: int) -> Catalog:
        raise Internal(f"nobody else could lead: there is no term {epoch}")

    @property
    def counts(self) -> Counts:
        return self._counts

    def read(self, f: Callable[[Tx], Any]) -> Any:
        return self._within("read", lambda: self._look(f))

    def close(self) -> None:
        self.wake.close()

    def _look(self, f: Callable[[Tx], Any]) -> Any:
        self._raw.execute("BEGIN")
        tx = Tx(
            Scope(self._connection, self._line, lambda: True, is_write=False, events=[]),
            Seed(self._ambient.now_us(), 0),
        )
        try:
            return f(tx)
        finally:
            end(tx)
            self._raw.execute("ROLLBACK")

    def _run(self, f: Callable[[Tx], Any], seed: Seed | None, *, keep: bool) -> Any:
        return self._within("transaction", lambda: self._change(f, seed or Seed.draw(self._ambient), keep))

    def _change(self, f: Callable[[Tx], Any], seed: Seed, keep: bool) -> Any:
        self._left = None if self._left is None else self._left - 1
        self._dead = self._left == 0
        if self._dead and not self._after:
            raise Killed
        self._raw.execute("BEGIN")
        tx = Tx(Scope(self._connection, self._line, lambda: self._raw.in_transaction, is_write=True, events=[]), seed)
        try:
            value = f(tx)
            last = flush(tx)
        except BaseException:
            self._raw.execute("ROLLBACK")
            raise
        finally:
            end(tx)
        self._raw.execute("COMMIT" if keep else "ROLLBACK")
        self._counts.functions += 1
        if self._dead:
            raise Killed
        if keep and last:
            self.wake.set(last, names_of(tx))
        return value

    def _within(self, what: str, act: Callable[[], Any]) -> Any:
        if self._dead:
            raise Killed
        if self._busy:
            raise Internal(f"a {what} inside a {self._busy}: pass the tx on instead")
        self._busy = what
        try:
            return act()
        finally:
            self._busy = ""
