"""Aligned columns: every column as wide as its widest cell, one space between, nothing after the last."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from trunkline.cli.show.colour import paint


class Cell(NamedTuple):
    """Text with a colour that is used on terminals only."""

    text: str
    colour: str = ""


Row = Sequence[str | Cell]


def width(text: str) -> int:
    """How many terminal columns `text` takes."""
    if text.isascii():
        return len(text)
    return sum(_char_width(char) for char in text)


def _char_width(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def lines(header: Sequence[str], rows: Iterable[Row], *, colour: bool = False) -> Iterator[str]:
    """The table, line by line. Every row is held, as the last one may be the widest."""
    table: list[Row] = [header, *rows]
    widths = [max(width(shown(row[column])) for row in table) for column in range(len(header))]
    for row in table:
        yield line(row, widths, colour=colour)


def line(row: Row, widths: Sequence[int], *, colour: bool = False) -> str:
    """One row padded to `widths`; a cell that is wider pushes the rest to the right."""
    parts = []
    for cell, wide in zip(row, widths, strict=True):
        text = shown(cell)
        drawn = paint(text, cell.colour) if colour and isinstance(cell, Cell) and cell.colour else text
        parts.append(drawn + " " * max(0, wide - width(text)))
    return " ".join(parts).rstrip()


def shown(cell: str | Cell) -> str:
    """The cell's text, safe to print."""
    text = cell.text if isinstance(cell, Cell) else cell
    # A name or a message could hold anything; a control character would move the cursor.
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)
