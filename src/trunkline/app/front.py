"""One address for gRPC and HTTP: the first three bytes of a connection say which it is.

With a certificate the address speaks TLS and nothing else; the three bytes are then the first decrypted ones.

Every gRPC client opens with HTTP/2's preface, which begins with PRI; no HTTP/1 request does. A connection is handed
to one of two servers behind unix sockets and bytes are passed on unread, at the pace of the slower side: a full
buffer towards one side stops reading from the other. A client may end its direction and still get its answer.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from trunkline.app.tls.certificate import Certificate
    from trunkline.app.tls.listener import TlsListener

PREFACE = b"PRI"
BUFFER_BYTES = 1 << 20
"""Read from one side and not yet taken by the other; above it, reading stops."""

PREFACE_S = 60.0
"""A connection that has not said its first three bytes by then is closed."""

QUEUE_TRIES = 200
QUEUE_S = 0.025
"""A unix socket whose queue is full refuses at once, unlike TCP: how often and how soon we ask again."""

IDLE_PROBE_S = 60
"""TCP asks a silent peer after this long whether it is still there."""


class Front:
    """An open address. Closing it ends all connections. certificate: with which it speaks TLS; None: plaintext."""

    def __init__(self, grpc: Path, http: Path, certificate: Certificate | None = None) -> None:
        self._grpc = grpc
        self._http = http
        self._server: asyncio.Server | None = None
        self._tls = self._listener(certificate) if certificate is not None else None
        self._open: set[_Outer] = set()

    def _listener(self, certificate: Certificate) -> TlsListener:
        from trunkline.app.tls.listener import TlsListener

        return TlsListener(certificate, lambda: _Outer(self))

    async def open(self, host: str, port: int) -> tuple[str, int]:
        """Listen; the address as it came out (port 0 finds a free one). Raises OSError."""
        if self._tls is not None:
            return await self._tls.open(host, port)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Outer(self), host, port, backlog=1024)
        address: tuple[str, int] = self._server.sockets[0].getsockname()[:2]
        return address

    def stop_accepting(self) -> None:
        """No new connections; the open ones go on."""
        if self._server is not None:
            self._server.close()
        if self._tls is not None:
            self._tls.stop_accepting()

    def close(self) -> None:
        """End everything at once."""
        self.stop_accepting()
        for connection in list(self._open):
            connection.abort()

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._open)

    def opened(self, connection: _Outer) -> None:
        """Called by a connection when it begins."""
        self._open.add(connection)

    def closed(self, connection: _Outer) -> None:
        """Called by a connection when it has ended."""
        self._open.discard(connection)

    def behind(self, first: bytes) -> Path:
        """The socket of the server for a connection that begins so."""
        return self._grpc if first.startswith(PREFACE) else self._http


class _Side(asyncio.Protocol):
    """One end of a pair. `peer` is the transport that gets what arrives here."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.peer: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # streams only: the loop gives their protocols nothing else
        self.transport.set_write_buffer_limits(high=BUFFER_BYTES)

    def data_received(self, data: bytes) -> None:
        if self.peer is not None and not self.peer.is_closing():
            self.peer.write(data)

    def pause_writing(self) -> None:
        """This side takes no more for now: stop reading from the other."""
        if self.peer is not None and not self.peer.is_closing():
            self.peer.pause_reading()

    def resume_writing(self) -> None:
        if self.peer is not None and not self.peer.is_closing():
            self.peer.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.peer is None:
            return
        if exc is None:
            self.peer.close()
        else:
            self.peer.abort()


class _Inner(_Side):
    """Towards the server behind."""

    def __init__(self, outer: _Outer) -> None:
        super().__init__()
        self._outer = outer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.peer = self._outer.transport

    def eof_received(self) -> bool:
        return False  # a server that ends has answered: close, which closes the client's side once all is sent


class _Outer(_Side):
    """Towards a client. Until the server behind is connected, what came is kept and reading stops."""

    def __init__(self, front: Front) -> None:
        super().__init__()
        self._front = front
        self._first = bytearray()
        self._ended = False
        self._joining: asyncio.Task[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._front.opened(self)
        _probe_when_idle(transport.get_extra_info("socket"))
        self._deadline = asyncio.get_running_loop().call_later(PREFACE_S, self.abort)

    def data_received(self, data: bytes) -> None:
        if self.peer is not None:
            super().data_received(data)
            return
        self._first += data
        if len(self._first) >= len(PREFACE):
            self._join()

    def eof_received(self) -> bool:
        if self.transport is not None and not self.transport.can_write_eof():
            return False  # TLS ends both directions at once
        if self.peer is not None:
            if not self.peer.is_closing():
                self.peer.write_eof()
            return True  # the client sends no more and may still wait for its answer
        self._ended = True
        if self._first:
            self._join()
        return bool(self._first)  # said nothing and ended: close

    def connection_lost(self, exc: Exception | None) -> None:
        self._front.closed(self)
        if self._deadline is not None:
            self._deadline.cancel()
        if self._joining is not None:
            self._joining.cancel()
        super().connection_lost(exc)

    def abort(self) -> None:
        """Drop the connection; the server behind sees it go."""
        if self.transport is not None:
            self.transport.abort()

    def _join(self) -> None:
        if self._joining is None and self.transport is not None:
            if self._deadline is not None:
                self._deadline.cancel()
            self.transport.pause_reading()
            self._joining = asyncio.ensure_future(self._connect())

    async def _reach(self, path: Path) -> asyncio.Transport | None:
        """A connection to the server behind; None if there is none to be had."""
        loop = asyncio.get_running_loop()
        for _ in range(QUEUE_TRIES):
            try:
                peer, _protocol = await loop.create_unix_connection(lambda: _Inner(self), str(path))
                return peer
            except BlockingIOError:  # many at once: its queue is full for a moment
                await asyncio.sleep(QUEUE_S)
            except OSError:
                return None
        return None

    async def _connect(self) -> None:
        peer = await self._reach(self._front.behind(bytes(self._first)))
        if peer is None:
            self.abort()
            return
        if self.transport is None or self.transport.is_closing():
            peer.abort()
            return
        self.peer = peer
        peer.write(bytes(self._first))
        self._first.clear()
        if self._ended:
            peer.write_eof()
        self.transport.resume_reading()


def _probe_when_idle(sock: socket.socket | None) -> None:
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE_PROBE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
