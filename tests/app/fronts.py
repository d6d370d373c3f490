"""A front with servers behind it that say what reaches them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from trunkline.app.front import Front
from trunkline.app.tls.certificate import Certificate

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def echo(label: bytes) -> Handler:
    """Says its label, then what it hears; ends when the client has ended."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(label)
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()

    return answer


GRPC, HTTP = echo(b"grpc:"), echo(b"http:")


@asynccontextmanager
async def front(
    folder: Path,
    grpc: Handler = GRPC,
    http: Handler = HTTP,
    certificate: Certificate | None = None,
) -> AsyncIterator[tuple[Front, int]]:
    made = Front(folder / "grpc", folder / "http", certificate)
    servers = [
        await asyncio.start_unix_server(grpc, folder / "grpc"),
        await asyncio.start_unix_server(http, folder / "http"),
    ]
    _, port = await made.open("127.0.0.1", 0)
    try:
        yield made, port
    finally:
        made.close()
        for server in servers:
            server.close()
