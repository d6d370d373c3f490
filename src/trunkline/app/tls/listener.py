"""A listening address that speaks TLS. Who speaks plaintext there is told so.

The first byte of a connection says which it is and is looked at without being taken, so that the event loop's own TLS
has the connection from its beginning.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from contextlib import suppress

from trunkline.app.http import tcp_socket
from trunkline.app.tls.certificate import Certificate
from trunkline.app.tls.plaintext import Refusing

HANDSHAKE = 0x16
"""The first byte of every TLS connection: a record with a handshake."""

HELLO_S = 60.0
"""A connection that has not said its first byte by then is closed, and one whose handshake takes longer."""

BACKLOG = 1024
FULL_S = 0.5
"""How long nobody is let in after the machine had no more to give."""

_FULL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_log = logging.getLogger("trunkline.tls")


class TlsListener:
    """Lets clients in. made: the protocol for what a connection says, decrypted."""

    def __init__(self, certificate: Certificate, made: Callable[[], asyncio.Protocol]) -> None:
        self._certificate = certificate
        self._made = made
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._greeting: set[asyncio.Task[None]] = set()

    async def open(self, host: str, port: int) -> tuple[str, int]:
        """Listen; the address as it came out (port 0 finds a free one). Raises OSError."""
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        listening = tcp_socket(found[0][4][0] if isinstance(found[0][4][0], str) else host, port)
        try:
            listening.listen(BACKLOG)
        except OSError:
            listening.close()
            raise
        listening.setblocking(False)
        self._socket = listening
        address: tuple[str, int] = listening.getsockname()[:2]
        self._accepting = asyncio.ensure_future(self._accept(listening))
        return address

    def stop_accepting(self) -> None:
        """No new connections; the open ones go on."""
        if self._accepting is not None:
            self._accepting.cancel()
        for task in self._greeting:
            task.cancel()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(listening)
            except OSError as error:
                if error.errno in _FULL:
                    _log.warning("nobody is let in for a moment: %s", error.strerror)
                    await asyncio.sleep(FULL_S)
                continue  # anything else is about one client, who has gone
            task = asyncio.ensure_future(self._greet(client))
            self._greeting.add(task)
            task.add_done_callback(self._greeting.discard)

    async def _greet(self, client: socket.socket) -> None:
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            first = await asyncio.wait_for(_peek(client), HELLO_S)
            if first == HANDSHAKE:
                context = self._certificate.context()
                await loop.connect_accepted_socket(self._made, client, ssl=context, ssl_handshake_timeout=HELLO_S)
            elif first is None:
                client.close()
            else:
                await loop.connect_accepted_socket(lambda: Refusing(self._certificate.names), client)
        except OSError as error:  # no handshake that we can agree to, or nobody there any more
            _log.debug("a client was not let in: %s", error)
            client.close()
        except BaseException:
            client.close()
            raise


async def _peek(client: socket.socket) -> int | None:
    """The first byte that a client says, which stays to be read; None: it has gone without a word."""
    loop = asyncio.get_running_loop()
    while True:
        with suppress(BlockingIOError):
            seen = client.recv(1, socket.MSG_PEEK)
            return seen[0] if seen else None
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(client.fileno(), _wake, ready)
        try:
            await ready
        finally:
            loop.remove_reader(client.fileno())


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
