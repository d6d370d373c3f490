"""What people write, brought into one form: snake_case names, one spelling of each value, complaints about the rest."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from trunkline.model.paths import quoted
from trunkline.model.specs.complaints import Complaints, Path, closest, nearest
from trunkline.model.specs.scalars import instant_text, instant_us, quantity, share, span_text, span_us
from trunkline.model.specs.schema import (
    Flag,
    Instant,
    Kind,
    Many,
    Message,
    Name,
    Quantity,
    Real,
    Share,
    Span,
    Text,
    Texts,
    Whole,
    message,
)

_SNAKE = re.compile(r"_([a-z0-9])")
_DIGITS = re.compile(r"-?[0-9]{1,20}(?:\.0*)?\Z")


def camel(name: str) -> str:
    """`datum_set_spec` as `datumSetSpec`."""
    return _SNAKE.sub(lambda found: found[1].upper(), name)


class Reader:
    """Brings one value into canonical form; what is wrong goes to `complaints` and is left out of the form.

    keep_nulls: null stays, for a layer that is to delete what lies below it; else it is as if nothing were written.
    """

    def __init__(self, complaints: Complaints, *, keep_nulls: bool = False) -> None:
        self.complaints = complaints
        self.keep_nulls = keep_nulls

    def message(self, value: Any, kind: Message, path: Path = ()) -> dict[str, Any]:
        """The canonical form of an object, fields in the order of the schema."""
        if not isinstance(value, Mapping):
            self.expected(path, "an object with fields", value)
            return {}
        spellings = {spelling: name for name in kind.fields for spelling in (camel(name), name)}
        found: dict[str, Any] = {}
        for written, inner in value.items():
            name = spellings.get(written)
            if name is None:
                self.unknown(path, written, kind, spellings, value)
                continue
            place = (*path, name)
            first = self.complaints.spelling(place)
            if first is not None:
                self.complaints.add((*path, written), f"it is the same field as {quoted(first)}, which is given too")
                continue
            self.complaints.spell(place, written)
            if inner is None:
                if self.keep_nulls:
                    found[name] = None
                continue
            form = self.value(inner, kind.fields[name], place)
            if form is not None:
                found[name] = form
        return {name: found[name] for name in kind.fields if name in found}

    def value(self, value: Any, kind: Kind, path: Path) -> Any:
        """The canonical form of a value; None when there is none."""
        inner = message(kind)
        if inner is not None:
            return self.message(value, inner, path)
        match kind:
            case Many(of):
                return self.many(value, of, path)
            case Texts():
                return self.texts(value, path)
            case Text():
                return value if isinstance(value, str) else self.expected(path, "a string", value)
            case Flag():
                return value if isinstance(value, bool) else self.expected(path, "true or false", value)
            case Whole(low, high):
                return self.whole(value, low, high, path)
            case Real():
                return self.real(value, path)
            case Name(names):
                return self.name(value, names, path)
            case _:
                return self.parsed(value, kind, path)

    def many(self, value: Any, of: Kind, path: Path) -> Any:
        """A list."""
        if not isinstance(value, list):
            return self.expected(path, "a list", value)
        forms = [self.value(inner, of, (*path, n)) for n, inner in enumerate(value)]
        return [{} if form is None else form for form in forms] if message(of) else [f for f in forms if f is not None]

    def texts(self, value: Any, path: Path) -> Any:
        """A mapping of strings."""
        if not isinstance(value, Mapping):
            return self.expected(path, "an object whose values are strings", value)
        found: dict[str, str | None] = {}
        for name, inner in value.items():
            if isinstance(inner, str) or (inner is None and self.keep_nulls):
                found[name] = inner
            else:
                self.expected((*path, name), "a string", inner)
        return found

    def whole(self, value: Any, low: int, high: int, path: Path) -> Any:
        """A whole number."""
        if isinstance(value, str) and _DIGITS.match(value):
            value = int(value.partition(".")[0])
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            return self.expected(path, "a whole number", value)
        if not low <= value <= high:
            self.complaints.add(path, f"{value} is not within {low} and {high}")
            return None
        return value

    def real(self, value: Any, path: Path) -> Any:
        """A number that is not negative."""
        if isinstance(value, str):
            try:
                value = float(quantity(value))
            except ValueError:
                return self.expected(path, "a number", value)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
            return self.expected(path, "a number", value)
        if value < 0:
            self.complaints.add(path, f"{value} is negative")
            return None
        return float(value)

    def name(self, value: Any, names: tuple[str, ...], path: Path) -> Any:
        """One of some names."""
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
            return names[value]
        if value in names:
            return str(value)
        hint = nearest(value.upper(), names) if isinstance(value, str) else ""
        self.complaints.add(path, f"expected one of {', '.join(names[1:])}, found {_shown(value)}{hint}")
        return None

    def parsed(self, value: Any, kind: Kind, path: Path) -> Any:
        """A text with an inside: a span, an instant, a quantity."""
        if isinstance(kind, (Quantity, Share)) and isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            example = '"5m"' if isinstance(kind, Span) else '"64Mi"'
            if isinstance(kind, Share):
                example = '"5%"'
            if isinstance(kind, Instant):
                example = '"2024-05-01T00:00:00Z"'
            return self.expected(path, f"a string such as {example}", value)
        try:
            if isinstance(kind, Span):
                return span_text(span_us(value))
            if isinstance(kind, Instant):
                return instant_text(instant_us(value))
            if isinstance(kind, Share):
                share(value, 0)
            elif value:
                quantity(value)
        except ValueError as error:
            self.complaints.add(path, f"{error}, found {_shown(value)}")
            return None
        return value

    def expected(self, path: Path, what: str, value: Any) -> Any:
        """Complain that something else was expected; None, since there is no value then."""
        hint = ""
        if what == "a string" and isinstance(value, (int, float)):
            hint = "; put it in double quotes"
        elif what == "a list" and isinstance(value, str):
            hint = f"; write [{_shown(value)}]"
        self.complaints.add(path, f"expected {what}, found {_shown(value)}{hint}")
        return None

    def unknown(
        self, path: Path, written: Any, kind: Message, spellings: Mapping[str, str], beside: Mapping[Any, Any]
    ) -> None:
        """Complain about a field that there is not. beside: all that were written."""
        gone = {spelling: hint for name, hint in kind.gone.items() for spelling in (name, camel(name))}
        if written in gone:
            self.complaints.add((*path, written), f"there is no such field; {gone[written]}")
            return
        snake = [name for spelling, name in spellings.items() if spelling.lower() == str(written).lower()]
        near = camel(snake[0]) if snake else closest(str(written), spellings)
        self.complaints.add(
            (*path, str(written)), f"unknown field; did you mean {quoted(near)}?" if near else "unknown field"
        )
        if near and not any(spellings.get(other) == spellings[near] for other in beside):
            self.complaints.meant((*path, spellings[near]))


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if isinstance(value, list) else f"the number {value}"
