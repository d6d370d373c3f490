"""Tar streams written as they go: a file set of any size in bounded memory.

Written by hand, since `tarfile` spends more on one small file than everything else on its way does. Names that the
old header cannot hold (long, or not ASCII) and sizes above 8 GiB go into POSIX extended headers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from trunkline.wire.frames import bytes_value

Buffer = bytes | memoryview

BLOCK = 512
END = bytes(2 * BLOCK)
"""What ends every tar stream, an empty one too."""

_MODES = {b"0": b"0000644\0", b"5": b"0000755\0", b"x": b"0000644\0"}
_OWNER = b"0000000\0"
_MAGIC = b"ustar\x0000"
_BLANK = b" " * 8
_OCTAL_LIMIT = 8**11


def member(path: str, size_bytes: int, mtime_s: int, *, directory: bool = False) -> bytes:
    """What stands before a file's bytes, or for a directory. The name is relative, as tar wants it."""
    name = path.lstrip("/").encode()
    kind = b"5" if directory else b"0"
    records = b""
    if len(name) > 100 or not name.isascii():
        records += _record(b"path", name)
    if size_bytes >= _OCTAL_LIMIT:
        records += _record(b"size", str(size_bytes).encode())
    header = _header(_short(name), size_bytes % _OCTAL_LIMIT, mtime_s, kind)
    if not records:
        return header
    return _header(b"PaxHeader", len(records), mtime_s, b"x") + records + padding(len(records)) + header


def padding(size_bytes: int) -> bytes:
    """What stands after a file's bytes, up to the next block."""
    return bytes(-size_bytes % BLOCK)


def _short(name: bytes) -> bytes:
    return (
        name if len(name) <= 100 and name.isascii() else name[:100].decode(errors="ignore").encode("ascii", "replace")
    )


def _header(name: bytes, size_bytes: int, mtime_s: int, kind: bytes) -> bytes:
    before = b"%s%s%s%s%011o\0%011o\0" % (
        name.ljust(100, b"\0"),
        _MODES[kind],
        _OWNER,
        _OWNER,
        size_bytes,
        max(0, min(mtime_s, _OCTAL_LIMIT - 1)),
    )
    after = kind + bytes(100) + _MAGIC
    checksum = sum(before) + sum(_BLANK) + sum(after)
    return (before + b"%06o\0 " % checksum + after).ljust(BLOCK, b"\0")


def _record(key: bytes, value: bytes) -> bytes:
    """`LENGTH key=value`, where LENGTH counts itself."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def blocks(files: Iterable[tuple[str, int, Iterable[Buffer] | None]], mtime_s: int) -> Iterator[Buffer]:
    """A whole tar stream. files: each path with its size and bytes, which are read in order, once; None: a directory.

    The root itself is left out: it has no name.
    """
    for path, size_bytes, data in files:
        if data is not None:
            yield member(path, size_bytes, mtime_s)
            yield from data
            yield padding(size_bytes)
        elif path.strip("/"):
            yield member(path, 0, mtime_s, directory=True)
    yield END


def messages(stream: Iterable[Buffer], size_bytes: int) -> Iterator[bytes]:
    """The pieces of a stream as encoded `BytesValue`s. Each byte is copied once."""
    return (bytes_value(*parts) for parts in pieces(stream, size_bytes))


def pieces(stream: Iterable[Buffer], size_bytes: int) -> Iterator[list[Buffer]]:
    """The same bytes in pieces of `size_bytes`, only the last may be shorter; an empty stream is one empty piece.

    Each piece is given as the parts it is made of, which are not copied.
    """
    held: list[Buffer] = []
    size, sent = 0, False
    for portion in stream:
        left = portion
        while size + len(left) >= size_bytes:
            view = memoryview(left)
            yield [*held, view[: size_bytes - size]]
            left = view[size_bytes - size :]
            held, size, sent = [], 0, True
        if left:
            held.append(left)
            size += len(left)
    if held or not sent:
        yield held
