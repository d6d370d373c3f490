"""The controller under everything that can go wrong, from seeds: nothing counts twice, and each job ends as it should.

A seed that fails replays, with the steps that the test gives it: `Story(seed).play(steps)`. A failure shows its trace.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import simulated_world
from simulated import Story
from simulated_world import BYTES

from trunkline.pps import machine
from trunkline.pps.standing import states

SEEDS = 200
BLOCK = 25
STEPS = 6
RESTS = 4
"""Of the short stories in every test run, one of so many is told to its end: that is what costs most."""
LONG_STEPS = 25
SOAKED = 10_000
SOAKED_BLOCK = 1000
EACH = 10
"""One of so many stories is a long one."""


def tell(seed: int) -> None:
    """One story: mostly a short one."""
    long = seed % EACH == 0
    Story(seed).play(LONG_STEPS if long else STEPS, mend=long)


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_whatever_happens_nothing_counts_twice_and_every_job_ends(first: int) -> None:
    for seed in range(first, first + BLOCK):
        Story(seed).play(STEPS, rest=seed % RESTS == 0, mend=False)


@pytest.mark.parametrize("seed", [0, 14])
def test_the_same_seed_tells_the_same(seed: int) -> None:
    first, second = Story(seed).play(LONG_STEPS), Story(seed).play(LONG_STEPS)
    assert first == second
    assert len(first) > LONG_STEPS
    assert first != Story(seed + 1).play(LONG_STEPS, rest=False)


@pytest.mark.soak
@pytest.mark.parametrize("first", range(0, SOAKED, SOAKED_BLOCK))
def test_whatever_happens_at_length(first: int, record_property: Callable[[str, object], None]) -> None:
    base = SOAKED * int(os.environ.get("TRUNKLINE_SOAK_SEED") or 1)
    for seed in range(base + first, base + first + SOAKED_BLOCK):
        tell(seed)
    record_property("figures", f"seeds {base + first} to {base + first + SOAKED_BLOCK - 1}")


# --- the simulation would notice


def test_a_result_that_counts_twice_is_noticed() -> None:
    story = Story(2)
    story.world.kept.rows("UPDATE jobs SET processed = processed + 1")
    with pytest.raises(AssertionError, match="counted"):
        story.look()


def test_a_range_that_nobody_has_is_noticed() -> None:
    story = Story(2)
    story.world.kept.rows("UPDATE claims SET done = done + 1")
    with pytest.raises(AssertionError):
        story.look()


def test_wrong_bytes_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story(2)
    assert BYTES[0] == b"1"
    monkeypatch.setitem(story.world.code, "edges", lambda inputs: {"/a": b"wrong"} if "/a" in inputs["data"] else {})
    with pytest.raises(AssertionError, match="wrote"):
        story.play(0)


def test_output_that_was_sent_in_part_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated_world, "SHAPES", ("sent",))
    Story(3).play(0)
    story = Story(3)
    monkeypatch.setattr(story, "receive", lambda source, *_, **more: story.outside.setdefault(source.seq, {}))
    with pytest.raises(AssertionError, match="sent"):
        story.play(0)


def test_two_jobs_of_one_service_at_the_same_time_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated_world, "SHAPES", ("served",))
    Story(14).play(LONG_STEPS, rest=False)
    monkeypatch.setattr(machine, "_supersede", lambda _tx, _row: None)
    with pytest.raises(AssertionError, match="of one service run at the same time"):
        Story(14).play(LONG_STEPS, rest=False)


def test_a_commit_that_a_spout_leaves_open_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated_world, "SHAPES", ("spouting",))
    story = Story(1)
    story.begin()
    assert "False" in {story.runs() for _ in range(20)}
    monkeypatch.setattr(states, "close_open_commit", lambda *_: None)
    story.begin()
    with pytest.raises(AssertionError):
        [story.runs() for _ in range(20)]
