"""Small values inside specs: spans, instants, quantities, sizes, cron expressions."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.model.specs.cron import check_cron
from trunkline.model.specs.scalars import (
    instant_text,
    instant_us,
    quantity,
    quantity_bytes,
    size_bytes,
    span_text,
    span_us,
)


@pytest.mark.parametrize(
    ("text", "us", "canonical"),
    [
        ("0", 0, "0s"),
        ("5m", 300_000_000, "300s"),
        ("1h30m", 5_400_000_000, "5400s"),
        ("3.000s", 3_000_000, "3s"),
        ("100ms", 100_000, "0.100s"),
        ("1.5h", 5_400_000_000, "5400s"),
        (".5s", 500_000, "0.500s"),
        ("1s1us", 1_000_001, "1.000001s"),
        ("2µs", 2, "0.000002s"),
        ("1500ns", 2, "0.000002s"),
    ],
)
def test_spans(text: str, us: int, canonical: str) -> None:
    assert span_us(text) == us
    assert span_text(us) == canonical


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "5m ", "-5m", "5mm", "5d", "1e3s", "9999999999999h", "٣s"])
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(ValueError):
        span_us(text)


@given(st.integers(0, 10**15))
def test_spans_come_back(us: int) -> None:
    assert span_us(span_text(us)) == us


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2024-05-01T00:00:00Z", "2024-05-01T00:00:00Z"),
        ("2024-05-01T02:00:00+02:00", "2024-05-01T00:00:00Z"),
        ("2024-05-01t00:00:00.5z", "2024-05-01T00:00:00.500000Z"),
        ("1969-12-31T23:59:59.999999999Z", "1969-12-31T23:59:59.999999Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ],
)
def test_instants(text: str, canonical: str) -> None:
    assert instant_text(instant_us(text)) == canonical


@pytest.mark.parametrize("text", ["", "now", "2024-05-01", "2024-05-01T00:00:00", "2024-13-01T00:00:00Z"])
def test_what_is_no_instant(text: str) -> None:
    with pytest.raises(ValueError):
        instant_us(text)


@given(st.integers(-(6 * 10**16), 2 * 10**17))
def test_instants_come_back(us: int) -> None:
    assert instant_us(instant_text(us)) == us


@pytest.mark.parametrize(
    ("text", "value", "whole"),
    [
        ("100", Fraction(100), 100),
        ("64Mi", Fraction(64 << 20), 64 << 20),
        ("1.5G", Fraction(1_500_000_000), 1_500_000_000),
        ("1k", Fraction(1000), 1000),
        ("500m", Fraction(1, 2), 1),
        ("1e3", Fraction(1000), 1000),
        ("1E", Fraction(10**18), 10**18),
        (".5Ki", Fraction(512), 512),
    ],
)
def test_quantities(text: str, value: Fraction, whole: int) -> None:
    assert quantity(text) == value
    assert quantity_bytes(text) == whole


@pytest.mark.parametrize("text", ["", "1 G", "1GB", "-1", "Mi", "1mi", "1e", "1.2.3", "٣"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError):
        quantity(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("100", 100), ("100B", 100), ("1K", 1000), ("1KB", 1000), ("1MB", 10**6), ("1.5GB", 15 * 10**8), ("1KiB", 1024)],
)
def test_sizes(text: str, size: int) -> None:
    assert size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "big", "1X", "-1", "1 KB B", "KB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError):
        size_bytes(text)


@pytest.mark.parametrize(
    "text",
    [
        "* * * * *",
        "*/5 0-6 1,15 jan-mar mon",
        "0 0 31 12 7",
        "? 0 * * SUN",
        "@every 10s",
        "@every 1h30m",
        "@daily",
        "@never",
    ],
)
def test_cron_expressions(text: str) -> None:
    assert check_cron(text) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected five fields (minute, hour, day of the month, month, day of the week), found 0"),
        ("* * * * * *", "expected five fields (minute, hour, day of the month, month, day of the week), found 6"),
        ("60 * * * *", "the minute 60 is not within 0 and 59"),
        ("* * 0 * *", "the day of the month 0 is not within 1 and 31"),
        ("* * * foo *", 'the month "foo" cannot be read'),
        ("5-1 * * * *", 'the minute "5-1" runs backwards'),
        ("*/0 * * * *", 'the minute "*/0" has a step of 0'),
        ("1, * * * *", 'the minute "" cannot be read'),
        ("@every", 'there is no "@every"; there are @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly, '
                   '@never and "@every" with a span'),
        ("@every 5", 'after @every, expected a span of time such as "30s", "5m" or "1h30m"'),
        ("@every 10ms", "after @every, a span of at least one second is expected"),
    ],
)  # fmt: skip
def test_what_is_no_cron_expression(text: str, why: str) -> None:
    with pytest.raises(ValueError) as caught:
        check_cron(text)
    assert str(caught.value) == why
