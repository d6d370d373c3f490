"""Reading JSON so that every value knows its line, nothing is said twice, and several values may follow one another."""

from __future__ import annotations

import json
import re
from typing import Any

from trunkline.model.paths import quoted
from trunkline.model.specs.complaints import Complaints, Path, Place

_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
HALF = re.compile("[\ud800-\udfff]")
"""Half a surrogate pair: escapes can write it, and no text holds it."""
_WORDS = {"true": True, "false": False, "null": None}
MAX_DEPTH = 100
_DECODER = json.JSONDecoder()


class Unreadable(Exception):
    """The text is not what it should be. `place` is where."""

    def __init__(self, text: str, place: Place) -> None:
        super().__init__(text)
        self.text = text
        self.place = place


def read_json(text: str) -> list[tuple[Any, Complaints]]:
    """The values in `text`, one after another, each with where its parts stand and complaints about what came twice.

    Raises Unreadable where it is not JSON.
    """
    reader = _Reader(text)
    found = []
    while not reader.at_end():
        reader.complaints = Complaints(places={})
        found.append((reader.value((), 0), reader.complaints))
    return found


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.complaints = Complaints()
        self.line_starts = [0, *(m.end() for m in re.finditer("\n", text))]

    def at_end(self) -> bool:
        """Skip space; whether nothing is left."""
        self.skip()
        return self.at == len(self.text)

    def skip(self) -> None:
        """Skip space."""
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def place(self) -> Place:
        """Line and column of the present position."""
        line = self.text.count("\n", 0, self.at)
        return line + 1, self.at - self.line_starts[line] + 1

    def unreadable(self, text: str) -> Unreadable:
        """The error at the present position."""
        return Unreadable(text, self.place())

    def value(self, path: Path, depth: int) -> Any:
        """One value."""
        self.skip()
        if depth > MAX_DEPTH:
            raise self.unreadable(f"nested more than {MAX_DEPTH} deep")
        places = self.complaints.places
        if isinstance(places, dict):
            places[path] = self.place()
        char = self.text[self.at : self.at + 1]
        if char == "{":
            return self.object(path, depth)
        if char == "[":
            return self.array(path, depth)
        if char == '"':
            return self.string()
        if number := _NUMBER.match(self.text, self.at):
            self.at = number.end()
            return json.loads(number[0])
        for word, meaning in _WORDS.items():
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return meaning
        raise self.unreadable(f"expected a value, found {quoted(char) if char else 'the end'}")

    def object(self, path: Path, depth: int) -> dict[str, Any]:
        """An object; the present character is its brace."""
        found: dict[str, Any] = {}
        self.at += 1
        while not self.ends("}", first=not found):
            self.skip()
            if self.text[self.at : self.at + 1] != '"':
                raise self.unreadable("expected a name in double quotes")
            place = self.place()
            name = self.string()
            self.skip()
            if self.text[self.at : self.at + 1] != ":":
                raise self.unreadable(f'expected ":" after {quoted(name)}')
            self.at += 1
            if name in found:
                first = self.complaints.place((*path, name))
                where = f" (first at line {first[0]})" if first else ""
                self.complaints.repeated((*path, name), f"{quoted(name)} is given twice{where}", place)
            found[name] = self.value((*path, name), depth + 1)
        return found

    def array(self, path: Path, depth: int) -> list[Any]:
        """An array; the present character is its bracket."""
        found: list[Any] = []
        self.at += 1
        while not self.ends("]", first=not found):
            found.append(self.value((*path, len(found)), depth + 1))
        return found

    def ends(self, closing: str, *, first: bool) -> bool:
        """Whether the closing comes now; between members a comma must."""
        self.skip()
        char = self.text[self.at : self.at + 1]
        if char == closing:
            self.at += 1
            return True
        if not first:
            if char != ",":
                raise self.unreadable(f'expected "," or "{closing}", found {quoted(char) if char else "the end"}')
            self.at += 1
        return False

    def string(self) -> str:
        """A string; the present character is its quote."""
        try:
            value, length = _DECODER.raw_decode(self.text, self.at)
        except json.JSONDecodeError as error:
            self.at = error.pos
            raise self.unreadable(f"{error.msg[0].lower()}{error.msg[1:]}") from None
        if HALF.search(value):
            raise self.unreadable("half a surrogate pair is no character")
        self.at = length
        return str(value)
