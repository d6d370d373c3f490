"""Pieces of files, read where they lie in the message that came.

protobuf copies bytes once for the message and again for each who asks it for them. Of messages of megabytes, several of
which are always on their way, a view costs neither that memory nor that time. What is not written as simply as clients
write it, and what is small, is left to protobuf.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own

LARGE = 64 << 10
"""Bytes of a message from which on it is worth looking."""

_NUMBER, _DELIMITED = 0, 2
_LONGEST = 9
"""Bytes of a number; longer ones are negative, or too large for any field here."""

Field = int | memoryview


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a file; they keep the message that they came in. append: as in `own.FilePiece`."""

    path: str
    data: memoryview
    datum: str = ""
    append: bool = False

    def ByteSize(self) -> int:
        """About what the message has, as those of protobuf tell it."""
        return len(self.data)


def bulk_put(data: bytes) -> own.BulkPutRequest | Piece:
    """A message of `BulkPut`. Raises DecodeError."""
    if len(data) >= LARGE:
        with suppress(ValueError):
            piece = _fields(_only(memoryview(data), 3), 1, 2, 3)
            return Piece(_text(piece.get(1)), _bytes(piece.get(2)), append=_flag(piece.get(3)))
    return own.BulkPutRequest.FromString(data)


def modify_file(data: bytes) -> pfs.ModifyFileRequest | Piece:
    """A message of `ModifyFile`. Raises DecodeError."""
    if len(data) >= LARGE:
        with suppress(ValueError):
            add = _fields(_only(memoryview(data), 2), 1, 2, 3)
            return Piece(_text(add.get(1)), _only(_bytes(add.get(3)), 1), datum=_text(add.get(2)))
    return pfs.ModifyFileRequest.FromString(data)


def _only(data: memoryview, number: int) -> memoryview:
    """The one field that there is."""
    return _bytes(_fields(data, number).get(number))


def _fields(data: memoryview, *known: int) -> dict[int, Field]:
    """The fields of a message by number. Raises ValueError unless all are known, once each, numbers or delimited."""
    found: dict[int, Field] = {}
    at = 0
    while at < len(data):
        tag, at = _number(data, at)
        value, at = _number(data, at)
        start, at = at, at + (value if tag & 7 == _DELIMITED else 0)
        if tag & 7 not in (_NUMBER, _DELIMITED) or at > len(data) or tag >> 3 not in known or tag >> 3 in found:
            raise ValueError("of another kind, cut short, not known, or there twice")
        found[tag >> 3] = data[start:at] if tag & 7 == _DELIMITED else value
    return found


def _number(data: memoryview, at: int) -> tuple[int, int]:
    """The number that begins there, and where it ends. Raises ValueError."""
    value = 0
    for count, byte in enumerate(data[at : at + _LONGEST]):
        value |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            return value, at + count + 1
    raise ValueError("no number ends here")


def _bytes(field: Field | None) -> memoryview:
    if isinstance(field, memoryview):
        return field
    raise ValueError("not delimited")


def _text(field: Field | None) -> str:
    return "" if field is None else str(_bytes(field), "utf-8")


def _flag(field: Field | None) -> bool:
    if isinstance(field, memoryview):
        raise ValueError("delimited")
    return bool(field)
