"""`trunkline: {onFailure: skip}`: a job succeeds without the datums that fail, and the next one tries them again."""

from __future__ import annotations

from functools import partial

import pytest
from pps_world import Failed, Inputs, World, glob

from trunkline.errors import InvalidArgument
from trunkline.model.jobs import DatumState
from trunkline.model.specs.scalars import share
from trunkline.model.specs.spec import Own
from trunkline.pps.datums import listing, usage


def code(inputs: Inputs) -> dict[str, bytes]:
    """Copies; bad bytes fail."""
    if b"bad" in inputs["data"].values():
        raise Failed("bad bytes")
    return inputs["data"]


def start(world: World, limit: str = "", good: int = 3, bad: int = 1) -> None:
    world.put({**{f"/g{n}": b"%d" % n for n in range(good)}, **{f"/z{n}": b"bad" for n in range(bad)}})
    world.pipeline("edges", code, glob("/*"), own=Own(on_failure="skip", limit=limit))
    world.pump()


def test_the_job_succeeds_and_says_what_it_left_out(world: World) -> None:
    start(world)
    assert world.counts("edges") == "SUCCESS 3+0/4 failed=1"
    first = "the first: exit 1: bad bytes"
    assert world.last("edges").reason == f"1 of 4 datums quarantined, to be tried again by the next job; {first}"
    assert sorted(world.content("edges")) == ["/g0", "/g1", "/g2"]


def test_each_datum_that_failed_has_its_reason(world: World) -> None:
    start(world, bad=2)
    job = world.last("edges").job
    found = list(listing.list_failures(world.files, world.pps.tables, job))
    assert [(one.state, one.reason, one.tries) for one in found] == [(DatumState.FAILED, "exit 1: bad bytes", 1)] * 2
    assert [one.datum for one in found] == sorted(one.datum for one in found)
    failures = partial(listing.list_failures, world.files, world.pps.tables, job)
    assert list(failures(1)) == found[:1]
    assert list(failures(marker=found[0].datum)) == found[1:]
    assert list(failures(reverse=True)) == found[::-1]
    assert list(failures(1, found[1].datum, reverse=True)) == found[:1]
    with pytest.raises(InvalidArgument, match=r"0 \(all\) or more"):
        list(failures(-1))
    known = usage.datum_usage(world.files, world.pps.tables, job, found[0].datum)
    assert (known.reason, known.tries) == ("exit 1: bad bytes", 1)


def test_the_next_job_tries_it_again_and_nothing_else(world: World) -> None:
    start(world)
    world.worker.ran.clear()
    world.put({"/g9": b"9"})
    world.pump()
    assert world.counts("edges") == "SUCCESS 1+3/5 failed=1"
    assert sorted(path for _, path in world.worker.ran) == ["/g9", "/z0"]
    world.put({"/z0": b"good"})
    world.pump()
    assert world.counts("edges") == "SUCCESS 1+4/5"
    assert world.last("edges").reason == ""
    assert sorted(world.content("edges")) == ["/g0", "/g1", "/g2", "/g9", "/z0"]


def test_what_a_datum_wrote_before_it_failed_goes(world: World) -> None:
    start(world, bad=0)
    world.put({"/g0": b"bad"})
    world.pump()
    assert world.counts("edges") == "SUCCESS 0+2/3 failed=1"
    assert sorted(world.content("edges")) == ["/g1", "/g2"]


@pytest.mark.parametrize(("limit", "good"), [("1", True), ("0", False), ("25%", True), ("24.9%", False)])
def test_beyond_the_limit_the_job_fails(world: World, limit: str, good: bool) -> None:
    start(world, limit)
    assert world.last("edges").state.value == ("SUCCESS" if good else "FAILURE")
    if not good:
        first = "the first: exit 1: bad bytes"
        assert world.last("edges").reason == f"1 of 4 datums failed, more than the limit of {limit}; {first}"


@pytest.mark.parametrize(
    ("text", "total", "allowed"),
    [("", 9, 0), ("7", 3, 7), ("5%", 100, 5), ("5%", 99, 4), ("5 %", 99, 4), ("100%", 3, 3), ("0%", 9, 0)],
)
def test_shares(text: str, total: int, allowed: int) -> None:
    assert share(text, total) == allowed


@pytest.mark.parametrize("text", ["-1", "5  %", "101%", "some", "1.5", "%"])
def test_what_is_no_share(text: str) -> None:
    with pytest.raises(ValueError, match='expected a number, or a share such as "5%"'):
        share(text, 10)
