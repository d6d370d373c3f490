"""When the ticks of a cron expression come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.model.specs.cron import next_tick, skip_missed
from trunkline.model.specs.scalars import instant_text, instant_us

DAY_US = 86_400_000_000


def after(text: str, instant: str) -> str | None:
    found = next_tick(text, instant_us(instant))
    return None if found is None else instant_text(found)


@pytest.mark.parametrize(
    ("text", "start", "tick"),
    [
        ("* * * * *", "2026-03-01T10:00:00Z", "2026-03-01T10:01:00Z"),
        ("* * * * *", "2026-03-01T10:00:59.999999Z", "2026-03-01T10:01:00Z"),
        ("30 4 * * *", "2026-03-01T04:30:00Z", "2026-03-02T04:30:00Z"),
        ("*/15 8-9 * * *", "2026-03-01T08:46:00Z", "2026-03-01T09:00:00Z"),
        ("*/15 8-9 * * *", "2026-03-01T09:45:00Z", "2026-03-02T08:00:00Z"),
        ("5/20 * * * *", "2026-03-01T09:06:00Z", "2026-03-01T09:25:00Z"),
        ("0 0 31 * *", "2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z"),
        ("0 12 * jan,mar mon-fri", "2026-01-30T13:00:00Z", "2026-03-02T12:00:00Z"),
        ("0 0 * * 7", "2026-03-02T00:00:00Z", "2026-03-08T00:00:00Z"),
        ("0 0 * * 5-7", "2026-03-07T00:00:00Z", "2026-03-08T00:00:00Z"),
        # A number of a day and a weekday: either is enough. With a star in one of them, the other decides.
        ("0 0 13 * 5", "2026-03-01T00:00:00Z", "2026-03-06T00:00:00Z"),
        ("0 0 13 * 5", "2026-04-11T00:00:00Z", "2026-04-13T00:00:00Z"),
        ("0 0 ? * 5", "2026-03-07T00:00:00Z", "2026-03-13T00:00:00Z"),
        ("0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"),
        ("0 0 30 2 *", "2026-03-01T00:00:00Z", None),
        ("@hourly", "2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z"),
        ("@daily", "2026-03-01T10:00:00Z", "2026-03-02T00:00:00Z"),
        ("@weekly", "2026-03-01T00:00:00Z", "2026-03-08T00:00:00Z"),
        ("@monthly", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("@yearly", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("@never", "2026-01-01T00:00:00Z", None),
        ("@every 90s", "2026-01-01T00:00:00Z", "2026-01-01T00:01:30Z"),
        ("@every 10s", "2026-01-01T00:00:00.7Z", "2026-01-01T00:00:10Z"),
        ("0 0 1 1 *", "9999-06-01T00:00:00Z", None),
    ],
)
def test_the_next_tick(text: str, start: str, tick: str | None) -> None:
    assert after(text, start) == tick


FIELD = st.sampled_from(["*", "*/7", "3", "1-5", "2,4,6"])


@given(st.tuples(FIELD, FIELD, FIELD, FIELD, FIELD).map(" ".join), st.integers(0, 40 * 366 * DAY_US))
def test_ticks_are_whole_minutes_and_none_lies_between(text: str, start_us: int) -> None:
    tick = next_tick(text, start_us)
    assert tick is not None
    assert tick > start_us
    assert tick % 60_000_000 == 0
    assert next_tick(text, tick - 1) == tick
    assert next_tick(text, (start_us + tick) // 2) in (tick, next_tick(text, tick))


@given(st.integers(1, 10**6), st.integers(0, 40 * 366 * DAY_US))
def test_every_goes_on_and_never_stands(span_s: int, start_us: int) -> None:
    tick = next_tick(f"@every {span_s}s", start_us)
    assert tick is not None
    assert 0 < tick - start_us <= span_s * 1_000_000


@pytest.mark.parametrize(
    "text", ["@every 90s", "@every 1s", "* * * * *", "*/7 3 * * *", "@daily", "@monthly", "0 0 29 2 *"]
)
@pytest.mark.parametrize("limit", [1, 3, 50])
@pytest.mark.parametrize("missed", [1, 2, 50, 53, 400])
def test_the_newest_of_what_was_missed(text: str, limit: int, missed: int) -> None:
    ticks = [next_tick(text, 1_700_000_000_000_000)]
    while len(ticks) < missed:
        ticks.append(next_tick(text, ticks[-1]))
    for after_us in (0, 999_999):
        assert skip_missed(text, ticks[0], ticks[-1] + after_us, limit) == ticks[-limit:][0]
