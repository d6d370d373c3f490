"""Blocking engine calls from asynchronous handlers, on bounded pools of threads.

Whoever waits for a peer waits as a coroutine: a download holds a thread only while the engine works on the next
pieces, never while a slow client takes the last ones. Uploads hold theirs, since the engine pulls from the client;
they have a pool of their own, so that they never keep short calls waiting. Cancellation is always passed on:
a streaming handler of grpc.aio that swallows it leaks.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from trunkline.errors import Aborted, TrunklineError

T = TypeVar("T")
R = TypeVar("R")

BATCH_BYTES = 1 << 20
BATCH_ITEMS = 512
AHEAD_BYTES = 8 << 20
MUCH_BYTES = 64 << 20
"""What uploads take in before memory is worth giving back."""


@dataclass(slots=True)
class Bridge:
    """The pools. `calls` answers and reads, `uploads` bounds how many clients write at once."""

    calls: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(16, "call"))
    uploads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(64, "upload"))
    after_much: Callable[[], object] = lambda: None
    """Done in a thread when the last of several uploads, or the only one, has ended and much came in meanwhile."""
    _uploading: int = 0
    _came_bytes: int = 0

    async def unary(self, work: Callable[[], T]) -> T:
        """The result of `work`, done in a thread. A cancelled caller does not wait for it; the work goes on."""
        return await asyncio.get_running_loop().run_in_executor(self.calls, work)

    async def slow(self, work: Callable[[], T]) -> T:
        """As `unary`, for work that takes as long as a network does: it keeps no short call waiting."""
        return await asyncio.get_running_loop().run_in_executor(self.uploads, work)

    async def stream(self, start: Callable[[], Iterator[T]]) -> AsyncGenerator[T, None]:
        """The items of a blocking iterator; the next batch is made while the last one is on its way.

        The first item comes alone, so that an error before it is an error before any message, then batches grow.
        The iterator is closed when the consumer leaves, as soon as no thread is inside it.
        """
        source = _Source(start)
        pending = self._pull(source, 1)
        size = 1
        try:
            while True:
                batch = await asyncio.shield(asyncio.wrap_future(pending))
                if batch.more:
                    size = min(size * 4, BATCH_ITEMS)
                    pending = self._pull(source, size)
                for item in batch.items:
                    yield item
                if batch.error is not None:
                    raise batch.error
                if not batch.more:
                    return
        finally:
            # Only then: a thread may still be inside the iterator, and closing it would raise.
            pending.add_done_callback(partial(self._close, source))

    def _pull(self, source: _Source[T], limit: int) -> Future[_Batch[T]]:
        return self.calls.submit(source.next_batch, limit)

    def _close(self, source: _Source[T], _done: Future[_Batch[T]]) -> None:
        with suppress(RuntimeError):  # the pool is closed: the server is on its way out
            self.calls.submit(source.close)

    async def consume(
        self, messages: AsyncIterator[T], work: Callable[[Iterator[T]], R], is_whole: Callable[[], Awaitable[object]]
    ) -> R:
        """The result of `work`, which reads the client's messages as a blocking iterator.

        At most AHEAD_BYTES wait unread, or one message. If the client goes away, the iterator raises Aborted.
        is_whole: awaited when `messages` has ended; raises if it has because the client is gone.
        """
        loop = asyncio.get_running_loop()
        try:
            first = await anext(aiter(messages))  # a client that says nothing holds no thread
        except StopAsyncIteration:
            return await loop.run_in_executor(self.uploads, work, iter(()))
        feed: _Feed[T] = _Feed(loop)
        reading = asyncio.ensure_future(feed.fill(first, messages, is_whole))
        result = loop.run_in_executor(self.uploads, _run_fed, work, feed)
        self._uploading += 1
        try:
            return await asyncio.shield(result)
        except asyncio.CancelledError:
            feed.end(_gone())
            raise
        finally:
            reading.cancel()
            result.add_done_callback(_retrieve)
            self._left(feed.came_bytes)
            if feed.asking is not None:
                # Two operations at once on one call are refused by gRPC, and the call would never be answered.
                await asyncio.wait([feed.asking])

    def _left(self, came_bytes: int) -> None:
        self._uploading -= 1
        self._came_bytes += came_bytes
        if not self._uploading and self._came_bytes >= MUCH_BYTES:
            self._came_bytes = 0
            with suppress(RuntimeError):  # the pool is closed: the server is on its way out
                self.calls.submit(self.after_much)

    def close(self) -> None:
        """Take no more work; what runs is not waited for."""
        self.calls.shutdown(wait=False, cancel_futures=True)
        self.uploads.shutdown(wait=False, cancel_futures=True)


def _retrieve(done: asyncio.Future[T]) -> None:
    """Look at the error, so that asyncio does not complain about one that nobody waits for."""
    if not done.cancelled():
        done.exception()


def _run_fed(work: Callable[[Iterator[T]], R], feed: _Feed[T]) -> R:
    try:
        return work(iter(feed))
    finally:
        feed.leave()


@dataclass(slots=True)
class _Batch(Generic[T]):
    """Some items; then more, the end, or an error: what came before it is sent first."""

    items: list[T]
    more: bool
    error: Exception | None = None


class _Source(Generic[T]):
    """A blocking iterator, entered by one thread at a time."""

    def __init__(self, start: Callable[[], Iterator[T]]) -> None:
        self._start = start
        self._items: Iterator[T] | None = None

    def next_batch(self, limit: int) -> _Batch[T]:
        batch: list[T] = []
        size = 0
        try:
            if self._items is None:
                self._items = iter(self._start())
            while len(batch) < limit and size < BATCH_BYTES:
                batch.append(next(self._items))
                size += _size(batch[-1])
        except StopIteration:
            return _Batch(batch, more=False)
        except Exception as error:
            return _Batch(batch, more=False, error=error)
        return _Batch(batch, more=True)

    def close(self) -> None:
        close = getattr(self._items, "close", None)
        if close is not None:
            close()


class _Feed(Generic[T]):
    """Messages from a coroutine to a thread, with a bound in bytes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._changed = threading.Condition()
        self._waiting: deque[tuple[T, int]] = deque()
        self._held = 0
        self.came_bytes = 0
        """All that came so far."""
        self._over = False
        self._error: BaseException | None = None
        self.asking: asyncio.Future[object] | None = None
        """Whether the client is still there, while that is found out."""
        self._room = asyncio.Event()
        self._room.set()

    async def fill(self, first: T, messages: AsyncIterator[T], is_whole: Callable[[], Awaitable[object]]) -> None:
        """Put the client's messages until it sends no more or nobody reads on."""
        try:
            self._put(first)
            while True:
                await self._room.wait()  # before the next is asked for: it would be one more in memory
                message = await anext(messages, None)
                if message is None:
                    break
                if self._over:
                    return  # what comes is dropped, the answer is on its way
                self._put(message)
            self.asking = asyncio.ensure_future(is_whole())
            self.asking.add_done_callback(_retrieve)
            await asyncio.shield(self.asking)
            self.end(None)
        except asyncio.CancelledError:
            self.end(_gone())
            raise
        except TrunklineError as error:
            self.end(error)  # what came was no message
        except Exception:
            self.end(_gone())

    def _put(self, message: T) -> None:
        size = _size(message)  # once: protobuf measures by writing the message out
        self.came_bytes += size
        with self._changed:
            self._waiting.append((message, size))
            self._held += size
            if self._held >= AHEAD_BYTES:
                self._room.clear()
            self._changed.notify()

    def end(self, error: BaseException | None) -> None:
        """No more messages come; the reader raises `error` after those that are there. The first end counts."""
        with self._changed:
            if not self._over:
                self._over, self._error = True, error
                self._changed.notify()

    def leave(self) -> None:
        """Called by the reading thread when it reads no more."""
        self.end(None)
        self._make_room()

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._changed:
                while not self._waiting and not self._over:
                    self._changed.wait()
                if not self._waiting:
                    break
                message, size = self._waiting.popleft()
                was_full = self._held >= AHEAD_BYTES
                self._held -= size
                has_room = was_full and self._held < AHEAD_BYTES
            if has_room:
                self._make_room()
            yield message
        if self._error is not None:
            raise self._error

    def _make_room(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: the server is on its way out
            self._loop.call_soon_threadsafe(self._room.set)


def _gone() -> Aborted:
    return Aborted("the client went away before its last message; nothing of the call was kept")


def _size(item: object) -> int:
    if isinstance(item, bytes):
        return len(item)
    if isinstance(item, list):
        return sum(map(len, item))
    measure = getattr(item, "ByteSize", None)
    return int(measure()) if measure is not None else 64
