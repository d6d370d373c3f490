"""A few read-only connections, each lent to one reading function at a time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from trunkline.ambient import Ambient
from trunkline.catalog.engine.failures import code_of, in_words, undecodable
from trunkline.catalog.engine.sqlite import driver, open_reader, raw_of
from trunkline.catalog.engine.tx import Scope, Seed, Tx, end
from trunkline.errors import Internal, Unavailable

T = TypeVar("T")


class Readers:
    """Opens connections as they are needed, up to `limit`; a function beyond that waits for one to come back."""

    def __init__(self, engine: Engine, ambient: Ambient, limit: int) -> None:
        self._engine = engine
        self._ambient = ambient
        self._idle: queue.LifoQueue[Connection | None] = queue.LifoQueue()
        self._limit = limit
        self._closed = False
        self._busy = threading.local()
        for _ in range(limit):
            self._idle.put(None)  # a place whose connection is still to be opened

    def read(self, f: Callable[[Tx], T]) -> T:
        """Run `f` on one snapshot of the rows."""
        if getattr(self._busy, "yes", False):
            raise Internal("a read inside a read could wait for ever: pass the tx on instead")
        connection = None if self._closed else self._idle.get()
        self._busy.yes = True
        try:
            if self._closed:
                raise Unavailable("the catalog is closed")
            connection = connection or self._opened()
            return self._snapshot(connection, f)
        finally:
            self._busy.yes = False
            self._idle.put(connection)

    def copy_to(self, path: Path) -> None:
        """See `Catalog.copy_to`. It has a connection of its own, since it takes as long as the file is large."""
        source = self._opened()
        raw = raw_of(source)
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

    def close(self) -> None:
        """Take no more reads, wait for those that run, close the connections. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        for connection in [self._idle.get() for _ in range(self._limit)]:
            if connection is not None:
                connection.close()
            self._idle.put(None)  # lets those go on that wait for a place; they find it closed

    def _opened(self) -> Connection:
        try:
            return open_reader(self._engine)
        except UnicodeDecodeError as error:
            raise undecodable(error) from error
        except DBAPIError as error:
            raise in_words(error, is_driver=True) from error

    def _snapshot(self, connection: Connection, f: Callable[[Tx], T]) -> T:
        raw = raw_of(connection)
        tx = Tx(Scope(connection, lambda: raw.in_transaction, is_write=False, events=[]), Seed.draw(self._ambient))
        try:
            raw.execute("BEGIN")
            return f(tx)
        except Exception as error:
            if code_of(error) == "SQLITE_READONLY":
                raise Internal("a read tried to change rows; that is for transact") from error
            told = in_words(error, isinstance(error, raw.Error))
            if told is error:
                raise
            raise told from error
        finally:
            end(tx)
            if raw.in_transaction:
                raw.execute("ROLLBACK")
