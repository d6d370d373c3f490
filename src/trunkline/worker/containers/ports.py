"""Ports of this machine that code in a container reaches: Unix sockets which the shim's relays lead to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Mapping
from pathlib import Path

_PIECE = 64 << 10


class Ports:
    """Serves a socket in `folder` for each port, until closed. ports: those inside, with (host, port) outside."""

    def __init__(self, folder: Path, ports: Mapping[int, tuple[str, int]]) -> None:
        self.inside = tuple(ports)
        self._loop = asyncio.new_event_loop()
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        for port, target in ports.items():
            here = _listen(folder, name_of(port))
            self._loop.run_until_complete(self._serve(here, target))
        self._thread = threading.Thread(target=self._loop.run_forever, name="ports", daemon=True)
        self._thread.start()

    async def _serve(self, here: socket.socket, target: tuple[str, int]) -> None:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                there, back = await asyncio.open_connection(*target)
            except OSError:
                writer.close()
                return
            await asyncio.gather(_pass(reader, back), _pass(there, writer))
            for each in (back, writer):
                each.close()

        await asyncio.start_unix_server(connected, sock=here)

    def close(self) -> None:
        """End all connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


def name_of(port: int) -> str:
    """The file name of a port's socket."""
    return f"{port}.sock"


def _listen(folder: Path, name: str) -> socket.socket:
    """Bound by way of the folder's descriptor, since an address holds 108 bytes at most."""
    here = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        (folder / name).unlink(missing_ok=True)
        here.bind(f"/proc/self/fd/{descriptor}/{name}")
        (folder / name).chmod(0o666)
        here.listen(64)
        here.setblocking(False)
    finally:
        os.close(descriptor)
    return here


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_PIECE):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
            return
    writer.close()
