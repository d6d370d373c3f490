"""Colours, for terminals only."""

from __future__ import annotations

_CODES = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36", "bold": "1", "dim": "2"}


def paint(text: str, colour: str) -> str:
    """`text` in `colour`; an empty colour leaves it alone."""
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if colour and text else text
