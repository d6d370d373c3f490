"""Lists of jobs and of job sets, page by page, and what they cost."""

from __future__ import annotations

from functools import partial

import pytest
from pps_world import DATA, World, copy, glob

from trunkline.errors import InvalidArgument
from trunkline.model.jobs import JobState
from trunkline.model.names import Commit, Job, Pipeline
from trunkline.pfs.graph import repos
from trunkline.pps import jobs
from trunkline.testing.catalogs import counted_statements

EDGES = Pipeline("default", "edges")


def test_jobs_are_listed_by_pipeline_input_state_and_history(world: World) -> None:
    first = world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    second = world.put({"/b": b"2"})
    world.pump()
    world.pipeline("edges", copy, glob("/*"), update=True)
    world.pump()

    def ids(**given: object) -> list[int]:
        found = world.files.catalog.read(lambda tx: jobs.list_jobs(tx, pipeline=EDGES, **given))  # type: ignore[arg-type]
        return [one.version * 10 + one.data_processed for one in found]

    assert ids() == [20, 11, 11]
    assert ids(history=0) == [20]
    assert ids(history=1) == [20, 11, 11]
    assert ids(inputs=[Commit(DATA, first)]) == [11]
    assert ids(inputs=[Commit(DATA, second)]) == [20, 11]
    assert ids(states=[JobState.FAILURE]) == []
    newest = world.last("edges").seq
    assert ids(below=newest, limit=1) == [11]
    assert ids(oldest_first=True) == [11, 11, 20]
    sets = world.files.catalog.read(jobs.set_page)
    assert [len(one.jobs) for _, one in sets] == [1, 1, 1]
    with pytest.raises(InvalidArgument, match="history must be -1"):
        ids(history=-2)
    with pytest.raises(InvalidArgument, match="32 hex digits"):
        world.files.catalog.read(lambda tx: jobs.inspect_job(tx, Job(EDGES, "nonsense")))


def test_a_page_of_jobs_takes_as_many_statements_as_one_job(world: World) -> None:
    for name in ("edges", "shapes"):
        world.pipeline(name, copy, glob("/*"))
    catalog, counts = world.files.catalog, []
    pages = (
        lambda tx: jobs.list_jobs(tx, details=True),
        lambda tx: jobs.list_jobs(tx, inputs=[Commit(DATA, newest)]),
        lambda tx: jobs.set_page(tx, ["default"], details=True),
    )
    for index in range(6):
        newest = world.put({f"/{index}": b"x"})
        world.pump()
        if index in (0, 5):
            for page in pages:
                with counted_statements() as count:
                    found = catalog.read(page)
                counts.append((count(), len(found)))
    few, many = counts[:3], counts[3:]
    assert [each for each, _ in few] == [each for each, _ in many]
    assert [found for _, found in many] == [14, 2, 8]  # with the jobs of the empty head


def test_sets_are_listed_page_by_page_in_the_order_of_their_newest_job(world: World) -> None:
    world.pipeline("edges", copy, glob("/*"))
    for index in range(5):
        world.put({f"/{index}": b"x"})
        world.pump()
    world.files.catalog.transact(lambda tx: repos.create_project(tx, "elsewhere"))
    catalog = world.files.catalog
    whole = catalog.read(jobs.set_page)
    assert len(whole) == 6
    paged: list[str] = []
    below = None
    while page := catalog.read(partial(jobs.set_page, projects=["default"], below=below, limit=2)):
        paged += [info.id for _, info in page]
        below = page[-1][0]
    assert paged == [info.id for _, info in whole] == [row.job.id for row in world.jobs("edges")]
    assert catalog.read(lambda tx: jobs.set_page(tx, ["elsewhere"])) == []
