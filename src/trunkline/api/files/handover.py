"""Open files handed over by clients on this machine: they are read or written here, and need no stream.

A unix socket carries the open file itself (SCM_RIGHTS), so that a client can give only what it could read; the socket
lies in a folder that only the server's own user reaches. docs/formats/handover.md
"""

from __future__ import annotations

import os
import secrets
import socket
import socketserver
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from trunkline.errors import FailedPrecondition, InvalidArgument, Unavailable

TICKET_BYTES = 16
READ_BYTES = 4 << 20
TAKEN = b"\x01"
MOST = 256
"""Files handed over and not yet asked for, at most; the next one waits for the end of its connection."""


class Handed:
    """Files that were handed over, by ticket, and the socket they come through."""

    def __init__(self) -> None:
        self.greeting = secrets.token_bytes(TICKET_BYTES)
        """Tells this server from another whose socket has the same path on the client's machine."""
        self.path = ""
        """Of the socket; empty while there is none."""
        self._files: dict[bytes, int] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._server: _Listener | None = None

    def open(self, path: Path) -> None:
        """Listen at `path`. A socket that cannot be made is not an error: clients then send their bytes."""
        with suppress(OSError):
            self._server = _Listener(path, self)
            self.path = str(path)
            threading.Thread(target=self._serve, args=(self._server,), name="handover", daemon=True).start()

    def close(self) -> None:
        """Listen no more, and let go of what nobody asked for."""
        self.path = ""
        if self._server is not None:
            with suppress(OSError):
                self._server.socket.shutdown(socket.SHUT_RDWR)
            self._ended.wait()
            self._server.server_close()
        self.drop(list(self._files))

    def _serve(self, server: _Listener) -> None:
        # Not serve_forever, which looks twice a second whether to end, and so ends half a second late.
        while self.path:
            server.handle_request()
        self._ended.set()

    def put(self, ticket: bytes, handle: int) -> bool:
        """Keep an open file under a ticket; False where there are too many or the ticket is in use."""
        with self._lock:
            if len(self._files) >= MOST or ticket in self._files:
                return False
            self._files[ticket] = handle
            return True

    def drop(self, tickets: list[bytes]) -> None:
        """Close what is still there of these."""
        with self._lock:
            handles = [self._files.pop(ticket) for ticket in tickets if ticket in self._files]
        for handle in handles:
            os.close(handle)

    @contextmanager
    def taken(self, ticket: bytes, path: str) -> Iterator[int]:
        """A file, once, open until this ends. path: of the file in the commit, for errors. Raises InvalidArgument."""
        with self._lock:
            handle = self._files.pop(ticket, None)
        if handle is None:
            raise InvalidArgument(f"{path}: no file was handed over with this ticket; have its bytes pass in messages")
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise InvalidArgument(f"{path}: only regular files are handed over; have its bytes pass in messages")
            yield handle
        finally:
            os.close(handle)


def read_into(handle: int, path: str, room: memoryview) -> int:
    """The next bytes of a file, put into memory; how many, 0 at the end. Raises Unavailable.

    By steps, so that the client sees how far we are.
    """
    try:
        return os.readv(handle, [room[:READ_BYTES]])
    except OSError as error:
        raise Unavailable(f"{path}: the file could not be read to its end: {error.strerror}") from error


def write_all(handle: int, path: str, data: bytes | memoryview) -> None:
    """Write to where a file stands. Raises FailedPrecondition, also where it was not opened to be written."""
    left = memoryview(data)
    try:
        while left:
            left = left[os.write(handle, left) :]
    except OSError as error:
        raise FailedPrecondition(f"{path}: the file for its bytes cannot be written: {error.strerror}") from error


class _Listener(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, path: Path, handed: Handed) -> None:
        super().__init__(str(path), partial(_Connection, handed))


class _Connection(socketserver.BaseRequestHandler):
    """One client; what it handed over and nobody asked for goes when it hangs up."""

    def __init__(self, handed: Handed, *where: Any) -> None:
        self._handed = handed
        super().__init__(*where)

    def handle(self) -> None:
        """Greet, then take files until the client hangs up."""
        handed, tickets = self._handed, list[bytes]()
        with suppress(OSError):
            self.request.sendall(handed.greeting)
            while True:
                ticket, handles, _flags, _address = socket.recv_fds(self.request, TICKET_BYTES, 1)
                if len(ticket) != TICKET_BYTES or len(handles) != 1 or not handed.put(ticket, handles[0]):
                    for handle in handles:
                        os.close(handle)
                    break
                tickets.append(ticket)
                self.request.sendall(TAKEN)
        handed.drop(tickets)
