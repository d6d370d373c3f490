"""Leases: fences, reports, stealing, poisoned datums, fairness, restarts."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest
from leased import files, renewal, rows, start, tick
from pps_world import Worker, World, copy, glob

from trunkline.catalog import outbox
from trunkline.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound
from trunkline.model.jobs import DatumState
from trunkline.model.names import Job, Pipeline
from trunkline.model.results import CODE, results
from trunkline.model.specs.spec import DatumSetSpec
from trunkline.pps import claims, datums, jobs
from trunkline.pps.claims import LEASE_TICKS, Cancel, Report, Restart
from trunkline.pps.machine import CLAIMS_TOPIC


def test_a_range_is_divided_so_that_others_find_work(world: World) -> None:
    start(world, 100)
    other = Worker(world, "w2")
    assert world.worker.claim(workers=2)
    assert other.claim(workers=2)
    taken = [(row.first, row.last) for row in rows(world) if row.worker]
    assert taken == [(0, 25), (25, 43)]
    assert sum(row.left for row in rows(world)) == 100


@pytest.mark.parametrize(
    ("count", "workers", "parallelism", "taken"),
    [
        (4, 2, 0, [2, 2]),
        (5, 2, 0, [3, 2]),
        (1, 2, 0, [1]),
        (16, 1, 0, [16]),
        (16, 16, 0, [1] * 16),
        (3, 8, 0, [1, 1, 1]),
        (20, 8, 2, [10, 10]),
        (33, 2, 0, [16, 16]),
        (1000, 100, 0, [10] * 100),
        (2000, 4, 0, [250, 218, 191, 167]),
    ],
)
def test_few_datums_are_spread_over_all_workers(
    world: World, count: int, workers: int, parallelism: int, taken: list[int]
) -> None:
    """Each may take long, and a worker that has nothing to do helps nobody."""
    start(world, count, parallelism=parallelism)
    sizes = []
    for number in range(workers):
        one = Worker(world, f"w{number}")
        if one.claim(workers=workers):
            assert one.handed is not None
            claim = one.handed.leased.claim
            sizes.append(claim.last - claim.done)
    assert sizes == taken


@pytest.mark.parametrize(
    ("each_us", "sizes"),
    [
        (500, [100, 100, 50, 50]),  # 50 ms each, or half of what is left
        (1_000, [75, 56, 50, 50, 35, 17, 17]),
        (10_000, [75, 56, 42, 31, 24, 18, 16, 16, 16, 6]),  # as if nobody had run any
    ],
)
def test_quick_datums_are_leased_by_the_time_they_take(world: World, each_us: int, sizes: list[int]) -> None:
    """What a range costs by itself would be more than its datums."""
    start(world, 400)
    assert world.worker.claim(workers=2)
    told = world.worker.prepare()
    at = told.results.schema.get_field_index("process_us")
    field = told.results.schema.field(at)
    each = pa.array([each_us] * told.results.num_rows, field.type)
    world.worker.send(replace(told, results=told.results.set_column(at, field, each)))
    found = []
    for number in range(50):
        one = Worker(world, f"w{number}")
        if one.claim(workers=2):
            assert one.handed is not None
            found.append(one.handed.leased.claim.last - one.handed.leased.claim.done)
    assert found == sizes
    assert sum(found) == 300


@pytest.mark.parametrize(
    ("sets", "workers", "sizes"),
    [
        (DatumSetSpec(number=3), 2, [3, 3, 3, 1]),
        (DatumSetSpec(size_bytes=4), 2, [4, 4, 2]),  # a byte each
        (DatumSetSpec(number=3, size_bytes=2), 2, [2, 2, 2, 2, 2]),
        (DatumSetSpec(number=1, size_bytes=100), 2, [1] * 10),
        (DatumSetSpec(per_worker=2), 2, [2, 2, 2, 2, 2]),
        (DatumSetSpec(per_worker=1), 1, [10]),
        (DatumSetSpec(per_worker=50), 2, [1] * 10),
        (DatumSetSpec(number=5000), 2, [10]),
    ],
)
def test_a_worker_takes_as_many_datums_as_the_spec_says(
    world: World, sets: DatumSetSpec, workers: int, sizes: list[int]
) -> None:
    start(world, 10, datum_set_spec=sets)
    taken = []
    while world.worker.claim(workers=workers):
        assert world.worker.handed is not None
        claim = world.worker.handed.leased.claim
        assert len(world.worker.handed.datums) == claim.last - claim.done
        taken.append(claim.last - claim.done)
        world.worker.work()
    assert taken == sizes
    world.pump()
    assert world.content("edges") == files(10)
    assert world.counts("edges") == "SUCCESS 10+0/10"


def test_sets_by_worker_count_those_of_the_pipeline(world: World) -> None:
    start(world, 12, datum_set_spec=DatumSetSpec(per_worker=2), parallelism=3)
    assert world.worker.claim(workers=8)
    assert [(row.first, row.last) for row in rows(world) if row.worker] == [(0, 2)]


def test_what_a_datum_is_too_large_for_is_left_to_others(world: World) -> None:
    start(world, 4, datum_set_spec=DatumSetSpec(size_bytes=2))
    seen = world.files.catalog.read(outbox.newest)
    assert world.worker.claim()
    assert world.files.catalog.read(lambda tx: outbox.read_after(tx, seen, 10, [CLAIMS_TOPIC]))
    assert Worker(world, "w2").claim()
    assert [(row.first, row.last) for row in rows(world) if row.worker] == [(0, 2), (2, 4)]


def test_a_report_of_a_worker_that_lost_its_claim_is_refused(world: World) -> None:
    start(world, 3)
    late = world.worker
    assert late.claim()
    tick(world, LEASE_TICKS + 1)
    other = Worker(world, "w2")
    assert other.claim()
    with pytest.raises(Aborted, match="another worker"):
        late.work()
    while other.work():
        pass
    world.worker = other
    world.pump()
    assert world.counts("edges") == "SUCCESS 3+0/3"
    assert world.content("edges") == files(3)


def test_a_renewed_claim_is_kept_and_a_silent_one_is_not(world: World) -> None:
    start(world, 3)
    assert world.worker.claim()
    for _ in range(3 * LEASE_TICKS):
        assert world.pps.leases.renew("w1", world.worker.session.gen, [renewal(world.worker, 0)]) == []
        tick(world)
    assert rows(world)[0].row == 0
    tick(world, LEASE_TICKS + 1)
    assert rows(world)[0].worker is None
    found = world.pps.leases.renew("w1", world.worker.session.gen, [renewal(world.worker, 0)])
    assert [type(one) for one in found] == [Cancel]


def test_a_report_needs_its_session_open(world: World) -> None:
    start(world, 1)
    assert world.worker.claim()
    with world.worker.session:
        pass
    with pytest.raises(Aborted):
        world.worker.work()
    assert world.last("edges").data_processed == 0


@pytest.mark.parametrize("wrong", ["short", "double", "shifted"])
def test_a_report_has_one_result_for_each_row(world: World, wrong: str) -> None:
    start(world, 3)
    assert world.worker.claim()
    assert world.worker.handed is not None
    claim = world.worker.handed.leased.claim
    told = {"short": [0, 1], "double": [0, 1, 1], "shifted": [1, 2, 3]}[wrong]
    table = results({"row": row, "state": CODE[DatumState.SUCCESS]} for row in told)
    report = Report("w1", world.worker.session.gen, claim.id, claim.fence, 3, (), table)
    with pytest.raises(InvalidArgument, match="one result for each"):
        world.files.catalog.transact(lambda tx: claims.report(tx, report))


@pytest.mark.parametrize("step_s", [3600, -3600])
def test_a_clock_that_steps_an_hour_takes_no_lease_away(world: World, step_s: int) -> None:
    start(world, 8)
    slow, idle = world.worker, Worker(world, "w2")
    assert slow.claim()
    world.clock.step(step_s)
    for _ in range(3):
        assert world.pps.leases.renew("w1", slow.session.gen, [renewal(slow, 0)]) == []
        tick(world, LEASE_TICKS // 2)
    assert [row.worker for row in rows(world)] == ["w1"]
    assert idle.claim()  # which of the two is slow cannot be told by that clock: an idle one finds work all the same
    idle.work()
    while slow.work(1):
        pass
    world.pump()
    assert world.counts("edges") == "SUCCESS 8+0/8"


def test_a_poisoned_datum_among_many_is_found_and_set_aside(world: World) -> None:
    start(world, 100)
    victim = 37
    for number in range(40):
        worker = Worker(world, f"v{number}")
        if not worker.claim():
            break
        assert worker.handed is not None
        claim = worker.handed.leased.claim
        while worker.handed is not None and worker.at != victim:
            worker.work(1)
        if worker.handed is not None:
            world.pps.leases.renew(worker.name, worker.session.gen, [renewal(worker, victim)])
            tick(world)
            world.files.catalog.transact(
                lambda tx, name=worker.name: claims.worker_gone(tx, name, "memory limit 64Mi exceeded")
            )
        assert claim.job
    world.pump()
    assert world.counts("edges") == "FAILURE 99+0/100 failed=1"
    pipeline = Pipeline("default", "edges")
    found = datums.list_datums(world.files, world.pps.tables, world.last("edges").job, states=[DatumState.FAILED])
    reason = "the worker died 3 times while running this datum (last: memory limit 64Mi exceeded)"
    assert [one.reason for one in found] == [reason]
    assert found[0].job.pipeline == pipeline
    assert [one.path for one in found[0].files] == ["/037"]


def test_a_range_whose_killer_nobody_named_is_halved_until_it_is_found(world: World) -> None:
    start(world, 8)
    for number in range(30):
        worker = Worker(world, f"v{number}")
        if not worker.claim():
            break
        assert worker.handed is not None
        claim = worker.handed.leased.claim
        if claim.first <= 5 < claim.last:
            world.files.catalog.transact(lambda tx, name=worker.name: claims.worker_gone(tx, name, "killed"))
        else:
            worker.work()
    world.pump()
    assert world.counts("edges") == "FAILURE 7+0/8 failed=1"


def test_a_restart_of_the_server_blames_nobody(world: World) -> None:
    start(world, 4)
    for _ in range(5):
        assert world.worker.claim()
        world.pps.leases.renew("w1", world.worker.session.gen, [renewal(world.worker, 0)])
        tick(world)
        world.reopen()
    world.pump()
    assert world.counts("edges") == "SUCCESS 4+0/4"


def test_pipelines_take_turns_and_keep_to_their_bound(world: World) -> None:
    start(world, 64)
    start(world, 64, "bound", parallelism=1)
    workers = [Worker(world, f"v{number}") for number in range(4)]
    names = []
    for worker in workers:
        assert worker.claim()
        assert worker.handed is not None
        names.append(worker.handed.leased.job.job.pipeline.name)
    assert sorted(names) == ["bound", "edges", "edges", "edges"]
    assert sorted(names[:2]) == ["bound", "edges"]


def test_a_long_range_ends_early_for_a_pipeline_that_nobody_serves(world: World) -> None:
    start(world, 100)
    busy = [Worker(world, name) for name in ("v1", "v2")]
    assert all(worker.claim() for worker in busy)
    start(world, 100, "other")
    world.clock.advance(2)
    tick(world, LEASE_TICKS - 1)  # nobody else is there, and one of the ranges is halved until little is left of it
    for worker in (*busy, *busy):
        worker.work(1)
    free = [worker for worker in busy if worker.handed is None]
    assert len(free) == 1
    assert free[0].claim()
    assert free[0].handed is not None
    assert free[0].handed.leased.job.job.pipeline.name == "other"
    for worker in busy:
        while worker.handed is not None:
            worker.work()
    world.pump()
    assert (world.counts("edges"), world.counts("other")) == ("SUCCESS 100+0/100", "SUCCESS 100+0/100")


def test_a_stopped_job_cancels_what_its_workers_do(world: World) -> None:
    start(world, 4)
    assert world.worker.claim()
    job = world.last("edges").job
    world.files.catalog.transact(lambda tx: jobs.stop_job(tx, job, "enough"))
    found = world.pps.leases.renew("w1", world.worker.session.gen, [renewal(world.worker)])
    assert [type(one) for one in found] == [Cancel]
    with pytest.raises(Aborted, match="closed"):
        world.worker.work()
    world.pump()
    assert world.last("edges").state.value == "KILLED"
    assert world.last("edges").reason == "enough"


def test_restart_datum_reaches_the_worker_that_runs_it(world: World) -> None:
    start(world, 4)
    job = world.last("edges").job

    def restart(path: str) -> str:
        return datums.restart_datum(world.files, world.pps.tables, job, [path])

    def renew(row: int | None = None) -> list[Cancel | Restart]:
        return world.pps.leases.renew("w1", world.worker.session.gen, [renewal(world.worker, row)])

    with pytest.raises(NotFound, match="no datum of job"):
        restart("/nine")
    assert "1 will run from the start" in restart("/002")
    assert world.worker.claim()
    assert restart("/001") == ""  # it may be what the worker has begun with: nobody has heard yet
    assert [one.rows for one in renew() if isinstance(one, Restart)] == [(1,)]
    renew(2)
    world.pps.leases.tick()
    assert "1 will run from the start" in restart("/003")  # waits in the range: there is nothing to end
    assert renew(2) == []
    assert restart("/002") == ""
    found = renew(2)
    assert isinstance(found[0], Restart)
    assert found[0].rows == (2,)
    assert renew(2) == []
    world.worker.work()
    world.pump()
    with pytest.raises(FailedPrecondition, match="has ended or was skipped"):
        restart("/002")


def in_hand(world: World) -> list[str]:
    """Paths of the datum that the only worker has in hand, which the list of datums shows as well."""
    job = world.last("edges").job
    info = world.files.catalog.read(lambda tx: jobs.inspect_job(tx, job))
    worker = datums.with_progress(world.files, world.pps.tables, info).workers[0]
    listed = datums.list_datums(world.files, world.pps.tables, job, states=[DatumState.STARTING])
    assert (worker.worker, [worker.datum] if worker.datum else []) == ("w1", [one.id for one in listed])
    return list(worker.paths)


def test_who_works_on_what_is_told(world: World) -> None:
    start(world, 4)
    assert world.worker.claim()
    world.pps.leases.renew("w1", world.worker.session.gen, [renewal(world.worker, 2)])
    world.pps.leases.tick()
    assert in_hand(world) == ["/002"]


def test_what_a_worker_begins_with_is_told_before_it_says_so(world: World) -> None:
    start(world, 4)
    assert world.worker.claim()
    assert in_hand(world) == ["/000"]
    world.worker.work(1)
    assert in_hand(world) == ["/001"]
    world.pps.leases.renew("w1", world.worker.session.gen, [renewal(world.worker, 1)])
    world.pps.leases.tick()
    world.worker.work(2)
    assert in_hand(world) == ["/003"]
    world.worker.work()
    world.pump()
    job = world.last("edges").job
    info = world.files.catalog.read(lambda tx: jobs.inspect_job(tx, job))
    assert info.workers == ()


def test_output_of_a_claim_is_held_from_the_report_on(world: World) -> None:
    start(world, 4)
    world.worker.work(2)
    world.reopen()
    world.pump()
    assert world.counts("edges") == "SUCCESS 4+0/4"
    assert len([path for _, path in world.worker.ran]) == 2
    assert world.content("edges") == files(4)
    assert isinstance(world.last("edges").job, Job)


def test_a_job_that_ended_before_it_had_datums_has_none_to_start_over(world: World) -> None:
    world.put(files(1))
    world.pipeline("edges", copy, glob("/*"))
    job = world.last("edges").job
    world.files.catalog.transact(lambda tx: jobs.stop_job(tx, job))
    world.pump()
    with pytest.raises(FailedPrecondition, match="had no datums"):
        datums.restart_datum(world.files, world.pps.tables, job, ["/000"])
