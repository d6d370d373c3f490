"""The front: which server gets a connection, pace, half-closed clients, many at once."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop
from fronts import HTTP, Handler, front

from trunkline.app.front import Front


def run(folder: Path, client: Callable[[Front, int], Awaitable[None]], http: Handler | None = None) -> None:
    async def all_of_it() -> None:
        async with front(folder, http=http or HTTP) as (made, port):
            await client(made, port)

    uvloop.run(all_of_it())


async def ask(port: int, *pieces: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("pieces", "label"),
    [
        ((b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",), b"grpc:"),
        ((b"P", b"R", b"I * more"), b"grpc:"),
        ((b"POST / HTTP/1.1\r\n\r\n",), b"http:"),
        ((b"GET / HTTP/1.1\r\n\r\n",), b"http:"),
        ((b"PR",), b"http:"),
    ],
)
def test_the_first_bytes_choose_the_server(tmp_path: Path, pieces: tuple[bytes, ...], label: bytes) -> None:
    async def client(_front: Front, port: int) -> None:
        # The client has ended its direction when the answer comes: half-closed connections work.
        assert await ask(port, *pieces) == label + b"".join(pieces)

    run(tmp_path, client)


def test_bytes_arrive_whole(tmp_path: Path) -> None:
    sent = os.urandom(8 << 20)

    async def client(_front: Front, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        got = asyncio.ensure_future(reader.read())
        for at in range(0, len(sent), 100_000):
            writer.write(sent[at : at + 100_000])
            await writer.drain()
        writer.write_eof()
        assert await got == b"http:" + sent

    run(tmp_path, client)


def test_a_server_that_reads_slowly_holds_the_client_back(tmp_path: Path) -> None:
    reading = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reading.wait()
        total = 0
        while data := await reader.read(1 << 20):
            total += len(data)
        writer.write(str(total).encode())
        writer.close()

    async def client(_front: Front, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        writer.transport.set_write_buffer_limits(high=0)
        sent = 0

        async def send() -> None:
            nonlocal sent
            while not reading.is_set():
                writer.write(b"x" * 100_000)
                sent += 100_000
                await writer.drain()

        sending = asyncio.ensure_future(send())
        before = -1
        while sent != before:  # until nothing moves any more
            before = sent
            for _ in range(50):
                await asyncio.sleep(0.002)
        # What the kernel's buffers take is not ours to bound; 64 MiB are far above them and far below endless.
        assert sent < 64 << 20
        reading.set()
        await sending
        writer.write_eof()
        assert int(await reader.read()) == sent

    run(tmp_path, client, slow)


def test_a_client_that_says_nothing_and_leaves_is_forgotten(tmp_path: Path) -> None:
    async def client(made: Front, port: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        while made.connections == 0:
            await asyncio.sleep(0.001)
        writer.close()
        while made.connections:
            await asyncio.sleep(0.001)

    run(tmp_path, client)


def test_a_client_that_breaks_off_ends_its_server_side(tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(100):
                pass
        except ConnectionError:
            pass
        writer.close()
        ended.set()

    async def client(made: Front, port: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /")
        await writer.drain()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        writer.transport.abort()
        await ended.wait()
        while made.connections:
            await asyncio.sleep(0.001)

    run(tmp_path, client, server)


def test_no_server_behind_closes_the_connection(tmp_path: Path) -> None:
    async def client() -> None:
        made = Front(tmp_path / "nowhere", tmp_path / "nowhere")
        _, port = await made.open("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.read() == b""
        made.close()

    uvloop.run(client())


def test_a_thousand_connections_at_once(tmp_path: Path) -> None:
    async def client(made: Front, port: int) -> None:
        pairs = [await asyncio.open_connection("127.0.0.1", port) for _ in range(1000)]
        for _, writer in pairs:
            writer.write(b"GET")
        answers = await asyncio.gather(*(reader.readexactly(8) for reader, _ in pairs))
        assert set(answers) == {b"http:GET"}
        assert made.connections == 1000
        for _, writer in pairs:
            writer.close()

    run(tmp_path, client)
