"""Layout runs ahead of execution: windows of datums are prepared by a thread while the one before runs."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence

from trunkline.ambient import Ambient
from trunkline.errors import Kind, TrunklineError
from trunkline.worker.layout import Prepared, Staging
from trunkline.worker.limits.disk import LEAST_FREE_BYTES, NO_ROOM, Waiting, free_bytes
from trunkline.worker.ports import Datum

PASSING = (Kind.UNAVAILABLE, Kind.ABORTED, Kind.RESOURCE_EXHAUSTED, Kind.UNAUTHENTICATED)
"""Errors that say nothing about the datum: the claim is left, and tried again."""
WINDOW_DATUMS = 64
WINDOW_BYTES = 64 << 20
_FIRST_DATUMS = 4  # so that the first datum does not wait for a whole window
_LOOK_S = 0.1
_RETRY_S = 0.5
_MAX_RETRY_S = 15.0


class Ahead:
    """Iterate it for the datums of a claim, in order; `close` releases what was prepared in vain.

    more: asked before each window whether rows up to there are still wanted. At most one finished window waits.
    tell: hears what is waited for. What is laid out ahead leaves room for the code of the datums before it; inputs for
    which there is none are waited for, as long as it takes: the claim goes on being renewed, and no datum is to blame.
    """

    def __init__(
        self,
        staging: Staging,
        datums: Sequence[Datum],
        ambient: Ambient,
        more: Callable[[int], bool],
        tell: Callable[[str], None],
    ) -> None:
        self._tell = tell
        self._staging = staging
        self._datums = datums
        self._ambient = ambient
        self._more = more
        self._ready: queue.Queue[list[Prepared] | BaseException | None] = queue.Queue(maxsize=1)
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._held = 0  # datums that lie ready, or run
        self._thread = threading.Thread(target=self._run, name="layout", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Prepared]:
        """Whoever takes a datum releases it. Raises what preparing raised."""
        while True:
            window = self._ready.get()
            if window is None:
                return
            if isinstance(window, BaseException):
                raise window
            while window:
                yield window.pop(0)
                self._hold(-1)
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
                for prepared in self._prepare(window):
                    self._put(prepared)
            self._put(None)
        except BaseException as error:  # handed to whoever iterates
            self._put(error)

    def _prepare(self, window: list[Datum]) -> Iterator[list[Prepared]]:
        """Inputs that are lost for good are the problem of the datums that need them, not of the claim.

        Where not all of a window has room, its datums come one by one, each as soon as there is.
        """
        self._leave_room(window)
        try:
            yield self._timed(window)
            return
        except TrunklineError as error:
            if error.kind in PASSING:
                raise
            if len(window) == 1:
                yield [self._counted(Prepared.impossible(window[0], f"an input cannot be read: {error}"))]
                return
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            if len(window) == 1:
                yield from self._once_there_is_room(window)
                return
        for datum in window:
            yield from self._prepare([datum])

    def _timed(self, window: list[Datum]) -> list[Prepared]:
        began_s = self._ambient.ticks_s()
        prepared = [self._counted(each) for each in self._staging.prepare(window)]
        each_us = int((self._ambient.ticks_s() - began_s) * 1e6 / len(window))
        for each in prepared:
            each.download_us = each_us
        return prepared

    def _leave_room(self, window: Sequence[Datum]) -> None:
        """Until the window's inputs leave room for code that runs, or none does: its own comes first."""
        size = sum(map(_size, window))
        while self._held and not self._over(window) and free_bytes(self._staging.folder) < size + LEAST_FREE_BYTES:
            self._closed.wait(_LOOK_S)

    def _once_there_is_room(self, window: list[Datum]) -> Iterator[list[Prepared]]:
        """Lay out what had no room, again and again."""
        wants = f"a datum's inputs, {_size(window[0]):,} bytes, do not fit"
        waiting = Waiting(self._staging.folder, self._ambient, self._tell, wants)
        delay_s = _RETRY_S
        while not self._over(window):
            waiting.say()
            self._closed.wait(delay_s)
            delay_s = min(2 * delay_s, _MAX_RETRY_S)
            try:
                yield self._timed(window)
                return
            except OSError as error:
                if error.errno not in NO_ROOM:
                    raise

    def _over(self, window: Sequence[Datum]) -> bool:
        return self._closed.is_set() or not self._more(window[0].row)

    def _counted(self, prepared: Prepared) -> Prepared:
        self._hold(1)
        return prepared

    def _hold(self, count: int) -> None:
        with self._lock:
            self._held += count

    def _windows(self) -> Iterator[list[Datum]]:
        """Up to WINDOW_DATUMS or WINDOW_BYTES, but always one."""
        window: list[Datum] = []
        size, limit = 0, _FIRST_DATUMS
        for datum in self._datums:
            more = _size(datum)
            if window and (len(window) >= limit or size + more > WINDOW_BYTES):
                yield window
                window, size, limit = [], 0, min(limit * 4, WINDOW_DATUMS)
            window.append(datum)
            size += more
        if window:
            yield window

    def _put(self, item: list[Prepared] | BaseException | None) -> None:
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

    def _release(self, item: list[Prepared] | BaseException | None) -> None:
        for prepared in item if isinstance(item, list) else []:
            self._staging.release(prepared)


def _size(datum: Datum) -> int:
    """Bytes of its inputs that are laid out."""
    return sum(element.size_bytes for element in datum.elements if not (element.lazy or element.s3))
