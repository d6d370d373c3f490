"""Notes: sentences for a person that travel beside an answer, in the trailing metadata of the call.

A server adds one when a request went well and the person should still know something: that a pipeline's image is not
registered and its code runs on the host's own files, or how many datums an update will run.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

NOTE_KEY = "trunkline-note-bin"
"""The metadata key; it may come several times. The value is UTF-8, which plain metadata could not carry."""


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
