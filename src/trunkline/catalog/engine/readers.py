"""A few read-only connections, each lent to one reading function at a time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from trunkline.ambient import Ambient
from trunkline.catalog.engine.fixed import Line
from trunkline.catalog.engine.tx import Scope, Seed, Tx, end
from trunkline.errors import Internal, Unavailable

T = TypeVar("T")
_TRIES = 3
"""So often a read is tried in all whose connections break."""


class ReadConnection(Protocol):
    """A connection that sees snapshots and can change nothing, on a database of some kind."""

    connection: Connection

    @property
    def line(self) -> Line:
        """The same, for statements whose text never changes."""
        ...

    def begin(self) -> None:
        """Take a snapshot."""
        ...

    def end(self) -> None:
        """Let it go, whatever has happened."""
        ...

    def sound(self) -> bool:
        """Whether there is one."""
        ...

    def passes(self, error: BaseException) -> bool:
        """Whether this error broke the connection, so that the read may well succeed on another one."""
        ...

    def in_words(self, error: BaseException) -> BaseException:
        """The error for the caller."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class Readers:
    """Opens connections as they are needed, up to `limit`; a function beyond that waits for one to come back."""

    def __init__(self, opened: Callable[[], ReadConnection], ambient: Ambient, limit: int) -> None:
        self._opened = opened
        self._ambient = ambient
        self._idle: queue.LifoQueue[ReadConnection | None] = queue.LifoQueue()
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
            for tries_left in range(_TRIES - 1, -1, -1):
                if self._closed:
                    raise Unavailable("the catalog is closed")
                connection = connection or self._opened()
                try:
                    return self._snapshot(connection, f)
                except Exception as error:
                    told = connection.in_words(error)
                    if connection.passes(error):
                        connection.close()
                        connection = None
                        if tries_left:
                            continue
                    if told is error:
                        raise
                    raise told from error
            raise Internal("a read was tried without end")
        finally:
            self._busy.yes = False
            self._idle.put(connection)

    def close(self) -> None:
        """Take no more reads, wait for those that run, close the connections. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        for connection in [self._idle.get() for _ in range(self._limit)]:
            if connection is not None:
                connection.close()
            self._idle.put(None)  # lets those go on that wait for a place; they find it closed

    def _snapshot(self, connection: ReadConnection, f: Callable[[Tx], T]) -> T:
        scope = Scope(connection.connection, connection.line, connection.sound, is_write=False, events=[])
        tx = Tx(scope, Seed.draw(self._ambient))
        try:
            connection.begin()
            return f(tx)
        finally:
            end(tx)
            connection.end()
