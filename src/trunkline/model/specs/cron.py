"""Cron expressions: whether one can be read, and when its ticks come. Times are UTC, so that no hour comes twice."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from trunkline.ambient import Micros
from trunkline.model.paths import quoted
from trunkline.model.specs.scalars import span_us

NEVER = "@never"
_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
NAMED = (*_NICKNAMES, NEVER)

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
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_US = 1_000_000
_MINUTE_US = 60 * _SECOND_US
_FAR_DAYS = 366 * 9
"""The 29th of February may be eight years off; what does not come within this never comes."""


@dataclass(frozen=True, slots=True)
class _Every:
    """Ticks one span after another."""

    span_us: Micros


@dataclass(frozen=True, slots=True)
class _Fields:
    """Ticks at these minutes of these hours. either: a day counts if its number or its weekday fits, else both must."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def fits(self, day: date) -> bool:
        """Whether it ticks on that day."""
        by_number, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        here = by_number or by_weekday if self.either else by_number and by_weekday
        return day.month in self.months and here


def check_cron(text: str) -> str:
    """`text`, if it is a cron expression: five fields, `@every 10s`, or a name such as `@daily`.

    Raises ValueError with what is wrong.
    """
    _read(text)
    return text


def next_tick(text: str, after_us: Micros) -> Micros | None:
    """The first tick later than an instant; None: there is none. Raises ValueError as `check_cron` does.

    Ticks of `@every` are one span after `after_us`, at a whole second.
    """
    schedule = _read(text)
    if schedule is None:
        return None
    if isinstance(schedule, _Every):
        at_us = after_us + schedule.span_us
        return at_us - at_us % _SECOND_US
    try:
        return _next(schedule, after_us)
    except OverflowError:  # the calendar ends
        return None


def skip_missed(text: str, due_us: Micros, now_us: Micros, limit: int) -> Micros:
    """The first of the newest `limit` ticks that were due by now; `due_us`, a tick itself, where there are no more."""
    schedule = _read(text)
    if isinstance(schedule, _Every):
        step_us = schedule.span_us - schedule.span_us % _SECOND_US
        return due_us + max(0, (now_us - due_us) // step_us + 1 - limit) * step_us
    reach_us = limit * _MINUTE_US
    if now_us - due_us < reach_us:
        return due_us
    while due_us <= now_us - reach_us:
        newest = deque(_between(text, now_us - reach_us, now_us), maxlen=limit)
        if len(newest) == limit:
            return newest[0]
        reach_us *= 4
    return deque(_between(text, due_us - 1, now_us), maxlen=limit)[0]


def _between(text: str, after_us: Micros, until_us: Micros) -> Iterator[Micros]:
    tick_us = next_tick(text, after_us)
    while tick_us is not None and tick_us <= until_us:
        yield tick_us
        tick_us = next_tick(text, tick_us)


def _next(schedule: _Fields, after_us: Micros) -> Micros | None:
    start = (_EPOCH + timedelta(microseconds=after_us)).replace(second=0, microsecond=0) + timedelta(minutes=1)
    for days in range(_FAR_DAYS):
        day = start.date() + timedelta(days=days)
        if not schedule.fits(day):
            continue
        earliest = (start.hour, start.minute) if days == 0 else (0, 0)
        times = ((hour, minute) for hour in schedule.hours for minute in schedule.minutes)
        found = next((time for time in times if time >= earliest), None)
        if found is not None:
            moment = datetime(day.year, day.month, day.day, *found, tzinfo=UTC)
            return (moment - _EPOCH) // timedelta(microseconds=1)
    return None


@lru_cache(maxsize=256)
def _read(text: str) -> _Every | _Fields | None:
    """A schedule; None: one that never ticks. Raises ValueError."""
    if text == NEVER:
        return None
    if text.startswith("@every "):
        try:
            every = span_us(text.removeprefix("@every ").strip())
        except ValueError as error:
            raise ValueError(f"after @every, {error}") from None
        if every < _SECOND_US:
            raise ValueError("after @every, a span of at least one second is expected")
        return _Every(every)
    if text.startswith("@") and text not in _NICKNAMES:
        raise ValueError(f'there is no {quoted(text)}; there are {", ".join(NAMED)} and "@every" with a span')
    fields = _NICKNAMES.get(text, text).split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"expected five fields (minute, hour, day of the month, month, day of the week), found {len(fields)}"
        )
    minutes, hours, days, months, weekdays = (
        frozenset().union(*(_item(item, noun, low, high) for item in value.split(",")))
        for value, (noun, low, high) in zip(fields, _FIELDS, strict=True)
    )
    return _Fields(
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        days=days,
        months=months,
        weekdays=frozenset(day % 7 for day in weekdays),
        either=fields[2] not in _ANY and fields[4] not in _ANY,
    )


_ANY = ("*", "?")


def _item(item: str, noun: str, low: int, high: int) -> frozenset[int]:
    """The values that one member of a field's list means. `5/10`: from 5 on, every tenth."""
    parts = _STEP.match(item)
    if not parts:
        raise ValueError(f"the {noun} {quoted(item)} cannot be read")
    step = 1 if parts[2] is None else int(parts[2])
    if not step:
        raise ValueError(f"the {noun} {quoted(item)} has a step of 0")
    if parts[1] in _ANY:
        return frozenset(range(low, high + 1, step))
    first, dash, last = parts[1].partition("-")
    start = _number(first, noun, low, high)
    top = 6 if noun == "day of the week" else high  # Sunday, which is 0 and 7, is not to come twice
    end = _number(last, noun, low, high) if dash else start if parts[2] is None else top
    if end < start:
        raise ValueError(f"the {noun} {quoted(item)} runs backwards")
    return frozenset(range(start, end + 1, step))


def _number(text: str, noun: str, low: int, high: int) -> int:
    named = _NAMES.get(noun, {}).get(text.lower())
    if named is not None:
        return named
    if not (text.isascii() and text.isdecimal() and len(text) < 4):
        raise ValueError(f"the {noun} {quoted(text)} cannot be read")
    if not low <= int(text) <= high:
        raise ValueError(f"the {noun} {text} is not within {low} and {high}")
    return int(text)
