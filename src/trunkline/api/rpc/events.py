"""Waiting for committed events as coroutines: a thousand watchers hold no thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
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

    def subscribe(self, callback: Callable[[int], None]) -> Callable[[], None]:
        """Have `callback` called with that number after each commit; answers a function that ends this."""
        ...


class Events:
    """The signal, on one event loop.

    A watcher takes `seq` first, then looks at the state it waits for, then calls `after(seq)` and looks again: what
    happens between look and wait is not lost.
    """

    def __init__(self, wake: Wake, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._seq = wake.seq
        self._next: asyncio.Future[None] | None = None
        self._looks: dict[tuple[int, Hashable], asyncio.Future[Any]] = {}
        self._end = wake.subscribe(self._told)

    @property
    def seq(self) -> int:
        """Number of the newest event that this loop has heard of."""
        return self._seq

    async def after(self, seq: int) -> int:
        """Wait until something later than `seq` is committed; the number of the newest."""
        while self._seq <= seq:
            if self._next is None:
                self._next = self._loop.create_future()
            await asyncio.shield(self._next)
        return self._seq

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

    def _told(self, seq: int) -> None:
        with suppress(RuntimeError):  # the loop is closed: the server is on its way out
            self._loop.call_soon_threadsafe(self._set, seq)

    def _set(self, seq: int) -> None:
        self._seq = max(self._seq, seq)
        waiting, self._next = self._next, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)
