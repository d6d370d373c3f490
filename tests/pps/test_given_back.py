"""Ranges that workers give back: no code is to blame, people see why, and they are tried again after a pause."""

from __future__ import annotations

from dataclasses import replace

import pytest
from leased import files, renewal, rows, start, tick, woken
from pps_world import Worker, World

from trunkline.errors import Aborted, ResourceExhausted
from trunkline.model.jobs import JobState, PipelineState
from trunkline.model.names import Pipeline
from trunkline.pps import claims, jobs, logs
from trunkline.pps import events as ev
from trunkline.pps.decide import LONGEST_HOLD_S, JobCore, Phase, decide
from trunkline.pps.logs import LogQuery

FULL = "the results of datums 0 to 15 cannot be kept: no space left on device; free some space"
RUNNING = JobCore(state=JobState.RUNNING, phase=Phase.RUNNING, placed=20, open=20, total=20)


def give_back(world: World, worker: Worker, why: str = FULL) -> None:
    """A worker says that it can do nothing with what it has."""
    assert worker.handed is not None
    claim = worker.handed.leased.claim
    worker.handed = None
    world.files.catalog.transact(lambda tx: claims.give_back(tx, worker.name, claim.id, claim.fence, why))


def state(world: World) -> tuple[PipelineState, str]:
    info = world.files.catalog.read(lambda tx: jobs.inspect_pipeline(tx, Pipeline("default", "edges")))
    return info.state, info.reason


@pytest.mark.parametrize(
    ("held", "waits", "then", "after_s"),
    [
        (0, False, 1, 1),
        (1, False, 2, 2),
        (4, False, 5, 16),
        (5, False, 6, LONGEST_HOLD_S),
        (5000, False, 5001, LONGEST_HOLD_S),
        (3, True, 3, 4),  # one more worker has the same trouble
        (0, True, 1, 1),  # after results of a third were kept
    ],
)
def test_each_time_in_a_row_the_pause_is_longer(held: int, waits: bool, then: int, after_s: int) -> None:
    job, told = decide(replace(RUNNING, held=held), ev.RangeGivenBack(1, "c", FULL, waits))
    assert job == replace(RUNNING, held=then, reason=f"{FULL}; tried again in {after_s} s")
    assert told == [ev.HoldBack("c", after_s)]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (ev.RangeDone(1, 5), ""),
        (ev.RangeLost(1, "c", None, 0, 3, "killed"), FULL),
        (ev.Stop("stopped"), "stopped"),
    ],
)
def test_the_reason_stays_until_results_are_kept(event: ev.JobEvent, reason: str) -> None:
    job, _ = decide(replace(RUNNING, held=3, reason=FULL), event)
    assert (job.reason, job.held) == (reason, 3 if reason == FULL else 0)


def test_the_reason_goes_with_the_last_datum_also_if_that_is_given_up() -> None:
    job = replace(RUNNING, held=3, reason=FULL, open=1, may_fail="1")
    after, _ = decide(job, ev.RangeLost(1, "c", 19, 3, 3, "killed"))
    assert (after.phase, after.held, after.reason) == (Phase.ASSEMBLING, 0, "")


@pytest.mark.parametrize(
    "event", [ev.RangeGivenBack(2, "c", FULL), ev.RangeGivenBack(0, "c", FULL, waits=True)], ids=["later", "earlier"]
)
def test_what_is_given_back_of_another_plan_changes_nothing(event: ev.JobEvent) -> None:
    assert decide(RUNNING, event) == (RUNNING, [])


def test_it_counts_as_no_death_and_the_job_says_why_it_waits(world: World) -> None:
    start(world, 20)
    for number in range(5):  # more often than a datum is tried
        assert world.worker.claim(), number
        give_back(world, world.worker)
        (job,) = world.jobs("edges")
        assert (job.state, job.restart) == (JobState.RUNNING, 0)
        assert job.reason == f"{FULL}; tried again in {2**number} s"
        assert state(world) == (PipelineState.RESTARTING, f"its job {job.job.id} waits: {job.reason}")
        assert not Worker(world, "another").claim()
        tick(world, 2**number)
        assert woken(world)
    assert world.worker.claim()
    assert world.worker.handed is not None
    assert world.worker.handed.deaths == {}
    world.worker.work(1)
    assert world.jobs("edges")[0].reason == ""
    assert state(world)[0] is PipelineState.RUNNING
    while world.worker.work():
        pass
    world.pump()
    assert world.content("edges") == files(20)
    assert world.counts("edges") == "SUCCESS 20+0/20"


