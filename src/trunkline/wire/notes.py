"""Notes: sentences for a person that travel beside an answer, in the trailing metadata of the call.

A server adds one when a request went well and the person should still know something: that a pipeline's image is not
registered and its code runs on the host's own files, or how many datums an update will run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

NOTE_KEY = "trunkline-note-bin"
"""The metadata key; it may come several times. The value is UTF-8, which plain metadata could not carry."""

_MOST_BYTES, _ENTRY_BYTES = 5000, 64
"""Of all notes, and what each costs besides. A client may refuse more than 8 KiB of metadata, in which values are
base64, and with that an answer that was right.
"""
_LONGEST = 1000
"""Characters of one."""


def notes_of(metadata: Iterable[Any] | None) -> list[str]:
    """The notes among a call's trailing metadata, in their order."""
    found = []
    for key, value in metadata or ():
        if key == NOTE_KEY:
            found.append(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))
    return found


def note(text: str) -> tuple[str, bytes]:
    """`text` as one entry of trailing metadata."""
    return NOTE_KEY, text.encode()


def trailing(notes: Sequence[str]) -> tuple[tuple[str, bytes], ...]:
    """Notes as trailing metadata. Of many as many as a client takes, and how many there are besides."""
    entries: list[tuple[str, bytes]] = []
    left = _MOST_BYTES
    for number, text in enumerate(notes):
        entry = note(text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ...")
        left -= len(entry[1]) + _ENTRY_BYTES
        if left < 0:
            more = len(notes) - number
            return *entries, note(f"and {more} more note{'s' if more > 1 else ''} of this kind")
        entries.append(entry)
    return tuple(entries)
