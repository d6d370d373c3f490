"""What this process reads stays: one row in the catalog for all its reads, moved on as they end.

A read costs no write while the row is there; whoever drives collection calls `settle` now and then.
"""

from __future__ import annotations

import itertools
import os
import threading
from types import TracebackType

from trunkline.ambient import Ambient
from trunkline.catalog.collection import sessions as session_rows
from trunkline.catalog.engine import Catalog
from trunkline.errors import ResourceExhausted, Unavailable

STALE_S = 3600.0
"""A read that has asked for nothing in this time (its client has stopped taking) keeps nothing alive any longer."""

_NUMBERS = itertools.count(1)


class Reading:
    """A read that runs. It ends by `close`, or when nobody has it any more."""

    def __init__(self, pins: Pins, number: int) -> None:
        self._pins = pins
        self._number = number

    def touch(self) -> None:
        """The read goes on."""
        self._pins.touch(self._number)

    def close(self) -> None:
        """The read is over. A second call does nothing."""
        self._pins.end(self._number)

    def __enter__(self) -> Reading:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # A call that is given up leaves its generators behind; they go when nobody refers to them.
        self.close()


class Pins:
    """The pin of this process and the reads that it is for. Safe between threads."""

    def __init__(self, catalog: Catalog, ambient: Ambient) -> None:
        self._catalog, self._ambient = catalog, ambient
        self.process = f"{os.getpid()}-{next(_NUMBERS)}"
        if not catalog.alone:  # on other machines there are processes of the same number
            self.process += f"-{ambient.new_id()}"
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._running: dict[int, tuple[int, float]] = {}  # number -> doom when it began, when it last went on
        self._newest: int | None = None  # the newest doom that we know to be complete; None: no pin is in place

    def begin(self) -> Reading:
        """A read begins: what a later snapshot finds held stays readable until it ends."""
        number = next(self._numbers)
        with self._lock:
            if self._newest is None:
                self._newest = self._placed()
            since = self._newest if self._newest is not None else self._catalog.read(session_rows.doomed_through)
            self._running[number] = (since, self._ambient.ticks_s())
        return Reading(self, number)

    def _placed(self) -> int | None:
        """The pin put in place; None where nothing can be written, on a full disk say.

        Reads go on without it: collection has to write as well before it takes anything away, and what it could take
        away once there is room again was deleted meanwhile; a read of that is told so.
        """
        try:
            return self._catalog.transact(lambda tx: session_rows.pin(tx, self.process))
        except (ResourceExhausted, Unavailable):
            return None

    def touch(self, number: int) -> None:
        """See `Reading.touch`. Takes no lock: it is called for every piece of every file."""
        found = self._running.get(number)
        if found is not None and self._ambient.ticks_s() - found[1] > STALE_S / 10:
            with self._lock:
                if number in self._running:
                    self._running[number] = (found[0], self._ambient.ticks_s())

    def end(self, number: int) -> None:
        """See `Reading.close`."""
        # May be called by the garbage collector inside `begin`, on the thread that has the lock.
        self._running.pop(number, None)

    @property
    def count(self) -> int:
        """How many reads run."""
        return len(self._running)

    def settle(self) -> None:
        """Renew the pin, move it to where the oldest running read began, or take it away when none runs."""
        with self._lock:
            if self._newest is None:
                return
            late_s = self._ambient.ticks_s() - STALE_S
            for number, (_, at_s) in list(self._running.items()):
                if at_s < late_s:
                    self._running.pop(number, None)
            running = list(self._running.values())
            if not running:
                self._catalog.transact(lambda tx: session_rows.unpin(tx, self.process))
                self._newest = None
                return
            newest = self._catalog.read(session_rows.doomed_through)
            since = min(since for since, _ in running)
            if not self._catalog.transact(lambda tx: session_rows.move_pin(tx, self.process, since)):
                newest = self._catalog.transact(lambda tx: session_rows.pin(tx, self.process))
            self._newest = newest
