"""Small values inside specs: spans of time, instants, quantities of bytes and processors."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from trunkline.ambient import Micros

_UNITS_US = {
    "ns": Fraction(1, 1000),
    "us": Fraction(1),
    "µs": Fraction(1),
    "μs": Fraction(1),
    "ms": Fraction(1000),
    "s": Fraction(1_000_000),
    "m": Fraction(60_000_000),
    "h": Fraction(3_600_000_000),
}
_SPAN = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_LONGEST_S = 315_576_000_000  # what protobuf allows, about 10,000 years
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII)
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:([numkKMGTPE]i?)|[eE]([+-]?[0-9]{1,2}))?\Z")
_SUFFIXES = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    **{letter: Fraction(1000**power) for power, letter in enumerate("KMGTPE", 1)},
    "k": Fraction(1000),
    **{f"{letter}i": Fraction(1024**power) for power, letter in enumerate("KMGTPE", 1)},
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def span_us(text: str) -> Micros:
    """Microseconds of a span such as "5m", "1h30m", "0.5s" or "3.000s"; what is finer is rounded.

    Raises ValueError with the rule for anything else, also for a negative span.
    """
    if text == "0":
        return 0
    total, at = Fraction(0), 0
    while part := _SPAN.match(text, at):
        total += Fraction(part[1] if part[1][0] != "." else "0" + part[1]) * _UNITS_US[part[2]]
        at = part.end()
    if text.startswith("-"):
        raise ValueError("a span of time cannot be negative")
    if not at or at != len(text):
        raise ValueError('expected a span of time such as "30s", "5m" or "1h30m"')
    if total > _LONGEST_S * 1_000_000:
        raise ValueError("the span of time is too long")
    return round(total)


def span_text(us: Micros) -> str:
    """A span as protobuf's JSON writes it: "300s", "0.500s"."""
    seconds, rest = divmod(us, 1_000_000)
    if not rest:
        return f"{seconds}s"
    return f"{seconds}.{rest // 1000:03d}s" if rest % 1000 == 0 else f"{seconds}.{rest:06d}s"


def instant_us(text: str) -> Micros:
    """Microseconds since the epoch of an RFC 3339 instant such as "2024-05-01T00:00:00Z". Raises ValueError."""
    found = _INSTANT.match(text)
    if not found:
        raise ValueError('expected an instant such as "2024-05-01T00:00:00Z"')
    zone = "+00:00" if found[4] in "Zz" else found[4]
    try:
        moment = datetime.fromisoformat(f"{found[1]}T{found[2]}{zone}")
    except ValueError as error:
        raise ValueError(f"there is no such instant: {error}") from None
    return (moment - _EPOCH) // timedelta(microseconds=1) + int((found[3] or "0").ljust(9, "0")) // 1000


def instant_text(us: Micros) -> str:
    """An instant as protobuf's JSON writes it."""
    text = (_EPOCH + timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%S")
    rest = us % 1_000_000
    return f"{text.rjust(19, '0')}{f'.{rest:06d}' if rest else ''}Z"


def quantity(text: str) -> Fraction:
    """A quantity in the notation of Kubernetes: "64Mi", "1.5G", "500m", "1e3". Raises ValueError."""
    found = _QUANTITY.match(text)
    if not found or (found[2] and found[2] not in _SUFFIXES):
        raise ValueError('expected a quantity such as "256Mi", "1.5G" or "100000"')
    number = Fraction(found[1] if found[1][0] != "." else "0" + found[1])
    return number * _SUFFIXES[found[2]] if found[2] else number * Fraction(10) ** int(found[3] or "0")


def quantity_bytes(text: str) -> int:
    """A quantity in whole bytes, rounded up. Raises ValueError."""
    exact = quantity(text)
    return -(-exact.numerator // exact.denominator)


_SHARE = re.compile(r"([0-9]{1,9})|([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%")


def share(text: str, total: int) -> int:
    """How many of `total` things a number ("7") or a share of them ("5%") allows; "" allows none. Raises ValueError."""
    if not text:
        return 0
    found = _SHARE.fullmatch(text)
    if not found or (found[2] and Fraction(found[2]) > 100):
        raise ValueError('expected a number, or a share such as "5%"')
    return int(found[1]) if found[1] else int(Fraction(found[2]) * total / 100)


_SIZE = re.compile(r"([0-9]+(?:\.[0-9]*)?)\s*(?:([KMGTPE])(i?)B?|B)?\Z", re.IGNORECASE)


def size_bytes(text: str) -> int:
    """Bytes of a size such as "100", "1K", "1MB" or "2GiB"; units with an i are binary. Raises ValueError."""
    found = _SIZE.match(text)
    if not found:
        raise ValueError('expected a size such as "100", "1K", "1MB" or "1GB"')
    unit = (1024 if found[3] else 1000) ** ("KMGTPE".index(found[2].upper()) + 1) if found[2] else 1
    return round(Fraction(found[1]) * unit)
