"""How things look: times, sizes, columns, drawings."""

from __future__ import annotations

from itertools import pairwise

import pytest

from trunkline.cli.show import dag, tables, units
from trunkline.cli.show.layout import layers

SECOND, MINUTE, HOUR, DAY = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000


@pytest.mark.parametrize(
    ("length_us", "words"),
    [
        (0, "Less than a second"),
        (SECOND - 1, "Less than a second"),
        (SECOND, "1 second"),
        (2 * SECOND, "2 seconds"),
        (59 * SECOND, "59 seconds"),
        (MINUTE, "About a minute"),
        (2 * MINUTE, "2 minutes"),
        (59 * MINUTE, "59 minutes"),
        (HOUR, "About an hour"),
        (2 * HOUR, "2 hours"),
        (47 * HOUR, "47 hours"),
        (2 * DAY, "2 days"),
        (13 * DAY, "13 days"),
        (14 * DAY, "2 weeks"),
        (59 * DAY, "8 weeks"),
        (60 * DAY, "2 months"),
        (729 * DAY, "24 months"),
        (730 * DAY, "2 years"),
    ],
)
def test_a_span_in_one_unit(length_us, words):
    assert units.span(length_us) == words


def test_a_clock_that_runs_ahead_counts_as_now():
    assert units.ago(10 * SECOND, 0) == "Less than a second ago"


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0B"), (1023, "1023B"), (1024, "1KiB"), (1536, "1.5KiB"), (58_644, "57.27KiB"), (1 << 20, "1MiB"),
     (5 << 40, "5TiB"), (3 << 60, "3072PiB")],
)  # fmt: skip
def test_a_size_in_binary_units(size_bytes, text):
    assert units.size(size_bytes) == text


@pytest.mark.parametrize(
    ("length_s", "text"),
    [(0, "0ms"), (0.0052, "5ms"), (1, "1s"), (1.25, "1.2s"), (59.9, "59.9s"), (60, "1m0s"), (3725, "1h2m5s")],
)
def test_a_measured_duration(length_s, text):
    assert units.seconds(length_s) == text


def test_columns_are_as_wide_as_they_must():
    rows = [("a", "日本", "x"), ("long name", "b", "")]
    assert list(tables.lines(("A", "B", "C"), rows)) == ["A         B    C", "a         日本 x", "long name b"]


def test_nothing_printed_moves_the_cursor():
    assert list(tables.lines(("A",), [("a\x1b[2Jb\nc",)]))[1] == "a?[2Jb?c"


def test_colours_only_where_wanted():
    row = (tables.Cell("bad", "red"), "x")
    assert tables.line(row, [5, 1]) == "bad   x"
    assert tables.line(row, [5, 1], colour=True) == "\x1b[31mbad\x1b[0m   x"


def boxes(parents: dict[str, list[str]], **more: object) -> list[str]:
    names = {*parents, *(one for many in parents.values() for one in many)}
    return dag.draw([dag.Node(name) for name in sorted(names)], parents, **more)  # type: ignore[arg-type]


def test_nothing_is_drawn_of_nothing():
    assert dag.draw([], {}) == []


def test_every_box_is_drawn_once_below_what_it_reads():
    parents = {"c": ["a", "b"], "d": ["a"], "e": ["c", "d", "b"], "f": ["a", "e"]}
    lines = boxes(parents)
    at = {name: [row for row, line in enumerate(lines) if f" {name} " in line] for name in "abcdef"}
    assert all(len(rows) == 1 for rows in at.values())
    assert all(at[one] > at[other] for one, others in parents.items() for other in others)
    assert sum(line.count("▼") for line in lines) >= len(parents)


def test_boxes_of_a_layer_never_touch():
    parents = {f"n{at}": [f"p{at % 3}", "root"] for at in range(12)}
    for layer in layers(parents, 13):
        for left, right in pairwise(layer):
            assert right.centre - right.width // 2 > left.centre + left.width // 2


def test_a_graph_that_turns_in_circles_is_drawn_all_the_same():
    assert boxes({"a": ["b"], "b": ["a"]})


def test_plain_characters_where_a_terminal_has_no_others():
    assert "".join(boxes({"averylongname": ["b"], "c": ["b"]}, box_width=6, ascii_only=True)).isascii()


def test_crossing_lines_do_not_join():
    lines = boxes({"x": ["b"], "y": ["a"], "z": ["a", "b"]})
    assert "┼" not in "".join(lines)
