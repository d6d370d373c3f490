"""Layout runs ahead of execution: windows of datums are prepared by a thread while the one before runs."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from trunkline.ambient import Ambient
from trunkline.errors import Kind, TrunklineError
from trunkline.worker.layout import Prepared, Staging
from trunkline.worker.ports import Datum

PASSING = (Kind.UNAVAILABLE, Kind.ABORTED, Kind.RESOURCE_EXHAUSTED, Kind.UNAUTHENTICATED)
"""Errors that say nothing about the datum: the claim is left, and tried again."""
WINDOW_DATUMS = 64
WINDOW_BYTES = 64 << 20
_FIRST_DATUMS = 4  # so that the first datum does not wait for a whole window


@dataclass(frozen=True)
class Ready:
    """A datum to run, and its share of the time its window's inputs took, in µs."""

    prepared: Prepared
    download_us: int


class Ahead:
    """Iterate it for the datums of a claim, in order; `close` releases what was prepared in vain.

    more: asked before each window whether rows up to there are still wanted. At most one finished window waits.
    """

    def __init__(
        self, staging: Staging, datums: Sequence[Datum], ambient: Ambient, more: Callable[[int], bool]
    ) -> None:
        self._staging = staging
        self._datums = datums
        self._ambient = ambient
        self._more = more
        self._ready: queue.Queue[list[Ready] | BaseException | None] = queue.Queue(maxsize=1)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="layout", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Ready]:
        """Whoever takes a datum releases it. Raises what preparing raised."""
        while True:
            window = self._ready.get()
            if window is None:
                return
            if isinstance(window, BaseException):
                raise window
            while window:
                yield window.pop(0)
                if self._closed.is_set():
                    self._release(window)
                    return

    def close(self) -> None:
        """Stop the thread. Safe to call twice."""
        self._closed.set()
        while self._thread.is_alive():
            self._drain()
            self._thread.join(0.02)
        self._drain()
        self._staging.sweep()

    def _run(self) -> None:
        try:
            for window in self._windows():
                if self._closed.is_set() or not self._more(window[0].row):
                    break
                began_s = self._ambient.ticks_s()
                prepared = self._prepare(window)
                each_us = int((self._ambient.ticks_s() - began_s) * 1e6 / len(window))
                self._put([Ready(each, each_us) for each in prepared])
            self._put(None)
        except BaseException as error:  # handed to whoever iterates
            self._put(error)

    def _prepare(self, window: list[Datum]) -> list[Prepared]:
        """Inputs that are lost for good are the problem of the datums that need them, not of the claim."""
        try:
            return self._staging.prepare(window)
        except TrunklineError as error:
            if error.kind in PASSING:
                raise
            if len(window) == 1:
                return [Prepared.impossible(window[0], f"an input cannot be read: {error}")]
        return [prepared for datum in window for prepared in self._prepare([datum])]

    def _windows(self) -> Iterator[list[Datum]]:
        """Up to WINDOW_DATUMS or WINDOW_BYTES, but always one."""
        window: list[Datum] = []
        size, limit = 0, _FIRST_DATUMS
        for datum in self._datums:
            more = sum(element.size_bytes for element in datum.elements if not (element.lazy or element.s3))
            if window and (len(window) >= limit or size + more > WINDOW_BYTES):
                yield window
                window, size, limit = [], 0, min(limit * 4, WINDOW_DATUMS)
            window.append(datum)
            size += more
        if window:
            yield window

    def _put(self, item: list[Ready] | BaseException | None) -> None:
        while not self._closed.is_set():
            try:
                self._ready.put(item, timeout=0.1)
                return
            except queue.Full:
                continue
        self._release(item)

    def _drain(self) -> None:
        while True:
            try:
                self._release(self._ready.get_nowait())
            except queue.Empty:
                return

    def _release(self, item: list[Ready] | BaseException | None) -> None:
        for ready in item if isinstance(item, list) else []:
            self._staging.release(ready.prepared)
