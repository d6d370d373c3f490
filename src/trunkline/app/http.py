"""An HTTP server: uvicorn on a socket that is bound already, in the event loop that runs."""

from __future__ import annotations

import asyncio
import socket as socket_
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp


def unix_socket(path: Path) -> socket_.socket:
    """Bound here: uvicorn would end the process where it cannot, and let everybody connect. Raises OSError."""
    found = socket_.socket(socket_.AF_UNIX, socket_.SOCK_STREAM)
    found.bind(str(path))
    return found


def tcp_socket(host: str, port: int) -> socket_.socket:
    """Bound to an address of this machine; port 0 finds a free one. Nobody is let in yet. Raises OSError."""
    family = socket_.AF_INET6 if ":" in host else socket_.AF_INET
    found = socket_.socket(family, socket_.SOCK_STREAM)
    try:
        found.setsockopt(socket_.SOL_SOCKET, socket_.SO_REUSEADDR, 1)
        found.bind((host, port))
    except OSError:
        found.close()
        raise
    return found


class _Quiet(uvicorn.Server):
    """Leaves signals to us."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """Serves one ASGI application."""

    def __init__(self, socket: socket_.socket, application: ASGIApp) -> None:
        self._socket = socket
        config = uvicorn.Config(
            application,
            loop="none",
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        self._server = _Quiet(config)
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when requests are answered. Raises OSError where the socket cannot be had."""
        self._running = asyncio.ensure_future(self._server.serve([self._socket]))
        while not self._server.started:
            if self._running.done():
                await self._running
                raise OSError("the HTTP server did not start")
            await asyncio.sleep(0.001)

    async def stop(self) -> None:
        """Take no more requests; those that run have two seconds."""
        self._server.should_exit = True
        if self._running is not None:
            await self._running
