"""Files of records, one after another, each with its hash: how backups and bundles are written and read."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from blake3 import blake3

from trunkline.errors import DataLoss, FailedPrecondition, InvalidArgument

_START = struct.Struct(">8sH")
_HEADER = struct.Struct(">BHQ")
HASH_BYTES = 32
PIECE_BYTES = 1 << 20
SMALL_BYTES = 1 << 20
"""What describes a file is not longer."""

ABOUT = 1
"""The kind of the first record, which says what the file is."""


@dataclass(frozen=True, slots=True)
class Form:
    """One kind of file. noun: what messages call it; end: the kind of its last record."""

    magic: bytes
    version: int
    noun: str
    end: int

    def start(self) -> bytes:
        """How every such file begins."""
        return _START.pack(self.magic, self.version)

    def check_start(self, head: bytes) -> None:
        """Raises InvalidArgument for what does not begin so, FailedPrecondition for another version."""
        magic, version = _START.unpack(head)
        if magic != self.magic:
            raise InvalidArgument(f"this is no {self.noun}: it does not begin as one")
        if version != self.version:
            raise FailedPrecondition(
                f"the {self.noun} is of version {version}, this release reads {self.version}: use a newer one"
            )


def record(kind: int, name: str, data: bytes = b"") -> bytes:
    """A whole record."""
    return b"".join(pieces_of(kind, name, len(data), [data]))


def pieces_of(kind: int, name: str, size: int, data: Iterable[bytes]) -> Iterator[bytes]:
    """A record in pieces, of which nothing is kept. size: of all `data`. Raises DataLoss where that is wrong."""
    words = name.encode()
    head = _HEADER.pack(kind, len(words), size) + words
    digest = blake3(head)
    yield head
    for piece in data:
        digest.update(piece)
        size -= len(piece)
        yield piece
    if size:
        raise DataLoss(f"{name} changed while it was written; start again")
    yield digest.digest()


@dataclass(slots=True)
class Record:
    """One record as it is read: its data must be taken, or skipped, before the next one."""

    kind: int
    name: str
    size: int
    data: Iterator[bytes]
    noun: str
    """What the file is called."""

    def bytes(self, limit: int) -> bytes:
        """All data, checked against the hash. Raises DataLoss, also above `limit`, which nobody writes."""
        if self.size > limit:
            raise DataLoss(f"the {self.noun} is damaged at {self.name}: it cannot have {self.size} bytes there")
        return b"".join(self.data)


class Stream:
    """Bytes that come in pieces, taken in other pieces."""

    def __init__(self, form: Form, pieces: Iterable[bytes]) -> None:
        self.form = form
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def take(self, count: int) -> Iterator[bytes]:
        """The next bytes. Raises DataLoss when the stream ends before."""
        while count:
            if not self._rest:
                try:
                    self._rest = memoryview(next(self._pieces))
                except StopIteration:
                    raise DataLoss(f"the {self.form.noun} is cut off: it ends within a record; take it again") from None
                continue
            piece, self._rest = self._rest[:count], self._rest[count:]
            count -= len(piece)
            yield bytes(piece)

    def exactly(self, count: int) -> bytes:
        """The next bytes at once."""
        return b"".join(self.take(count))


def records(form: Form, pieces: Iterable[bytes]) -> Iterator[Record]:
    """The records of a file, up to and with its last. Each is checked when its data has been taken to the end.

    Raises InvalidArgument for what is no such file, FailedPrecondition for one of a later version, DataLoss for a
    damaged or cut one. Memory: a piece.
    """
    stream = Stream(form, pieces)
    form.check_start(stream.exactly(_START.size))
    while True:
        head = stream.exactly(_HEADER.size)
        kind, length, size = _HEADER.unpack(head)
        words = stream.exactly(length)
        found = Record(kind, words.decode(errors="replace"), size, _checked(stream, head + words, size), form.noun)
        yield found
        for _ in found.data:  # what was not looked at
            pass
        if kind == form.end:
            return


def _checked(stream: Stream, head: bytes, size: int) -> Iterator[bytes]:
    digest = blake3(head)
    for piece in stream.take(size):
        digest.update(piece)
        yield piece
    if stream.exactly(HASH_BYTES) != digest.digest():
        name = head[_HEADER.size :].decode(errors="replace")
        raise DataLoss(
            f"the {stream.form.noun} is damaged at {name or 'its end'}: its bytes are not those that were written"
        )


def listing(form: Form, file: BinaryIO) -> Iterator[tuple[int, str, bytes]]:
    """Kind and name of every record of a file that can be sought in; the data only of ABOUT. Raises as `records`."""
    form.check_start(_read(form, file, _START.size))
    kind = 0
    while kind != form.end:
        kind, length, size = _HEADER.unpack(_read(form, file, _HEADER.size))
        name = _read(form, file, length).decode(errors="replace")
        data = b""
        if kind == ABOUT and size <= SMALL_BYTES:
            data = _read(form, file, size)
            size = 0
        yield kind, name, data
        file.seek(size + HASH_BYTES, 1)
    here = file.tell()
    if file.seek(0, 2) < here:
        raise DataLoss(f"the {form.noun} is cut off; take it again")


def _read(form: Form, file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise DataLoss(f"the {form.noun} is cut off; take it again")
    return data
