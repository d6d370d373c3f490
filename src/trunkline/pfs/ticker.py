"""The ticker: the thread that lets schedules tick, those of branches' triggers and whatever else has some.

What is due stands in rows, and a tick is struck off in the transaction of its effect: it happens once, however often
the server is killed. Due is what the wall clock says, which may step: a tick that was is not due again after that.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from trunkline.ambient import Micros
from trunkline.catalog import branches as branch_rows
from trunkline.catalog.engine import Tx
from trunkline.errors import TrunklineError
from trunkline.pfs.files import Files
from trunkline.pfs.graph import triggers

log = logging.getLogger(__name__)

IDLE_S = 5.0
"""How long it sleeps at most: a clock that steps forward is noticed within that."""
LEAST_S = 0.05
"""How long it rests at least, so that a busy catalog does not keep it looking."""
RETRY_S = 5.0
"""How long a schedule is left alone whose tick failed."""


class Schedules(Protocol):
    """Some schedules, known by keys. Each has at most one tick that is due; the next is due after that."""

    @property
    def noun(self) -> str:
        """What they belong to, for messages."""
        ...

    def next_due(self, tx: Tx) -> Micros | None:
        """The instant of the next tick of any of them; None: there is none."""
        ...

    def due(self, tx: Tx, until_us: Micros) -> Sequence[tuple[int, Micros]]:
        """A page of what is due by an instant: key and tick, the longest due first."""
        ...

    def tick(self, key: int, tick_us: Micros) -> None:
        """Let it tick, unless that tick has been already. Blocks."""
        ...


@dataclass(frozen=True, slots=True)
class TriggerSchedules:
    """The schedules of branches that follow another by the clock."""

    files: Files
    noun: str = "trigger of branch"

    def next_due(self, tx: Tx) -> Micros | None:
        return branch_rows.next_due(tx)

    def due(self, tx: Tx, until_us: Micros) -> Sequence[tuple[int, Micros]]:
        return triggers.due(tx, until_us)

    def tick(self, key: int, tick_us: Micros) -> None:
        self.files.change(lambda change: triggers.tick(change, key, tick_us))


class Ticker:
    """One round at a time by `step`, or for good by `start`."""

    def __init__(self, files: Files, schedules: Sequence[Schedules]) -> None:
        self._files = files
        self._schedules = schedules
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ticker", daemon=True)
        self._failed: dict[tuple[str, int], float] = {}  # when to try again, in steady seconds

    def step(self) -> bool:
        """Let each schedule that is due tick once; whether any did."""
        now_us = self._files.ambient.now_us()
        ticked = [
            self._tick(schedules, key, tick_us)
            for schedules in self._schedules
            for key, tick_us in self._files.catalog.read(partial(schedules.due, until_us=now_us))
        ]
        return any(ticked)

    def _tick(self, schedules: Schedules, key: int, tick_us: Micros) -> bool:
        place, steady_s = (schedules.noun, key), self._files.ambient.ticks_s()
        if self._stop.is_set() or self._failed.get(place, steady_s) > steady_s:
            return False
        try:
            schedules.tick(key, tick_us)
        except Exception as error:
            if not isinstance(error, TrunklineError):
                log.exception("the tick of %s %d failed", *place)
            log.warning("the tick of %s %d failed and is tried again: %s", *place, error)
            self._failed[place] = steady_s + RETRY_S
            return False
        self._failed.pop(place, None)
        return True

    def start(self) -> None:
        """Begin, with what was due while no server ran."""
        self._thread.start()

    def stop(self) -> None:
        """End after the tick in hand. `Catalog.wake` must be set once more for it to notice at once."""
        self._stop.set()

    def join(self, timeout_s: float) -> None:
        """Wait until it has ended; not at all where it never began."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        wake = self._files.catalog.wake
        while not self._stop.is_set():
            seen, pause_s = wake.seq, RETRY_S
            try:
                if self.step():
                    continue
                pause_s = self._pause_s()
            except TrunklineError as error:
                log.warning("schedules could not be looked at; they are again: %s", error)
            except Exception:
                log.exception("schedules could not be looked at; they are again")
            wake.wait(seen, pause_s, triggers.SCHEDULE_TOPIC)
            self._stop.wait(LEAST_S)

    def _pause_s(self) -> float:
        """How long nothing is due, unless schedules change."""
        dues = self._files.catalog.read(lambda tx: [of.next_due(tx) for of in self._schedules])
        left = [(due - self._files.ambient.now_us()) / 1e6 for due in dues if due is not None]
        return min(max(min(left), 0.0 if not self._failed else 1.0), IDLE_S) if left else IDLE_S
