"""A port of this machine that leads to the one on which code listens."""

from __future__ import annotations

import asyncio
import contextlib
import threading

_PIECE = 64 << 10


class Forward:
    """Passes connections to (host, outer) on to 127.0.0.1:inner, until the process ends. Raises OSError if taken."""

    def __init__(self, host: str, outer: int, inner: int) -> None:
        self._inner = inner
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(self._open(host, outer))
        threading.Thread(target=self._loop.run_forever, name="forward", daemon=True).start()

    async def _open(self, host: str, outer: int) -> asyncio.Server:
        return await asyncio.start_server(self._connected, host, outer)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, here = await asyncio.open_connection("127.0.0.1", self._inner)
        except OSError:  # the code does not listen yet, or not any more
            writer.close()
            return
        await asyncio.gather(_pass(reader, here), _pass(there, writer))
        for each in (here, writer):
            each.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_PIECE):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
            return
    writer.close()
