"""Texts that hold specs: JSON or YAML, one spec or several (a stream, an array, documents)."""

from __future__ import annotations

from typing import Any

from trunkline.errors import InvalidArgument
from trunkline.model.specs.complaints import Complaints
from trunkline.model.specs.texts.json import HALF, Unreadable, read_json


def read_values(text: str, what: str) -> list[tuple[Any, Complaints]]:
    """The specs in `text` as plain values, each with the complaints of reading it, which know where everything stands.

    what: what to call the text in errors. Raises InvalidArgument where it is neither JSON nor YAML, or holds nothing.
    """
    text = text.removeprefix("\ufeff")
    if half := HALF.search(text):
        line = text.count("\n", 0, half.start()) + 1
        raise InvalidArgument(f"{what} cannot be read: line {line}: half a surrogate pair, which is no character")
    try:
        found = _read(text)
    except Unreadable as error:
        line, column = error.place
        raise InvalidArgument(f"{what} cannot be read: line {line}, column {column}: {error.text}") from None
    values: list[tuple[Any, Complaints]] = []
    for value, complaints in found:
        if isinstance(value, list):
            values += [(one, complaints.under((n,))) for n, one in enumerate(value)]
        else:
            values.append((value, complaints))
    if not values:
        raise InvalidArgument(f"{what} holds no pipeline spec")
    return values


def _read(text: str) -> list[tuple[Any, Complaints]]:
    from trunkline.model.specs.texts.yaml import read_yaml

    if text.lstrip()[:1] not in ("{", "["):
        return read_yaml(text)
    try:
        return read_json(text)
    except Unreadable as error:
        # YAML may begin like this too, and takes a comma at the end of a list; if it is neither, it was meant as JSON.
        try:
            return read_yaml(text)
        except Unreadable:
            raise error from None
