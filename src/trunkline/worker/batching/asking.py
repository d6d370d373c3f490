"""The socket at which code asks for its datums without any library (docs/formats/runner.md, "The next datum")."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Mapping
from pathlib import Path

from trunkline.worker.launch import listen

NAME = "next.sock"
VARIABLE = "PPS_WORKER_SOCKET"
MAX_ERROR_BYTES = 64 << 10
CONNECTIONS = 16
"""Kept at once; one more, and the oldest is sent away."""
_READ_BYTES = 4 << 10
_SEND_S = 10.0


class Asking:
    """A listening socket in `folder` and who came to it. All but `ring` are for one thread; `ring` ends its `wait`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._listener = listen(folder, NAME)
        self._listener.setblocking(False)
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.poll()
        for descriptor in (self._listener.fileno(), self._bell):
            self._poll.register(descriptor, select.POLLIN)
        self._lines: dict[int, Line] = {}

    def wait(self, timeout_s: float | None) -> Line | None:
        """Until somebody has asked, or the bell rings, or the time is up. None also where there is nothing to say."""
        asked = None
        for descriptor, _ in self._poll.poll(None if timeout_s is None else max(0.0, timeout_s) * 1000):
            if descriptor == self._bell:
                os.eventfd_read(self._bell)
            elif descriptor == self._listener.fileno():
                self._let_in()
            elif asked is None and (line := self._lines.get(descriptor)) is not None:  # who came may have sent it away
                asked = self._hear(line)  # the others are there at the next call, too
        return asked

    def ring(self) -> None:
        """End the wait of the other thread, or the one that it begins next."""
        os.eventfd_write(self._bell, 1)

    def close(self) -> None:
        """Send everybody away."""
        self._path.unlink(missing_ok=True)
        for line in [*self._lines.values()]:
            self._drop(line)
        self._listener.close()
        os.close(self._bell)

    def _let_in(self) -> None:
        with contextlib.suppress(OSError):
            line = Line(self._listener.accept()[0])
            if len(self._lines) == CONNECTIONS:
                self._drop(next(iter(self._lines.values())))
            self._lines[line.descriptor] = line
            self._poll.register(line.descriptor, select.POLLIN)

    def _hear(self, line: Line) -> Line | None:
        """Take what somebody says; the line, once all is said."""
        if not line.hear():
            self._drop(line)
            return None
        return line if line.asked else None

    def _drop(self, line: Line) -> None:
        del self._lines[line.descriptor]
        self._poll.unregister(line.descriptor)
        line.close()


class Line:
    """A connection on which one request after the other comes: what went wrong with the last datum, then a zero."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._connection.setblocking(False)  # with a timeout each call would be two of the kernel's
        self._heard = b""
        self.descriptor = connection.fileno()
        self.asked = False
        self.error = ""

    def hear(self) -> bool:
        """Read what is there. False: it is of no more use."""
        try:
            data = self._connection.recv(_READ_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._heard += data
        before, zero, _ = self._heard.partition(b"\0")  # what comes before the answer counts for nothing
        if zero:
            self.asked, self.error, self._heard = True, before.decode(errors="replace"), b""
        return bool(data) and len(self._heard) <= MAX_ERROR_BYTES

    def answer(self, env: Mapping[str, str]) -> bool:
        """Send the variables of a datum. False: whoever asked is gone, or does not listen."""
        self.asked = False
        block = os.fsencode("".join([f"{name}={value}\0" for name, value in env.items()]) + "\0")
        try:
            sent = self._connection.send(block, socket.MSG_NOSIGNAL)
            if sent < len(block):
                self._connection.settimeout(_SEND_S)  # who takes nothing in this time does not listen
                self._connection.sendall(block[sent:], socket.MSG_NOSIGNAL)
                self._connection.setblocking(False)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def ask(address: str, error: str) -> bool:
    """As code does: say what went wrong with the last datum, or "", and wait for the next. False: nobody serves here.

    Raises OSError where there is no socket to reach.
    """
    with socket.socket(socket.AF_UNIX) as here:
        here.connect(address)
        told = error.encode(errors="replace").replace(b"\0", b" ")[:MAX_ERROR_BYTES]
        here.sendall(told + b"\0")
        end = b""
        while end != b"\0\0":
            try:
                data = here.recv(_READ_BYTES)
            except ConnectionResetError:
                return False
            if not data:
                return False
            end = (end + data)[-2:]
    return True
