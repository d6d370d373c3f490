"""Every move that the tables of states draw is made by somebody: pipelines by deeds, jobs by walks through `decide`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from pps_world import World, copy, glob

from trunkline.errors import ResourceExhausted
from trunkline.model.jobs import JOBS, PIPELINES, JobState, PipelineState
from trunkline.model.names import Branch, Pipeline, Repo
from trunkline.pfs.graph import branches
from trunkline.pps import controller, decide, jobs, pipelines
from trunkline.pps import events as ev
from trunkline.pps.decide import JobCore
from trunkline.pps.events import JobEvent, Work
from trunkline.pps.pods import wishes
from trunkline.pps.states.condition import alerts

EDGES = Pipeline("default", "edges")
S = PipelineState
Deed = Callable[[World], None]


def shown(world: World) -> PipelineState:
    return world.files.catalog.read(lambda tx: jobs.inspect_pipeline(tx, EDGES)).state


def create(world: World, **more: object) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"), **more)


def idle(world: World) -> None:
    create(world, autoscaling=True)
    world.pump()


def update(world: World) -> None:
    world.repo("other")
    world.put({"/x": b"1"}, "other")
    world.pipeline("edges", copy, glob("/*", "other"), update=True)


def stop(world: World) -> None:
    world.files.change(lambda change: pipelines.stop_pipeline(change, EDGES))


def start(world: World) -> None:
    world.files.change(lambda change: pipelines.start_pipeline(change, EDGES))


def lose_input(world: World) -> None:
    branch = Branch(Repo("default", "data"), "master")
    world.files.change(lambda change: branches.delete_branch(change, branch, force=True))


def tell(world: World, reason: str) -> None:
    version = world.files.catalog.read(lambda tx: jobs.inspect_pipeline(tx, EDGES)).version
    world.files.catalog.transact(lambda tx: wishes.tell(tx, EDGES, version, reason))


crash, come_up = partial(tell, reason="no node takes it"), partial(tell, reason="")


def err(world: World) -> None:
    """The server cannot do its own part of a job."""

    def full(*given: object) -> None:
        raise ResourceExhausted("the disk is full")

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(controller.WORK, Work.ASSEMBLE, full)
        world.pump()


def try_again(world: World) -> None:
    world.clock.advance(60)
    world.pump()


def after(*deeds: Deed) -> Deed:
    def all_of_them(world: World) -> None:
        for deed in deeds:
            deed(world)

    return all_of_them


DEEDS: dict[tuple[S, S], tuple[Deed, Deed]] = {
    (S.RUNNING, S.STANDBY): (partial(create, autoscaling=True), World.pump),
    (S.RUNNING, S.CRASHING): (create, crash),
    (S.RUNNING, S.RESTARTING): (create, err),
    (S.RUNNING, S.FAILURE): (create, lose_input),
    (S.RUNNING, S.PAUSED): (create, stop),
    (S.STANDBY, S.RUNNING): (idle, lambda world: world.put({"/b": b"2"}) and None),
    (S.STANDBY, S.FAILURE): (idle, lose_input),
    (S.STANDBY, S.PAUSED): (idle, stop),
    (S.CRASHING, S.RUNNING): (after(create, crash), come_up),
    (S.CRASHING, S.FAILURE): (after(create, crash), lose_input),
    (S.CRASHING, S.PAUSED): (after(create, crash), stop),
    (S.RESTARTING, S.RUNNING): (after(create, err), try_again),
    (S.RESTARTING, S.FAILURE): (after(create, err), lose_input),
    (S.RESTARTING, S.PAUSED): (after(create, err), stop),
    (S.FAILURE, S.RUNNING): (after(create, lose_input), update),
    (S.FAILURE, S.PAUSED): (after(create, lose_input), stop),
}
"""For each move what leads to its beginning, and what makes it."""

WITHIN = {(S.STARTING, S.RUNNING), (S.PAUSED, S.STARTING)}
"""Moves of which only the transaction that makes them knows."""


def test_every_move_of_a_pipeline_is_made_by_some_deed() -> None:
    assert DEEDS.keys() | WITHIN == PIPELINES.moves.keys()


@pytest.mark.parametrize(("start", "end"), DEEDS, ids=lambda state: state.value)
def test_a_pipeline_is_seen_to_move(world: World, start: PipelineState, end: PipelineState) -> None:
    before, deed = DEEDS[start, end]
    before(world)
    assert shown(world) is start
    deed(world)
    assert shown(world) is end


def test_what_one_transaction_begins_it_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made = set()

    def note(now: PipelineState, wanted: PipelineState) -> PipelineState:
        made.add((now, wanted))
        return PIPELINES.move(now, wanted)

    monkeypatch.setattr(pipelines, "next_pipeline_state", note)
    create(world)
    assert shown(world) is S.RUNNING
    stop(world)
    start(world)
    assert shown(world) is S.RUNNING
    assert made >= WITHIN


def test_a_pipeline_says_which_error_of_ours_is_tried_again(world: World) -> None:
    create(world)
    err(world)
    info = world.files.catalog.read(lambda tx: jobs.inspect_pipeline(tx, EDGES))
    assert info.reason == f"its job {world.last('edges').job.id} could not assemble, trying again: the disk is full"
    assert alerts(info, 0) == [f"restarting: {info.reason}"]
    try_again(world)
    assert (world.counts("edges"), world.last("edges").reason) == ("SUCCESS 1+0/1", "")


EVENTS: list[JobEvent] = [
    ev.Seen(),
    ev.InputsReady(),
    ev.InputsFailed(("default/edges",)),
    ev.BaseChosen(1, None),
    ev.Planned(1, 1, 0, 0),
    ev.WorkFailed(1, Work.PLAN, "no such glob", True),
    ev.RangeDone(1, 1, 0, 0, ""),
    ev.Assembled(1),
    ev.EgressDone(1),
    ev.Stop("stopped"),
    ev.Stop("told to fail", failed=True),
    ev.CommitGone(),
    ev.CommitFinished(""),
    ev.CommitFinished("a datum failed"),
]


def test_every_move_of_a_job_is_made_on_some_way(monkeypatch: pytest.MonkeyPatch) -> None:
    made = set()

    def note(now: JobState, wanted: JobState) -> JobState:
        made.add((now, wanted))
        return JOBS.move(now, wanted)

    monkeypatch.setattr(decide, "next_job_state", note)
    known = {JobCore(), JobCore(egress=True)}
    new = set(known)
    while new:
        new = {decide.decide(core, event)[0] for core in new for event in EVENTS} - known
        known |= new
    assert made == JOBS.moves.keys()
