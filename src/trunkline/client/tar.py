"""Tar: the members of a file that is put, and unpacking a download's stream, safely: regular files and folders only,
and nothing outside the target.

The standard library's reader takes some 100 microseconds a member, most of the time of a tree of small files; this one
reads what servers send: plain, PAX and GNU long names.
"""

from __future__ import annotations

import errno
import os
import tarfile
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, cast

from trunkline.client.sources import OpenStream
from trunkline.errors import DataLoss, FailedPrecondition, InvalidArgument, NotFound
from trunkline.model import paths

_BLOCK = 512
_READ_BYTES = 1024 * 1024
_HELD_BYTES = 64 * 1024
"""Files up to this size are written by threads, in batches: handing over each by itself takes as long as writing it."""
_BATCH_FILES = 64
_BATCH_BYTES = 256 * 1024
_WAITING = 64
"""How many batches may wait."""
_REGULAR = frozenset(b"\x0007")  # also 7, a file that was contiguous once
_FOLDER = b"5"[0]


class _Stream:
    """A stream of pieces, read in exact lengths."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""
        self._at = 0

    def read(self, length: int) -> bytes:
        """`length` bytes. Raises DataLoss if the stream ends before."""
        if len(self._held) - self._at >= length:
            self._at += length
            return self._held[self._at - length : self._at]
        parts = [self._held[self._at :]]
        missing = length - len(parts[0])
        while missing > 0:
            piece = next(self._pieces, None)
            if piece is None:
                raise DataLoss("the download ended early; try again")
            parts.append(piece[:missing])
            self._held, self._at = piece, min(missing, len(piece))
            missing -= len(parts[-1])
        return b"".join(parts)

    def skip(self, length: int) -> None:
        for start in range(0, length, _READ_BYTES):
            self.read(min(_READ_BYTES, length - start))


def unpack(
    pieces: Iterator[bytes],
    target: Path,
    rename: Callable[[str], str | None],
    done: Callable[[int], None] = lambda count: None,
) -> int:
    """Write the archive's files under `target`, which is made; returns how many.

    rename: from a member's path to the path under `target`, None to leave it out. done: told the size of each piece
    written. Raises FailedPrecondition for a member that is no file or folder or would land elsewhere, or if the disk
    refuses; DataLoss for a stream that is no TAR or ends early.
    """
    writer = _Writer(target, done)
    with ThreadPoolExecutor(4, "unpack") as threads:
        stream = _Stream(pieces)
        for name, size_bytes, kind in _members(stream):
            to = rename(name)
            if kind == _FOLDER or to is None:
                if to is not None:
                    writer.folder(to)
                stream.skip(size_bytes)
            elif size_bytes <= _HELD_BYTES:
                writer.later(threads, to, stream.read(size_bytes))
            else:
                writer.now(threads, to, stream, size_bytes)
            stream.skip(-size_bytes % _BLOCK)
        writer.settle(threads)
    return writer.files


def contents(pieces: Iterator[bytes]) -> Iterator[tuple[str, int, Iterator[bytes]]]:
    """The archive's files: path from the top, size, and bytes, to be taken before the next one. Raises as `unpack`."""
    stream = _Stream(pieces)
    for name, size_bytes, kind in _members(stream):
        left = 0 if kind == _FOLDER else size_bytes

        def data() -> Iterator[bytes]:
            nonlocal left
            while left:
                portion = min(left, _READ_BYTES)
                left -= portion
                yield stream.read(portion)

        if kind == _FOLDER:
            stream.skip(size_bytes)
        else:
            yield f"/{name.lstrip('/')}", size_bytes, data()
            stream.skip(left)
        stream.skip(-size_bytes % _BLOCK)


class _Writer:
    """Writes below one folder. Paths stay plain strings: at a hundred thousand files, path objects cost seconds."""

    def __init__(self, target: Path, done: Callable[[int], None]) -> None:
        self.target = str(target)
        self.done = done
        self.files = 0
        self._made: set[str] = set()
        self._batch: list[tuple[str, bytes]] = []
        self._batch_bytes = 0
        self._waiting: deque[Future[None]] = deque()
        self.folder("")

    def folder(self, path: str) -> None:
        self._make(self._place(path))

    def later(self, threads: ThreadPoolExecutor, path: str, data: bytes) -> None:
        self._batch.append((self._file(path), data))
        self._batch_bytes += len(data)
        self.done(len(data))
        if len(self._batch) >= _BATCH_FILES or self._batch_bytes >= _BATCH_BYTES:
            self.hand_over(threads)
        while len(self._waiting) > _WAITING:
            self._waiting.popleft().result()

    def hand_over(self, threads: ThreadPoolExecutor) -> None:
        if self._batch:
            self._waiting.append(threads.submit(_write_all, self._batch))
            self._batch, self._batch_bytes = [], 0

    def now(self, threads: ThreadPoolExecutor, path: str, stream: _Stream, size_bytes: int) -> None:
        self.settle(threads)  # an earlier member may be of the same name

        def pieces() -> Iterator[bytes]:
            for start in range(0, size_bytes, _READ_BYTES):
                piece = stream.read(min(_READ_BYTES, size_bytes - start))
                self.done(len(piece))
                yield piece

        _write(self._file(path), pieces())

    def settle(self, threads: ThreadPoolExecutor) -> None:
        self.hand_over(threads)
        while self._waiting:
            self._waiting.popleft().result()

    def _file(self, path: str) -> str:
        place = self._place(path)
        self._make(place.rpartition("/")[0])
        self.files += 1
        return place

    def _make(self, folder: str) -> None:
        if folder not in self._made:
            try:
                os.makedirs(folder, exist_ok=True)
            except OSError as error:
                raise FailedPrecondition(f"cannot make the directory {folder}: {error.strerror}") from error
            self._made.add(folder)

    def _place(self, path: str) -> str:
        elements = [element for element in path.split("/") if element]
        if "." in elements or ".." in elements or "\0" in path:
            raise FailedPrecondition(f'refused to unpack "{path}": it would land outside {self.target}')
        return "/".join((self.target, *elements))


