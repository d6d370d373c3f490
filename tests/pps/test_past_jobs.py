"""Nothing grows with the number of past jobs: what a deed asks of the catalog is the same after 10 as after 1,000."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp

import pytest
from past_jobs import Cost, cost, with_past
from simulated_world import EDGES, Quick

from trunkline.model.jobs import JobState
from trunkline.model.names import Pipeline
from trunkline.pfs.graph import repos
from trunkline.pps import jobs, pipelines
from trunkline.pps.states.tasks import tasks

FEW, MANY = 60, 1000
SLACK = 1.05
"""An index over so many more rows is deeper by a step or two."""
IDLE = Pipeline("default", "idle")


def reading(function: Callable[..., object]) -> Callable[[Quick], object]:
    """A deed that looks at a snapshot."""
    return lambda world: world.files.catalog.read(function)


def commit(world: Quick) -> None:
    """A commit, and all that follows from it, to the end of both jobs."""
    world.put({"/d": b"4"})
    world.pump()
    ended = world.rows("SELECT state, processed, skipped FROM jobs ORDER BY seq DESC LIMIT 2")
    assert ended == [("SUCCESS", 1, 3)] * 2


def stop_and_start(world: Quick) -> None:
    """The pipeline is stopped, and goes on."""
    for act in (pipelines.stop_pipeline, pipelines.start_pipeline):
        world.files.change(partial(lambda change, act: act(change, EDGES), act=act))
    world.pump()


def server(world: Quick) -> None:
    """A server starts on what the last one left, and finds nothing to do."""
    world.die()
    world.pump()
    world.pps.leases.tick()


DEEDS: dict[str, Callable[[Quick], object]] = {
    "a commit": commit,
    "a start of the server": server,
    "the first page of jobs": reading(lambda tx: jobs.list_jobs(tx, limit=5, details=True)),
    "the first page of a project's jobs": reading(lambda tx: jobs.list_jobs(tx, projects=["default"], limit=5)),
    "the first page of a pipeline's jobs": reading(lambda tx: jobs.list_jobs(tx, pipeline=EDGES, limit=5)),
    "the jobs of a pipeline that had few": reading(lambda tx: jobs.list_jobs(tx, pipeline=IDLE, limit=5)),
    "jobs that failed": reading(lambda tx: jobs.list_jobs(tx, pipeline=IDLE, states=[JobState.FAILURE], limit=5)),
    "the first page of job sets": reading(lambda tx: jobs.set_page(tx, limit=5)),
    "job sets of a project": reading(lambda tx: jobs.set_page(tx, ["default"], limit=5)),
    "a pipeline": reading(lambda tx: jobs.inspect_pipeline(tx, EDGES)),
    "a pipeline that had few jobs": reading(lambda tx: jobs.inspect_pipeline(tx, IDLE)),
    "all pipelines": reading(jobs.list_pipelines),
    "what is being done": reading(tasks),
    "a repo": reading(lambda tx: repos.inspect_repo(tx, EDGES.output)),
    "a stop and a start": stop_and_start,
}


@cache
def past(count: int, failed: bool) -> Quick:
    """A world with so many finished jobs, to begin from."""
    return with_past(Path(mkdtemp(prefix="past-")), count, failed=failed)


def costs(count: int, deed: Callable[[Quick], object], *, failed: bool = False) -> Cost:
    """What a deed costs after so many jobs."""
    start = past(count, failed)
    world = Quick(start.folder, 1, start)
    world.check = lambda: None  # type: ignore[method-assign]  # it looks at every row, and is no part of the deed
    try:
        return cost(world, lambda: deed(world))
    finally:
        world.files.store.close()
        assert world.kept is not None
        world.kept.forget()


@pytest.mark.parametrize("name", DEEDS)
def test_nothing_grows_with_the_number_of_past_jobs(name: str) -> None:
    few, many = costs(FEW, DEEDS[name]), costs(MANY, DEEDS[name])
    assert many.statements == few.statements
    assert many.steps <= few.steps * SLACK, f"{few.steps} steps have become {many.steps}"


def test_nor_with_the_number_of_failures_in_a_row() -> None:
    few, many = costs(FEW, commit, failed=True), costs(MANY, commit, failed=True)
    assert many.statements == few.statements
    assert many.steps <= few.steps * SLACK


def test_what_grows_is_noticed() -> None:
    everything = reading(lambda tx: tx.execute("SELECT count(*) FROM jobs WHERE reason = ''").all())
    assert costs(MANY, everything).steps > 2 * costs(FEW, everything).steps
