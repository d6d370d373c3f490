"""Logs of any length are read page by page: what is held and unpacked at once does not grow with them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from pps_world import World, copy, glob

from trunkline.catalog.engine import Tx
from trunkline.catalog.work import logs as log_rows
from trunkline.catalog.work import pipelines as pipeline_rows
from trunkline.catalog.work.logs import SegmentRow
from trunkline.model.names import Pipeline
from trunkline.pps import logs
from trunkline.pps.logs import PAGE, LogQuery, Pattern

EDGES = Pipeline("default", "edges")
SEGMENTS, LINES = 210, 5
HOUR_US = 3_600_000_000


@dataclass
class Read:
    """What reading took. pages: segments unpacked for each page. held: the most lines that one page had."""

    pages: list[int] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    held: int = 0


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The places of all segments that were unpacked."""
    plain, seen = log_rows.plain, list[int]()

    def counted(row: SegmentRow) -> bytes:
        seen.append(row.seq)
        return plain(row)

    monkeypatch.setattr(log_rows, "plain", counted)
    return seen


@pytest.fixture
def long(world: World) -> World:
    """A pipeline with a long log: each segment an hour after the one before, each line named by both numbers."""
    world.pipeline("edges", copy, glob("/*"))

    def fill(tx: Tx) -> None:
        row = pipeline_rows.find_pipeline(tx, EDGES)
        assert row is not None
        for number in range(1, SEGMENTS + 1):
            at_us = number * HOUR_US
            told = [{"ts": at_us + n, "datum": "", "user": True, "message": f"line {number}.{n}"} for n in range(LINES)]
            data = log_rows.packed("".join(json.dumps(line) + "\n" for line in told).encode())
            log_rows.insert_segment(tx, row.key, None, "w1", at_us, at_us + LINES, LINES, data)

    world.files.catalog.transact(fill)
    return world


def read(world: World, unpacked: list[int], after: int = 0, **query: object) -> Read:
    """All pages, one after the other."""
    took, more = Read(), True
    while more:
        before = len(unpacked)
        asked = LogQuery(pipeline=EDGES, **query)  # type: ignore[arg-type]
        page = world.files.catalog.read(lambda tx, asked=asked, at=after: logs.page(tx, asked, at))  # type: ignore[misc]
        took.pages.append(len(unpacked) - before)
        took.held = max(took.held, len(page.lines))
        took.messages += [line.message for line in page.lines]
        after, more = page.after, page.more
    return took


def test_a_long_log_is_read_in_pages_of_a_few_segments(long: World, unpacked: list[int]) -> None:
    took = read(long, unpacked)
    assert len(took.messages) == SEGMENTS * LINES
    assert max(took.pages) <= PAGE
    assert took.held <= PAGE * LINES
    assert len(unpacked) == len(set(unpacked)), "each once"


def test_what_is_older_than_asked_for_is_not_read(long: World, unpacked: list[int]) -> None:
    took = read(long, unpacked, since_us=(SEGMENTS - 1) * HOUR_US + 3)
    assert took.messages == [f"line {SEGMENTS - 1}.{n}" for n in (3, 4)] + [f"line {SEGMENTS}.{n}" for n in range(5)]
    assert len(unpacked) == 2


def test_a_search_that_finds_little_holds_little(long: World, unpacked: list[int]) -> None:
    took = read(long, unpacked, patterns=(Pattern(r"^line 7\.[34]$"),))
    assert took.messages == ["line 7.3", "line 7.4"]
    assert (took.held, max(took.pages)) == (2, PAGE)


def test_who_follows_reads_only_what_is_new(long: World, unpacked: list[int]) -> None:
    asked = LogQuery(pipeline=EDGES, everything=True)
    after, more = 0, True
    while more:
        page = long.files.catalog.read(lambda tx, at=after: logs.page(tx, asked, at))  # type: ignore[misc]
        after, more = page.after, page.more
    unpacked.clear()
    assert not long.files.catalog.read(lambda tx: logs.page(tx, asked, after)).lines
    assert unpacked == []

    def say(tx: Tx) -> None:
        row = pipeline_rows.find_pipeline(tx, EDGES)
        assert row is not None
        logs.say(tx, row.key, None, "news")

    long.files.catalog.transact(say)
    page = long.files.catalog.read(lambda tx: logs.page(tx, asked, after))
    assert [line.message for line in page.lines] == ["news"]
    assert len(unpacked) == 1