_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW


def _write_all(files: list[tuple[str, bytes]]) -> None:
    for place, data in files:
        _write(place, (data,))


def _write(place: str, pieces: Iterable[bytes]) -> None:
    try:
        try:
            file = os.open(place, _NEW, 0o666)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            os.unlink(place)  # a link that lies there already is replaced, not followed: it could lead anywhere
            file = os.open(place, _NEW, 0o666)
        try:
            for piece in pieces:
                written = os.write(file, piece)
                while written < len(piece):
                    written += os.write(file, memoryview(piece)[written:])
        finally:
            os.close(file)
    except OSError as error:
        raise FailedPrecondition(f"cannot write {place}: {error.strerror}") from error


def _members(stream: _Stream) -> Iterator[tuple[str, int, int]]:
    """Name, size in bytes and type of each member. The caller reads the contents and the padding before the next."""
    name = ""
    size_bytes = -1
    while True:
        block = stream.read(_BLOCK)
        if not block.strip(b"\0"):
            return
        _check(block)
        length, kind = _number(block[124:136]), block[156]
        if kind in b"xgLK":
            content = stream.read(length)
            stream.skip(-length % _BLOCK)
            if kind == b"L"[0]:
                name = content.rstrip(b"\0").decode("utf-8", "surrogateescape")
            elif kind == b"x"[0]:
                records = _records(content)
                name = records.get("path", name)
                size_bytes = int(records.get("size", "-1"))
            continue
        if kind not in _REGULAR and kind != _FOLDER:
            raise FailedPrecondition(
                f'refused to unpack "{name or _name(block)}": it is neither a file nor a directory'
            )
        yield name or _name(block), size_bytes if size_bytes >= 0 else length, kind
        name, size_bytes = "", -1


def _check(block: bytes) -> None:
    """Refuse a header whose sum of bytes is another than it says. The low half of Adler-32 is that sum plus one, modulo
    65521, at a tenth of the time."""
    field = block[148:156]
    total = _number(field) + sum(field) - 8 * 32
    if zlib.adler32(block) & 0xFFFF != (total + 1) % 65521:
        raise DataLoss("the download is no TAR stream; try again")


def _number(field: bytes) -> int:
    if field[0] & 0x80:  # GNU's form for what octal digits cannot hold
        return int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
    try:
        return int(field.strip(b"\0 ") or b"0", 8)
    except ValueError as error:
        raise DataLoss("the download is no TAR stream; try again") from error


def _name(block: bytes) -> str:
    name = block[:100].partition(b"\0")[0]
    if block[257:262] == b"ustar" and block[345] and block[257:265] != b"ustar  \0":
        name = block[345:500].partition(b"\0")[0] + b"/" + name
    return name.decode("utf-8", "surrogateescape")


def _records(content: bytes) -> dict[str, str]:
    """The records of a PAX header: each is its own length, a space, key=value and a newline."""
    records = {}
    while content:
        digits, _, _ = content.partition(b" ")
        try:
            length = int(digits)
        except ValueError as error:
            raise DataLoss("the download is no TAR stream; try again") from error
        key, _, value = content[len(digits) + 1 : length - 1].partition(b"=")
        records[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        content = content[max(length, 1) :]
    return records


def members(local: str, prefix: str, skipped: Callable[[str], None]) -> Iterator[OpenStream]:
    """Every regular file in a tar file, compressed or not, in its order, under `prefix` (which ends in no slash).

    Read them in this order. Links, devices and the like are named to `skipped`; directories are not stored anyway.
    Raises NotFound if it cannot be read, InvalidArgument for what is no tar file and for names that are no paths.
    """
    try:
        # Closed with the last stream: they read from it.
        archive = tarfile.open(local, mode="r:*")  # noqa: SIM115
    except OSError as error:
        raise NotFound(f"cannot read {local}: {error.strerror or error}") from error
    except tarfile.TarError as error:
        raise InvalidArgument(f"{local} is no tar file: {error}") from error
    try:
        for member in archive:
            data = archive.extractfile(member) if member.isreg() else None
            if data is not None:
                yield OpenStream(paths.clean(f"{prefix}/{_undotted(member.name)}"), cast("BinaryIO", data))
            elif not member.isdir():
                skipped(f"{member.name} in {local} is no regular file")
    except (OSError, EOFError, tarfile.TarError) as error:
        raise InvalidArgument(f"{local} is damaged: {error}") from error


def _undotted(name: str) -> str:
    """Without the "." elements that tar programs begin names with."""
    return "/".join(part for part in name.split("/") if part != ".")
