"""Frames of the runner protocol (docs/formats/runner.md), for both sides."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

VERSION = 1
MAX_FRAME_BYTES = 8 << 20

HELLO, OUT, EXITED, DONE = 1, 2, 3, 4
WELCOME, EXEC, CREDIT, KILL, REAP, FIX, WIPE, BYE = 129, 130, 131, 132, 133, 134, 135, 136

OUTPUT, ERROR = 1, 2
"""The two streams of a process."""

HOW_EXITED, HOW_SIGNALLED, HOW_NOT_STARTED = 0, 1, 2
FLAG_TIMED_OUT, FLAG_KILLED, FLAG_OUT_OF_MEMORY, FLAG_OVER_MEMORY = 1, 2, 4, 8
FLAG_GROUPED = 1
FLAG_OWN_PIDS, FLAG_OWN_MOUNTS = 1, 2

_HEAD = struct.Struct("<IBI")
_U32 = struct.Struct("<I")
HELLO_BODY = struct.Struct("<H16sI")
EXITED_BODY = struct.Struct("<BiIQQQQ")
EXEC_BODY = struct.Struct("<QI")
EXEC_LIMITS = struct.Struct("<QQI")
CREDIT_BODY = struct.Struct("<BI")
DONE_BODY = struct.Struct("<Q")
WELCOME_BODY = struct.Struct("<H")


class BadFrame(Exception):
    """The other side does not speak this protocol."""


def frame(kind: int, number: int, *parts: bytes) -> bytes:
    """One frame, ready to send."""
    body = b"".join(parts)
    return _HEAD.pack(len(body) + 5, kind, number) + body


def text(value: bytes) -> bytes:
    """A `text` field."""
    return _U32.pack(len(value)) + value


def texts(values: Sequence[bytes]) -> bytes:
    """A `list` field."""
    return _U32.pack(len(values)) + b"".join(text(value) for value in values)


class Fields:
    """Reads a payload field by field. Raises BadFrame where it is too short."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._at = 0

    def struct(self, shape: struct.Struct) -> tuple[Any, ...]:
        """The next fixed fields."""
        try:
            values = shape.unpack_from(self._payload, self._at)
        except struct.error as error:
            raise BadFrame(str(error)) from None
        self._at += shape.size
        return values

    def text(self) -> bytes:
        """The next `text`."""
        (length,) = self.struct(_U32)
        if self._at + length > len(self._payload):
            raise BadFrame(f"a text of {length} bytes runs past the end of its frame")
        value = self._payload[self._at : self._at + length]
        self._at += length
        return value

    def texts(self) -> list[bytes]:
        """The next `list`."""
        (count,) = self.struct(_U32)
        return [self.text() for _ in range(count)]

    def ended(self) -> bool:
        """Whether nothing is left: a field that came with a later version may be missing."""
        return self._at >= len(self._payload)

    def rest(self) -> bytes:
        """All that is left."""
        value = self._payload[self._at :]
        self._at = len(self._payload)
        return value


class Incoming:
    """Bytes as they come, frames as they are whole."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, int, Fields]]:
        """Add `data`; yields (kind, id, payload) of each frame that is whole now. Raises BadFrame."""
        self._buffer += data
        while len(self._buffer) >= _HEAD.size:
            length, kind, number = _HEAD.unpack_from(self._buffer)
            if not 5 <= length <= MAX_FRAME_BYTES:
                self._buffer.clear()
                raise BadFrame(f"a frame of {length} bytes")
            end = 4 + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[_HEAD.size : end])
            del self._buffer[:end]
            yield kind, number, Fields(payload)
