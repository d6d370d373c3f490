"""A server killed at every transaction: after the next start the same jobs end as before (I-11)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pps_world import World, copy, glob

from trunkline.errors import AlreadyExists, NotFound
from trunkline.model.infos import Trigger
from trunkline.model.specs import CronInput
from trunkline.pfs.ticker import Ticker, TriggerSchedules
from trunkline.pps.schedules.ticks import CronSchedules


class Killed(BaseException):
    """The process is gone: nothing that runs may catch it."""


class Doomed:
    """Kills at the n-th transaction: before it is committed, or right after. Once dead, nothing works any more."""

    def __init__(self, at: int, after: bool) -> None:
        self.at, self.after, self.count, self.dead = at, after, 0, False

    def spare(self) -> None:
        """Kill no more: who looks at what came out makes transactions, too."""
        self.at = 0

    def attach(self, world: World) -> None:
        """Stand between everybody and the catalog."""
        catalog = world.files.catalog
        transact = catalog.transact

        def doomed(function: Callable[[Any], Any], *more: Any) -> Any:
            if self.dead:
                raise Killed
            self.count += 1
            if self.count != self.at:
                return transact(function, *more)
            self.dead = True
            if self.after:
                transact(function, *more)
            raise Killed

        catalog.transact = doomed  # type: ignore[method-assign]


def deeds(world: World) -> list[Callable[[], object]]:
    """What people do, each of which may be repeated by somebody who got no answer."""

    def create() -> None:
        try:
            world.pipeline("edges", copy, glob("/*"))
            world.pipeline("down", copy, glob("/", "edges"))
        except AlreadyExists:
            if not world.has("down"):
                world.pipeline("down", copy, glob("/", "edges"))

    return [
        lambda: world.put({"/a": b"1", "/b": b"2"}),
        create,
        world.pump,
        lambda: world.put({"/c": b"3", "/b": None}),
        world.pump,
    ]


def run(world: World, doom: Doomed) -> bool:
    """Do everything, starting the server again when it is killed; whether it was."""
    doom.attach(world)
    killed = False
    for deed in deeds(world):
        while True:
            try:
                deed()
                break
            except Killed:
                killed = True
                world.reopen()
    doom.spare()
    return killed


def kill_at(folder: Path, at: int, after: bool) -> bool:
    """One life with one death."""
    world = World(folder)
    world.repo()
    killed = run(world, Doomed(at, after))
    assert world.content("edges") == {"/a": b"1", "/c": b"3"}
    assert world.content("down") == world.content("edges")
    for name in ("edges", "down"):
        for job in world.jobs(name):
            assert job.state.value == "SUCCESS", job
            assert job.data_total == job.data_processed + job.data_skipped
    world.close()
    return killed


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(5, 75, 20))
def test_a_kill_at_some_transactions_loses_nothing(tmp_path: Path, at: int, after: bool) -> None:
    assert kill_at(tmp_path, at, after)


@pytest.mark.soak
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_every_transaction_loses_nothing(
    tmp_path: Path, after: bool, record_property: Callable[[str, object], None]
) -> None:
    at = 1
    while kill_at(tmp_path / str(at), at, after):
        at += 1
    assert at > 50
    record_property("figures", f"{at - 1} kills")


def put_once(world: World, path: str, data: bytes) -> None:
    """Put a file, unless it is there: a commit too many would move a trigger."""
    try:
        there = world.content("data")
    except NotFound:
        there = {}
    if path not in there:
        world.put({path: data})


def wait_and_tick(world: World) -> None:
    """What waits for a schedule or a trigger happens, and what follows."""
    while Ticker(world.files, [TriggerSchedules(world.files), CronSchedules(world.files)]).step():
        pass
    world.pump()


def kill_what_waits(folder: Path, at: int, after: bool) -> bool:
    """One life with one death of a server with a cron input and an input with a trigger."""
    world = World(folder)
    world.repo()
    late = glob("/*", branch="late-trigger-1", trigger=Trigger("master", commits=2))
    world.pipeline("late", copy, late)
    world.pipeline("clock", copy, CronInput("default", "clock_tick", "tick", "@hourly"))
    world.pump()
    world.clock.advance(7200)
    doom, killed = Doomed(at, after), False
    doom.attach(world)
    for deed in (
        lambda: put_once(world, "/a", b"1"),
        lambda: wait_and_tick(world),
        lambda: put_once(world, "/b", b"2"),
        lambda: wait_and_tick(world),
    ):
        while True:
            try:
                deed()
                break
            except Killed:
                killed = True
                world.reopen()
    doom.spare()
    assert world.content("late") == {"/a": b"1", "/b": b"2"}
    assert len(world.content("clock")) == len(world.content("clock_tick")) == 2
    assert [job.data_total for job in world.jobs("clock")] == [2, 1, 0]
    world.close()
    return killed


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", [9, 23])
def test_a_kill_makes_no_tick_twice_and_loses_no_move(tmp_path: Path, at: int, after: bool) -> None:
    assert kill_what_waits(tmp_path, at, after)


@pytest.mark.soak
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_any_transaction_makes_no_tick_twice(
    tmp_path: Path, after: bool, record_property: Callable[[str, object], None]
) -> None:
    at = 1
    while kill_what_waits(tmp_path / str(at), at, after):
        at += 1
    assert at > 30
    record_property("figures", f"{at - 1} kills")
