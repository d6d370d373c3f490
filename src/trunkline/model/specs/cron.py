"""Cron expressions: whether one can be read. When its ticks come is said elsewhere."""

from __future__ import annotations

import re

from trunkline.model.paths import quoted
from trunkline.model.specs.scalars import span_us

NAMED = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly", "@never")

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))
_NAMES = {
    "month": {
        name: n
        for n, name in enumerate(
            ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
        )
    },
    "day of the week": {name: n for n, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])},
}
_STEP = re.compile(r"([^/]+)(?:/([0-9]{1,4}))?\Z")


def check_cron(text: str) -> str:
    """`text`, if it is a cron expression: five fields, `@every 10s`, or a name such as `@daily`.

    Raises ValueError with what is wrong.
    """
    if text in NAMED:
        return text
    if text.startswith("@every "):
        try:
            every = span_us(text.removeprefix("@every ").strip())
        except ValueError as error:
            raise ValueError(f"after @every, {error}") from None
        if every < 1_000_000:
            raise ValueError("after @every, a span of at least one second is expected")
        return text
    if text.startswith("@"):
        raise ValueError(f'there is no {quoted(text)}; there are {", ".join(NAMED)} and "@every" with a span')
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"expected five fields (minute, hour, day of the month, month, day of the week), found {len(fields)}"
        )
    for value, (noun, low, high) in zip(fields, _FIELDS, strict=True):
        for item in value.split(","):
            _check_item(item, noun, low, high)
    return text


def _check_item(item: str, noun: str, low: int, high: int) -> None:
    parts = _STEP.match(item)
    if not parts:
        raise ValueError(f"the {noun} {quoted(item)} cannot be read")
    if parts[2] is not None and int(parts[2]) == 0:
        raise ValueError(f"the {noun} {quoted(item)} has a step of 0")
    if parts[1] in ("*", "?"):
        return
    first, dash, last = parts[1].partition("-")
    start = _number(first, noun, low, high)
    if dash and _number(last, noun, low, high) < start:
        raise ValueError(f"the {noun} {quoted(item)} runs backwards")


def _number(text: str, noun: str, low: int, high: int) -> int:
    named = _NAMES.get(noun, {}).get(text.lower())
    if named is not None:
        return named
    if not (text.isascii() and text.isdecimal() and len(text) < 4):
        raise ValueError(f"the {noun} {quoted(text)} cannot be read")
    if not low <= int(text) <= high:
        raise ValueError(f"the {noun} {text} is not within {low} and {high}")
    return int(text)
