"""Times and sizes as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trunkline.ambient import Micros

_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_STEPS = (
    (2 * 365 * _DAY, 365 * _DAY, "years"),
    (2 * 30 * _DAY, 30 * _DAY, "months"),
    (14 * _DAY, 7 * _DAY, "weeks"),
    (48 * _HOUR, _DAY, "days"),
    (2 * _HOUR, _HOUR, "hours"),
    (_HOUR, 0, "About an hour"),
    (2 * _MINUTE, _MINUTE, "minutes"),
    (_MINUTE, 0, "About a minute"),
    (2 * _SECOND, _SECOND, "seconds"),
    (_SECOND, 0, "1 second"),
)
"""From how long on, counted in what, under which word."""


def span(length_us: Micros) -> str:
    """How long, in one rounded unit: `3 minutes`, `About an hour`."""
    for least, unit, word in _STEPS:
        if length_us >= least:
            return f"{length_us // unit} {word}" if unit else word
    return "Less than a second"


def ago(then_us: Micros, now_us: Micros) -> str:
    """How long before now: `3 minutes ago`. A clock that runs ahead counts as now."""
    return f"{span(max(0, now_us - then_us))} ago"


def instant(then_us: Micros) -> str:
    """The moment in UTC, to the second: `2026-11-21T22:25:13Z`."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(then_us / _SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def size(count_bytes: int) -> str:
    """Bytes in binary units, four digits at most: `1.5KiB`."""
    value = float(count_bytes)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if abs(value) < 1024 or unit == "PiB":
            break
        value /= 1024
    return f"{value:.4g}{unit}" if abs(value) < 1024 else f"{value:.0f}{unit}"


def seconds(length_s: float) -> str:
    """A measured duration: `850ms`, `1.2s`, `2m3s`, `1h0m5s`."""
    if length_s < 1:
        return f"{round(length_s * 1000)}ms"
    if length_s < 60:
        return f"{length_s:.1f}".rstrip("0").rstrip(".") + "s"
    whole = round(length_s)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s"


def cut(text: str, length: int) -> str:
    """`text` on one line, with three dots where it had to be cut to `length` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 3] + "..."
