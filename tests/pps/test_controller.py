"""The controller's threads, and what they do when work fails."""

from __future__ import annotations

import pytest
from pps_world import World, copy, glob

from trunkline.catalog.work import instructions
from trunkline.errors import ResourceExhausted
from trunkline.model.jobs import JobState
from trunkline.model.specs import Service
from trunkline.pfs.finisher import Finisher
from trunkline.pps import assemble, controller, machine
from trunkline.pps.events import Work


def rest(world: World, name: str, rounds: int = 2000) -> None:
    """Work until the newest job of a pipeline has ended, with the server's threads doing their part."""
    seen = 0
    for _ in range(rounds):
        if not world.worker.work() and world.jobs(name) and world.last(name).state.terminal:
            return
        seen = world.files.catalog.wake.wait(seen, 0.05)
    raise AssertionError(f"{name} does not end: {world.last(name)}")


def test_threads_bring_a_job_to_its_end(world: World) -> None:
    finisher = Finisher(world.files)
    finisher.start()
    world.controller.start()
    try:
        world.put({"/a": b"1"})
        world.pipeline("edges", copy, glob("/*"))
        world.pipeline("down", copy, glob("/*", "edges"))
        rest(world, "down")
        world.put({"/b": b"2"})
        rest(world, "down")
        assert world.counts("down") == "SUCCESS 1+1/2"
    finally:
        world.controller.stop()
        finisher.stop()
        world.repo("nudge")
        world.files.catalog.wake.set(world.files.catalog.wake.seq + 1)
        world.controller.join(60)
        finisher.join(60)


def test_threads_look_only_when_something_of_theirs_has_happened(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller, "IDLE_S", 600.0)
    monkeypatch.setattr(controller, "TICK_S", 600.0)
    catalog, looks = world.files.catalog, list[object]()
    read = catalog.read
    monkeypatch.setattr(catalog, "read", lambda f: (looks.append(f), read(f))[1])
    world.controller.start()
    try:
        threads = 1 + controller.HANDS + controller.PUSHERS
        while sum(map(len, catalog.wake._waiting.values())) < threads + 1:  # the first waits for two topics
            catalog.wake.wait(catalog.wake.seq, 0.01)
        before = len(looks)
        for number in range(50):
            catalog.transact(lambda tx, number=number: tx.emit("log", {"job": number}))
        assert len(looks) == before
        catalog.transact(lambda tx: tx.emit(machine.WORK_TOPIC, {"job": 1}))
        while len(looks) < before + controller.HANDS:
            catalog.wake.wait(catalog.wake.seq, 0.01)
        assert {looks[-1], looks[-2]} == {instructions.list_all}
    finally:
        world.controller.stop()
        catalog.wake.set(catalog.wake.seq + 1)
        world.controller.join(60)


def test_our_own_errors_are_tried_again_after_a_pause_and_then_end_the_job(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = []

    def full(*given: object) -> None:
        attempts.append(given)
        raise ResourceExhausted("the disk is full")

    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"))
    with monkeypatch.context() as patch:
        patch.setitem(assemble_of(), Work.ASSEMBLE, full)
        world.pump()
        assert len(attempts) == 1
        assert world.last("edges").reason == "could not assemble, trying again: the disk is full"
        world.clock.advance(0.6)
        world.pump()
        assert (len(attempts), world.last("edges").restart) == (2, 2)
    world.clock.advance(60)
    world.pump()
    assert world.counts("edges") == "SUCCESS 1+0/1"
    world.put({"/b": b"2"})
    with monkeypatch.context() as patch:
        patch.setitem(assemble_of(), Work.ASSEMBLE, full)
        for _ in range(8):
            world.pump()
            world.clock.advance(60)
    assert world.last("edges").state is JobState.FAILURE
    assert world.last("edges").reason == "could not assemble: the disk is full"
    world.put({"/c": b"3"})
    world.pump()
    assert world.counts("edges") == "SUCCESS 1+2/3"  # /b had been run, and is adopted


def assemble_of() -> dict[Work, object]:
    """The table of slow work."""
    from trunkline.pps import controller

    assert controller.WORK[Work.ASSEMBLE] is assemble.assemble
    return controller.WORK  # type: ignore[return-value]


def test_what_can_never_be_planned_is_not_tried_again(world: World) -> None:
    world.put({"/a": b"1", "/b": b"2"})
    world.pipeline("answers", copy, glob("/*"), service=Service(8080))
    world.pump()
    job = world.last("answers")
    assert (job.state, job.restart) == (JobState.FAILURE, 0)
    assert "services must have a single datum, and the input of this one makes 2" in job.reason
