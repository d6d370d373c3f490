"""The time that jobs have: by seconds that pass, whatever the clock is set to."""

from __future__ import annotations

import pytest
from pps_world import World, copy, glob

from trunkline.model.jobs import JobState


def test_a_job_that_takes_too_long_is_killed(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"), job_timeout_us=60_000_000)
    world.pump(work=False)
    world.clock.advance(59)
    world.pump(work=False)
    assert world.last("edges").state is JobState.RUNNING
    world.clock.advance(2)
    world.pump(work=False)
    assert world.last("edges").state is JobState.KILLED
    assert world.last("edges").reason == "job timed out after 60 s"


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_set_changes_nobodys_time(world: World, hours: int) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"), job_timeout_us=60_000_000)
    world.pump(work=False)
    world.clock.step(hours * 3600)
    world.clock.advance(59)
    world.pump(work=False)
    assert world.last("edges").state is JobState.RUNNING
    world.clock.advance(2)
    world.pump(work=False)
    assert world.last("edges").state is JobState.KILLED


def test_after_a_restart_a_job_has_the_time_that_it_had_left(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"), job_timeout_us=60_000_000)
    world.pump(work=False)
    world.clock.advance(40)
    world.reopen()
    world.pump(work=False)
    world.clock.advance(19)
    world.pump(work=False)
    assert world.last("edges").state is JobState.RUNNING
    world.clock.advance(2)
    world.pump(work=False)
    assert world.last("edges").state is JobState.KILLED
