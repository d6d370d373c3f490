"""The one signal that committed events give: engine threads wait on it, doors subscribe to it.

Each waits for the topics that mean something to it: a thread that is woken for nothing looks at rows for nothing, and
a job has some twenty commits that most threads have nothing to do with.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Set

_LOG = logging.getLogger(__name__)

Heard = Callable[[int, Set[str]], None]
"""Called with the number of the newest event, and the names of what has happened; none: it may be anything."""


def thing(topic: str, seq: int) -> str:
    """The name under which events of a topic are heard that are about one thing, by the number in their payload."""
    return f"{topic} {seq}"


class Wake:
    """Knows the number of the newest committed event, of each topic. It only says "look": what happened is in the
    outbox.
    """

    def __init__(self, seq: int = 0) -> None:
        self._seq = seq
        self._any = seq
        """Of what happened up to this one no topics are known."""
        self._newest: dict[str, int] = {}
        self._closed = False
        self._lock = threading.Lock()
        self._waiting: dict[str, set[threading.Condition]] = {}
        self._callbacks: dict[int, Heard] = {}
        self._next_key = 0

    @property
    def seq(self) -> int:
        """Number of the newest committed event, 0 where there was none yet."""
        return self._seq

    def newest(self, *topics: str) -> int:
        """Number of the newest committed event of these topics, as far as is known; of all without any."""
        if not topics:
            return self._seq
        return max(self._any, *(self._newest.get(topic, 0) for topic in topics))

    def wait(self, after_seq: int, timeout_s: float, *topics: str) -> int:
        """Block until an event later than `after_seq` is committed, the time is up, or the catalog closes.

        topics: only events of these count; without any all do. Answers the number of the newest that counts; it is not
        above `after_seq` when nothing came.
        """
        mine = threading.Condition(self._lock)
        with self._lock:
            for topic in topics or ("",):
                self._waiting.setdefault(topic, set()).add(mine)
            try:
                mine.wait_for(lambda: self.newest(*topics) > after_seq or self._closed, timeout_s)
                return self.newest(*topics)
            finally:
                for topic in topics or ("",):
                    self._waiting[topic].discard(mine)

    def subscribe(self, callback: Heard) -> Callable[[], None]:
        """Have `callback(seq, names)` called after each commit with events. Answers a function that ends this.

        names: the topics, and for what is about one thing its name as `thing` makes it.
        It runs on the writer's thread and must return at once: an asynchronous door passes the number on with
        `loop.call_soon_threadsafe`. One that raises is dropped.
        """
        with self._lock:
            key = self._next_key
            self._next_key += 1
            self._callbacks[key] = callback
        return lambda: self._drop(key)

    def set(self, seq: int, names: Set[str] = frozenset()) -> None:
        """Announce that events up to `seq` are committed. names: as for `subscribe`; none wakes everybody."""
        with self._lock:
            self._seq = max(self._seq, seq)
            if names:
                topics = [name for name in names if " " not in name]
                self._newest.update((topic, self._seq) for topic in topics)
                self._rouse(["", *topics])
            else:
                self._any = self._seq
                self._rouse(list(self._waiting))
            callbacks = list(self._callbacks.items())
        for key, callback in callbacks:
            try:
                callback(seq, names)
            except Exception:
                _LOG.exception("a subscriber of committed events failed and is dropped")
                self._drop(key)

    def close(self) -> None:
        """Let everybody who waits go on, for good."""
        with self._lock:
            self._closed = True
            self._callbacks.clear()
            self._rouse(list(self._waiting))

    def _rouse(self, topics: list[str]) -> None:
        for topic in topics:
            for waiting in self._waiting.get(topic, ()):
                waiting.notify()

    def _drop(self, key: int) -> None:
        with self._lock:
            self._callbacks.pop(key, None)
