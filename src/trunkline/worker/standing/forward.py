"""A port of this machine that leads to the one on which code listens, beside us or in a container."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading

_PIECE = 64 << 10


class Doorway:
    """A listening port that containers are handed: their shims lead who comes to `inner` inside."""

    def __init__(self, inner: int) -> None:
        self.inner = inner
        self._listening: socket.socket | None = None

    def open(self, host: str, outer: int) -> None:
        """Listen on (host, outer), until the process ends. Raises OSError if the port is taken."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listening = socket.create_server((host, outer), family=family, backlog=128)

    @property
    def descriptor(self) -> int:
        """Of the listening socket; -1 before it is open."""
        return self._listening.fileno() if self._listening is not None else -1


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
