"""How two versions of a file differ, the way git shows it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from trunkline.cli.show.colour import paint
from trunkline.cli.show.units import size

LIMIT_BYTES = 4 * 1024 * 1024
"""Files above this are only said to differ."""

_LOOKED_AT_BYTES = 8000
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def is_binary(data: bytes) -> bool:
    """Whether `data` is no text: a zero byte near the beginning tells."""
    return b"\0" in data[:_LOOKED_AT_BYTES]


def file_diff(path: str, old: bytes | None, new: bytes | None, *, colour: bool = False) -> Iterator[str]:
    """The lines that turn `old` into `new`; None for a file that is not there."""
    yield from _header(path, old is None, new is None, colour)
    before, after = old or b"", new or b""
    if is_binary(before) or is_binary(after):
        yield f"Binary files differ ({size(len(before))} before, {size(len(after))} after)"
        return
    old_name = "/dev/null" if old is None else f"a{path}"
    new_name = "/dev/null" if new is None else f"b{path}"
    changes = difflib.unified_diff(_lines(before), _lines(after), old_name, new_name, lineterm="")
    for count, line in enumerate(changes):
        kind = "bold" if count < 2 else _COLOURS.get(line[:1], "")
        yield paint(line, kind) if colour else line
    for data, sign in ((before, "old"), (after, "new")):
        if data and not data.endswith(b"\n"):
            yield f"\\ No newline at the end of the {sign} file"


def too_large(path: str, old_bytes: int | None, new_bytes: int | None, *, colour: bool = False) -> Iterator[str]:
    """What is said of files that are too large to compare line by line."""
    yield from _header(path, old_bytes is None, new_bytes is None, colour)
    yield f"Large files differ ({size(old_bytes or 0)} before, {size(new_bytes or 0)} after)"


def _header(path: str, is_new: bool, is_gone: bool, colour: bool) -> Iterator[str]:
    lines = [f"diff --git a{path} b{path}"]
    if is_new:
        lines.append("new file")
    if is_gone:
        lines.append("deleted file")
    for line in lines:
        yield paint(line, "bold") if colour else line


def _lines(data: bytes) -> list[str]:
    return data.decode("utf-8", "replace").splitlines()
