"""The one signal that committed events give: engine threads wait on it, doors subscribe to it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

_LOG = logging.getLogger(__name__)


class Wake:
    """Knows the number of the newest committed event. It only says "look": what happened is in the outbox."""

    def __init__(self, seq: int = 0) -> None:
        self._seq = seq
        self._closed = False
        self._condition = threading.Condition()
        self._callbacks: dict[int, Callable[[int], None]] = {}
        self._next_key = 0

    @property
    def seq(self) -> int:
        """Number of the newest committed event, 0 where there was none yet."""
        return self._seq

    def wait(self, after_seq: int, timeout_s: float) -> int:
        """Block until an event later than `after_seq` is committed, the time is up, or the catalog closes.

        Answers the number of the newest event; it is not above `after_seq` when nothing came.
        """
        with self._condition:
            self._condition.wait_for(lambda: self._seq > after_seq or self._closed, timeout_s)
            return self._seq

    def subscribe(self, callback: Callable[[int], None]) -> Callable[[], None]:
        """Have `callback(seq)` called after each commit with events. Answers a function that ends this.

        It runs on the writer's thread and must return at once: an asynchronous door passes the number on with
        `loop.call_soon_threadsafe`. One that raises is dropped.
        """
        with self._condition:
            key = self._next_key
            self._next_key += 1
            self._callbacks[key] = callback
        return lambda: self._drop(key)

    def set(self, seq: int) -> None:
        """Announce that events up to `seq` are committed."""
        with self._condition:
            self._seq = max(self._seq, seq)
            self._condition.notify_all()
            callbacks = list(self._callbacks.items())
        for key, callback in callbacks:
            try:
                callback(seq)
            except Exception:
                _LOG.exception("a subscriber of committed events failed and is dropped")
                self._drop(key)

    def close(self) -> None:
        """Let everybody who waits go on, for good."""
        with self._condition:
            self._closed = True
            self._callbacks.clear()
            self._condition.notify_all()

    def _drop(self, key: int) -> None:
        with self._condition:
            self._callbacks.pop(key, None)
