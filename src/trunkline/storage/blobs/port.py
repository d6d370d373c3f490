"""What the engine needs of a place that keeps bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Protocol, cast

from trunkline.errors import DataLoss, InvalidArgument

Bytes = bytes | bytearray | memoryview
Data = Bytes | Sequence[Bytes]
"""What can be put: bytes, or several strings of them that follow each other. Never changed while a put runs."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*")


class BlobStore(Protocol):
    """Named byte strings, each written once.

    Promises, of every implementation: a blob is wholly there or absent, at every instant and after every crash. When
    `put` has returned, the blob survives `kill -9` and loss of power, and every later `get`, `size` and `names`, by
    anybody, sees it. Putting a name again changes nothing. All methods may be called from many threads at once.
    Names are lower-case words of `a-z 0-9 . _ -`, joined by `/`, and no word starts with a dot.
    """

    def put(self, name: str, data: Data, *, passing: bool = False) -> bool:
        """Write once. False: a blob of that name was there already, and stays as it was.

        passing: it is one of so many that whoever reads it will not find it in this machine's memory any more.
        Raises ResourceExhausted when there is no room and Unavailable when the store does not answer; then nothing
        was written, or (Unavailable only) perhaps all of it.
        """
        ...

    def get(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """Bytes from `start` on, `length` of them, or all that follow.

        Raises NotFound when there is no such blob, DataLoss when the span runs past its end.
        """
        ...

    def size(self, name: str) -> int:
        """Length in bytes. Raises NotFound."""
        ...

    def delete(self, name: str) -> None:
        """Make the name absent. It may be absent already."""
        ...

    def delete_all(self, names: Sequence[str]) -> None:
        """Make all of these absent, with as few requests as the place allows. Any of them may be absent already.

        Raises what `delete` raises; then some of them may be absent and others not.
        """
        ...

    def names(self, prefix: str = "") -> Iterator[str]:
        """Names that start with `prefix`, ascending. Blobs put or deleted meanwhile may or may not be seen."""
        ...


def check_name(name: str) -> str:
    """`name` itself. Raises InvalidArgument when no blob may be called so."""
    if not _NAME.fullmatch(name):
        raise InvalidArgument(f"{name!r} is no name for a blob: words of a-z 0-9 . _ - joined by / are wanted")
    return name


def in_parts(data: Data) -> Sequence[Bytes]:
    """The strings that `data` is made of."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        return [cast("Bytes", data)]
    return data


def check_span(name: str, size: int, start: int, length: int | None) -> int:
    """How many bytes a `get` of this span gives. Raises as `BlobStore.get` does for a span outside the blob."""
    wanted = size - start if length is None else length
    if start < 0 or wanted < 0 or start + wanted > size:
        raise DataLoss(f"blob {name} has {size} bytes, but bytes {start} to {start + wanted} were expected to be there")
    return wanted
