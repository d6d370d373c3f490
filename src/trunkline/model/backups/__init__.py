"""The backup file: records one after another, each with its hash. docs/formats/backup.md describes it."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import BinaryIO

from blake3 import blake3

from trunkline.errors import DataLoss, FailedPrecondition, InvalidArgument

MAGIC = b"TRNKBACK"
VERSION = 1
_START = struct.Struct(">8sH")
_HEADER = struct.Struct(">BHQ")
HASH_BYTES = 32
PIECE_BYTES = 1 << 20
SMALL_BYTES = 1 << 20
"""What describes a backup is not longer."""

ABOUT, CATALOG, KEY, BLOB, LISTED, END = range(1, 7)
"""Kinds of records. LISTED: a blob that an earlier backup has. END is the last; a file without it is cut off."""


@dataclass(frozen=True, slots=True)
class About:
    """What a backup is. since: the id of the earlier one that has the blobs which are only listed; "": none are.

    keys: whether the key of all secrets is in it.
    """

    id: str
    created_us: int
    release: str
    since: str
    keys: bool

    def to_bytes(self) -> bytes:
        """As its record holds it."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> About:
        """The reverse. Raises InvalidArgument."""
        try:
            told = json.loads(data)
            return cls(
                str(told["id"]), int(told["created_us"]), str(told["release"]), str(told["since"]), bool(told["keys"])
            )
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidArgument(f"the backup's description cannot be read ({error})") from error


def start() -> bytes:
    """How every backup begins."""
    return _START.pack(MAGIC, VERSION)


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
        raise DataLoss(f"{name} changed while it was written to the backup; start the backup again")
    yield digest.digest()


@dataclass(slots=True)
class Record:
    """One record as it is read: its data must be taken, or skipped, before the next one."""

    kind: int
    name: str
    size: int
    data: Iterator[bytes]

    def bytes(self, limit: int) -> bytes:
        """All data, checked against the hash. Raises InvalidArgument above `limit`."""
        if self.size > limit:
            raise InvalidArgument(f"the backup says that {self.name} has {self.size} bytes, which is too many")
        return b"".join(self.data)


class Stream:
    """Bytes that come in pieces, taken in other pieces."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def take(self, count: int) -> Iterator[bytes]:
        """The next bytes. Raises DataLoss when the stream ends before."""
        while count:
            if not self._rest:
                try:
                    self._rest = memoryview(next(self._pieces))
                except StopIteration:
                    raise DataLoss("the backup is cut off: it ends within a record; take it again") from None
                continue
            piece, self._rest = self._rest[:count], self._rest[count:]
            count -= len(piece)
            yield bytes(piece)

    def exactly(self, count: int) -> bytes:
        """The next bytes at once."""
        return b"".join(self.take(count))


def records(pieces: Iterable[bytes]) -> Iterator[Record]:
    """The records of a backup, up to and with END. Each is checked when its data has been taken to the end.

    Raises InvalidArgument for what is no backup, FailedPrecondition for one of a later version, DataLoss for a damaged
    or cut one. Memory: a piece.
    """
    stream = Stream(pieces)
    _check_start(stream.exactly(_START.size))
    while True:
        head = stream.exactly(_HEADER.size)
        kind, length, size = _HEADER.unpack(head)
        words = stream.exactly(length)
        found = Record(kind, words.decode(errors="replace"), size, _checked(stream, head + words, size))
        yield found
        for _ in found.data:  # what was not looked at
            pass
        if kind == END:
            return


def _checked(stream: Stream, head: bytes, size: int) -> Iterator[bytes]:
    digest = blake3(head)
    for piece in stream.take(size):
        digest.update(piece)
        yield piece
    if stream.exactly(HASH_BYTES) != digest.digest():
        name = head[_HEADER.size :].decode(errors="replace")
        raise DataLoss(f"the backup is damaged at {name or 'its end'}: its bytes are not those that were written")


def _check_start(head: bytes) -> None:
    magic, version = _START.unpack(head)
    if magic != MAGIC:
        raise InvalidArgument("this is no backup: it does not begin as one")
    if version != VERSION:
        raise FailedPrecondition(f"the backup is of version {version}, this release reads {VERSION}: use a newer one")


def listing(file: BinaryIO) -> Iterator[tuple[int, str, bytes]]:
    """Kind and name of every record of a backup that can be sought in; the data only of ABOUT. Raises as `records`."""
    _check_start(_read(file, _START.size))
    kind = 0
    while kind != END:
        kind, length, size = _HEADER.unpack(_read(file, _HEADER.size))
        name = _read(file, length).decode(errors="replace")
        data = b""
        if kind == ABOUT and size <= SMALL_BYTES:
            data = _read(file, size)
            size = 0
        yield kind, name, data
        file.seek(size + HASH_BYTES, 1)
    here = file.tell()
    if file.seek(0, 2) < here:
        raise DataLoss("the backup is cut off; take it again")


def _read(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise DataLoss("the backup is cut off; take it again")
    return data
