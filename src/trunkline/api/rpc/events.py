"""Waiting for committed events as coroutines: a thousand watchers hold no thread."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Hashable, Set
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Wake(Protocol):
    """The catalog's signal that something was committed."""

    @property
    def seq(self) -> int:
        """Number of the newest committed event."""
        ...

    def subscribe(self, callback: Callable[[int, Set[str]], None]) -> Callable[[], None]:
        """Have `callback` called after each commit with that number, and the names of what has happened (none: it may
        be anything); answers a function that ends this.
        """
        ...


KEPT = 256
"""Of so many commits it is remembered what they were about."""


class Events:
    """The signal, on one event loop.

    A watcher takes `seq` first, then looks at the state it waits for, then calls `after(seq)` and looks again: what
    happens between look and wait is not lost. With the names of what it waits for, it is woken by nothing else.
    """

    def __init__(self, wake: Wake, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._seq = wake.seq
        self._waiting: dict[tuple[str, ...], set[asyncio.Future[None]]] = {}
        self._heard: deque[tuple[int, Set[str]]] = deque([(self._seq, frozenset())], KEPT)
        self._looks: dict[tuple[int, Hashable], asyncio.Future[Any]] = {}
        self._end = wake.subscribe(self._told)

    @property
    def seq(self) -> int:
        """Number of the newest event that this loop has heard of."""
        return self._seq

    async def after(self, seq: int, *names: str) -> int:
        """Wait until something later than `seq` is committed; the number of the newest.

        names: only that counts; topics, and names of single things, as the signal tells them.
        """
        while not self._happened(seq, names):
            mine = self._loop.create_future()
            self._waiting.setdefault(names, set()).add(mine)
            try:
                await mine
            finally:
                self._leave(names, mine)
        return self._seq

    def _happened(self, seq: int, names: tuple[str, ...]) -> bool:
        """Whether something of these names has happened after `seq`, or may have: nobody remembers that far back."""
        if self._seq <= seq:
            return False
        late = [about for number, about in self._heard if number > seq]
        return not names or len(late) == len(self._heard) or any(_concerns(about, names) for about in late)

    async def look(self, seq: int, key: Hashable, look: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `look` finds; watchers who took the same `seq` and ask the same `key` at once share one look.

        A thousand of them wake together, and would otherwise read the same rows a thousand times.
        """
        found: asyncio.Future[T] | None = self._looks.get((seq, key))
        if found is None:
            found = asyncio.ensure_future(look())
            self._looks[seq, key] = found
            found.add_done_callback(partial(self._seen, (seq, key)))
        return await asyncio.shield(found)

    def _seen(self, name: tuple[int, Hashable], done: asyncio.Future[Any]) -> None:
        self._looks.pop(name, None)
        if not done.cancelled():
            done.exception()  # looked at, so that asyncio does not complain if all who waited have left

    def close(self) -> None:
        """Hear no more."""
        self._end()

    def _told(self, seq: int, about: Set[str]) -> None:
        with suppress(RuntimeError):  # the loop is closed: the server is on its way out
            self._loop.call_soon_threadsafe(self._set, seq, about)

    def _set(self, seq: int, about: Set[str]) -> None:
        self._seq = max(self._seq, seq)
        self._heard.append((seq, about))
        for names in [names for names in self._waiting if _concerns(about, names)]:
            for waiting in self._waiting.pop(names):
                if not waiting.done():
                    waiting.set_result(None)

    def _leave(self, names: tuple[str, ...], mine: asyncio.Future[None]) -> None:
        others = self._waiting.get(names, set())
        others.discard(mine)
        if not others:
            self._waiting.pop(names, None)


def _concerns(about: Set[str], names: tuple[str, ...]) -> bool:
    return not about or not names or not about.isdisjoint(names)