def test_nothing_else_of_the_job_is_tried_before_and_other_jobs_are(world: World) -> None:
    start(world, 40)
    start(world, 0, "more")
    second = Worker(world, "w2")
    edges, more = Pipeline("default", "edges"), Pipeline("default", "more")
    assert world.worker.claim(pipeline=edges)
    assert second.claim(pipeline=edges)
    give_back(world, world.worker)
    give_back(world, second)
    assert world.jobs("edges")[0].reason.endswith("tried again in 1 s")
    assert [row.waits for row in rows(world) if row.job == 1] == [True] * 3
    assert not world.worker.claim(pipeline=edges)
    assert world.worker.claim(pipeline=more)


def test_a_finished_prefix_stays_reported(world: World) -> None:
    start(world, 16)
    assert world.worker.claim()
    world.worker.work(5)
    give_back(world, world.worker)
    assert [(row.first, row.last) for row in rows(world)] == [(5, 16)]
    assert world.jobs("edges")[0].data_processed == 5


@pytest.mark.parametrize("step_s", [3600, -3600])
def test_a_clock_that_is_set_neither_hastens_nor_delays_it(world: World, step_s: int) -> None:
    start(world, 4)
    assert world.worker.claim()
    give_back(world, world.worker)
    world.clock.step(step_s)
    assert not world.worker.claim()
    tick(world, 2)
    assert world.worker.claim()


def test_it_outlives_the_server(world: World) -> None:
    start(world, 4)
    assert world.worker.claim()
    give_back(world, world.worker)
    world.reopen()
    assert not world.worker.claim()
    tick(world, 2)
    assert world.worker.claim()


def test_who_has_lost_a_claim_cannot_give_it_back(world: World) -> None:
    start(world, 4)
    slow, idle = world.worker, Worker(world, "w2")
    assert slow.claim()
    assert slow.handed is not None
    claim = slow.handed.leased.claim
    tick(world, claims.LEASE_TICKS + 1)
    assert idle.claim()
    for worker, fence in (("w1", claim.fence), ("w2", claim.fence)):
        with pytest.raises(Aborted, match="another worker"):
            world.files.catalog.transact(lambda tx, who=worker, at=fence: claims.give_back(tx, who, claim.id, at, FULL))
    assert world.pps.leases.renew("w2", idle.session.gen, [renewal(idle, 0)]) == []
    idle.work()
    world.pump()
    assert world.counts("edges") == "SUCCESS 4+0/4"


def test_the_log_of_the_job_says_it_once_for_each_pause(world: World) -> None:
    start(world, 40)
    second = Worker(world, "w2")
    assert world.worker.claim()
    assert second.claim()
    give_back(world, world.worker)
    give_back(world, second)
    query = LogQuery(pipeline=Pipeline("default", "edges"), master=True)
    lines = world.files.catalog.read(lambda tx: logs.page(tx, query)).lines
    assert [line.message for line in lines if "tried again" in line.message] == [f"{FULL}; tried again in 1 s"]


def test_why_nothing_can_be_saved_is_known_after_two_ticks_and_forgotten_with_the_first_good_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(world, 4)
    assert world.worker.claim()
    leases, transact = world.pps.leases, world.files.catalog.transact

    def full(work: object) -> None:
        raise ResourceExhausted("the disk of the catalog is full")

    monkeypatch.setattr(world.files.catalog, "transact", full)
    said = []
    for _ in range(3):
        with pytest.raises(ResourceExhausted):
            leases.tick()
        said.append(leases.trouble)
    monkeypatch.setattr(world.files.catalog, "transact", transact)
    leases.tick()
    assert [*said, leases.trouble] == ["", *["the disk of the catalog is full"] * 2, ""]
