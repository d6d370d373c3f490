"""Handing open files to a server on the same machine, which then reads or writes them itself."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from types import TracebackType
from typing import Self

from trunkline.client.connection import Client
from trunkline.errors import TrunklineError
from trunkline.wire.gen import trunkline_pb2 as own

TICKET_BYTES = 16
ANSWER_S = 10.0
LOOK_S = 0.05


class Hands:
    """A connection to the socket of a server on this machine. As a context it hangs up."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line

    def give(self, handle: int) -> bytes | None:
        """Hand over an open file; the ticket to name it by, or None where the server takes no more."""
        ticket = secrets.token_bytes(TICKET_BYTES)
        try:
            socket.send_fds(self._line, [ticket], [handle])
            return ticket if self._line.recv(1) else None
        except OSError:
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._line.close()


def reach(client: Client) -> Hands | None:
    """A connection to the server's socket; None where it is on another machine, another user's, or too old for this."""
    try:
        told = client.own_files.Handover(own.HandoverRequest())
    except TrunklineError:
        return None
    if not told.socket:
        return None
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        line.settimeout(ANSWER_S)
        line.connect(told.socket)
        if line.recv(len(told.greeting), socket.MSG_WAITALL) == told.greeting:
            return Hands(line)
    except OSError:
        pass
    line.close()
    return None


@contextmanager
def watched(handle: int, progress: Callable[[int], None]) -> Iterator[None]:
    """Tell how many more bytes the server has written to a file that was handed over, until the end of this."""
    over = Event()

    def look() -> None:
        before = start
        while True:
            ended = over.wait(LOOK_S)
            now = os.lseek(handle, 0, os.SEEK_CUR)
            progress(now - before)
            before = now
            if ended:
                return

    start = os.lseek(handle, 0, os.SEEK_CUR)
    watching = Thread(target=look, name="progress", daemon=True)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()


def progress(handle: int) -> Iterator[int]:
    """How many more bytes of a file that was handed over have been read, whenever asked. Ends with the file.

    The place in the file is shared with whoever reads it.
    """
    before = os.lseek(handle, 0, os.SEEK_CUR)
    while before < os.fstat(handle).st_size:
        now = os.lseek(handle, 0, os.SEEK_CUR)
        yield now - before
        before = now
