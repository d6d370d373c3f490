"""Hears of the events that other processes commit, by LISTEN on a connection of its own.

An announcement says what `Wake` is told: the number of the newest event, and what the new ones are about. None is sent
again, so the newest number is asked for whenever the connection was made anew, and once a second.
"""

from __future__ import annotations

import logging
import os
import select
import threading
from collections.abc import Callable, Set
from typing import Any

import psycopg
from psycopg.pq.abc import PGconn

from trunkline.catalog.engine.postgres import failures
from trunkline.catalog.engine.postgres.connections import Place
from trunkline.catalog.engine.wake import Wake

_LOG = logging.getLogger(__name__)
LOOK_S = 1.0
_NEWEST = (
    "SELECT greatest(coalesce((SELECT max(seq) FROM events), 0), coalesce((SELECT max(position) FROM cursors), 0))"
)
MOST = 7000
"""PostgreSQL takes announcements of 8,000 bytes."""


def told(seq: int, names: Set[str]) -> str:
    """An announcement, as it stands in quotes. Names that are too many are left out: then it may be anything."""
    text = "\n".join([str(seq), *sorted(names)]).replace("'", "''")
    return text if len(text.encode()) <= MOST else str(seq)


class Listener:
    """The thread that sets a `Wake`. own: the server's number of the connection whose announcements are not needed."""

    def __init__(self, place: Place, channel: str, wake: Wake, own: Callable[[], int] = lambda: 0) -> None:
        self._place, self._channel, self._wake, self._own = place, channel, wake, own
        self._missing = 0
        self._ear, self._mouth = os.pipe()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="catalog-listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        os.write(self._mouth, b"x")
        self._thread.join()
        os.close(self._ear)
        os.close(self._mouth)

    def _run(self) -> None:
        warned = False
        while not self._closed:
            try:
                with self._place.connect() as connection:
                    connection.execute(f'LISTEN "{self._channel}"'.encode())
                    warned = False
                    self._listen(connection)
            except psycopg.Error as error:
                if not warned and not self._closed:
                    told = failures.in_words(error, self._place.shown, self._place.password)
                    _LOG.warning("events of other servers are not heard until the database is back: %s", told)
                warned = True
                select.select([self._ear], [], [], LOOK_S)

    def _listen(self, connection: psycopg.Connection[Any]) -> None:
        self._look(connection)
        self._look(connection)
        while not self._closed:
            ready, _, _ = select.select([connection.fileno(), self._ear], [], [], LOOK_S)
            if not ready:
                self._look(connection)
            if connection.fileno() in ready:
                self._hear(connection.pgconn)

    def _hear(self, server: PGconn) -> None:
        """What has come. Each commit of this process comes back too, so that the driver's own way would cost much."""
        server.consume_input()
        while (heard := server.notifies()) is not None:
            seq, *names = heard.extra.decode().split("\n")
            if heard.be_pid != self._own() and seq.isdigit():
                self._wake.set(int(seq), frozenset(names))

    def _look(self, connection: psycopg.Connection[Any]) -> None:
        """Announce what was missed: it was there at the last look, so that it is not just about to be announced."""
        if self._missing > self._wake.seq:
            self._wake.set(self._missing)
        row = connection.execute(_NEWEST).fetchone()
        self._missing = int(row[0]) if row else 0
