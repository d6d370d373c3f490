"""Blocking engine calls under asynchronous handlers: order, bounds, errors, leaving early."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

import pytest
from google.protobuf.wrappers_pb2 import BytesValue

from trunkline.api.rpc import bridge as bridges
from trunkline.api.rpc.bridge import AHEAD_BYTES, Bridge
from trunkline.errors import Aborted, NotFound


@pytest.fixture
def bridge() -> Iterator[Bridge]:
    made = Bridge(ThreadPoolExecutor(2), ThreadPoolExecutor(2))
    yield made
    made.close()


async def there() -> None:
    """The client is still connected when its messages have ended."""


async def collect(items: AsyncIterator[int]) -> list[int]:
    return [item async for item in items]


def test_a_stream_keeps_its_order(bridge: Bridge) -> None:
    assert asyncio.run(collect(bridge.stream(lambda: iter(range(5000))))) == list(range(5000))


def test_an_error_comes_after_the_items_before_it(bridge: Bridge) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise NotFound("no such thing")

    async def run() -> list[int]:
        stream = bridge.stream(broken)
        first = await anext(stream)
        with pytest.raises(NotFound, match="no such thing"):
            await anext(stream)
        return [first]

    assert asyncio.run(run()) == [1]


def test_who_leaves_a_stream_closes_the_engines_iterator(bridge: Bridge) -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            yield from iter(int, 1)
        finally:
            closed.set()

    async def run() -> None:
        async with aclosing(bridge.stream(endless)) as items:
            async for _ in items:
                break

    asyncio.run(run())
    assert closed.wait(60)


def test_a_slow_reader_holds_no_thread(bridge: Bridge) -> None:
    """More streams than threads, all stuck at their reader, and still a call is answered."""

    async def run() -> int:
        streams = [bridge.stream(lambda: iter(range(100_000))) for _ in range(20)]
        firsts = [await anext(stream) for stream in streams]
        answer = await bridge.unary(lambda: 42)
        for stream in streams:
            await stream.aclose()
        return answer + sum(firsts)

    assert asyncio.run(run()) == 42


def test_a_reader_ahead_of_the_engine_is_held_back(bridge: Bridge) -> None:
    """The client sends far more than may wait; before the engine reads, only the bound has been taken."""
    sent = 0
    go = threading.Event()
    message = BytesValue(value=b"x" * (1 << 20))

    async def client() -> AsyncIterator[BytesValue]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield message

    def engine(messages: Iterator[BytesValue]) -> tuple[int, int]:
        go.wait(60)
        before = sent
        return before, sum(1 for _ in messages)

    async def run() -> tuple[int, int]:
        work = asyncio.ensure_future(bridge.consume(client(), engine, there))
        while sent * (1 << 20) < AHEAD_BYTES:
            await asyncio.sleep(0)
        for _ in range(1000):
            await asyncio.sleep(0)
        go.set()
        return await work

    before, total = asyncio.run(run())
    assert before <= AHEAD_BYTES // (1 << 20) + 1
    assert total == 100


def test_a_client_that_goes_away_is_an_error_in_the_engine(bridge: Bridge) -> None:
    raised: list[BaseException] = []
    read, done = threading.Event(), threading.Event()

    async def client() -> AsyncIterator[BytesValue]:
        yield BytesValue(value=b"first")
        await asyncio.Event().wait()

    def engine(messages: Iterator[BytesValue]) -> None:
        try:
            for _ in messages:
                read.set()
        except Aborted as error:
            raised.append(error)
            raise
        finally:
            done.set()

    async def run() -> None:
        work = asyncio.ensure_future(bridge.consume(client(), engine, there))
        assert await asyncio.to_thread(read.wait, 60)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(run())
    assert done.wait(60)
    assert "went away" in str(raised[0])


def test_messages_that_end_because_the_client_is_gone_are_not_all(bridge: Bridge) -> None:
    async def client() -> AsyncIterator[BytesValue]:
        yield BytesValue(value=b"first")

    async def gone() -> None:
        raise ConnectionError

    async def run() -> None:
        with pytest.raises(Aborted):
            await bridge.consume(client(), lambda messages: len(list(messages)), gone)

    asyncio.run(run())


def test_an_engine_that_stops_reading_ends_the_call(bridge: Bridge) -> None:
    async def client() -> AsyncIterator[BytesValue]:
        while True:
            yield BytesValue(value=b"x" * (4 << 20))

    def engine(messages: Iterator[BytesValue]) -> None:
        next(messages)
        raise NotFound("no such branch")

    async def run() -> None:
        with pytest.raises(NotFound):
            await bridge.consume(client(), engine, there)

    asyncio.run(run())


def test_no_message_at_all_reaches_the_engine(bridge: Bridge) -> None:
    async def client() -> AsyncIterator[BytesValue]:
        return
        yield

    async def run() -> int:
        return await bridge.consume(client(), lambda messages: len(list(messages)), there)

    assert asyncio.run(run()) == 0


def test_memory_is_given_back_when_the_last_of_large_uploads_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridges, "MUCH_BYTES", 1000)
    given: list[str] = []
    bridge = Bridge(ThreadPoolExecutor(1), ThreadPoolExecutor(2), after_much=lambda: given.append("back"))

    async def messages(size: int, until: asyncio.Event) -> AsyncIterator[bytes]:
        yield b"x" * size
        await until.wait()

    async def run() -> None:
        def upload(size: int) -> tuple[asyncio.Event, asyncio.Task[int]]:
            until = asyncio.Event()
            return until, asyncio.create_task(
                bridge.consume(messages(size, until), lambda sent: len(list(sent)), there)
            )

        async def end(of: tuple[asyncio.Event, asyncio.Task[int]]) -> list[str]:
            of[0].set()
            assert await of[1] == 1
            await bridge.unary(lambda: None)  # behind what was told, in the same thread
            return given

        assert await end(upload(999)) == []
        large, small = upload(2000), upload(1)
        assert await end(large) == [], "another one still runs"
        assert await end(small) == ["back"]
        assert await end(upload(999)) == ["back"], "what came before is done with"

    asyncio.run(run())
    bridge.close()
