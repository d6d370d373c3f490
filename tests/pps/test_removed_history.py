"""Commits taken out of history under a pipeline: jobs go with them, and what comes next is still right."""

from __future__ import annotations

from pathlib import Path

import pytest
from pps_world import Inputs, World, glob

from trunkline.catalog.collection import filesets
from trunkline.catalog.engine import Tx
from trunkline.catalog.work import jobs as job_rows
from trunkline.errors import FailedPrecondition, NotFound
from trunkline.model.names import Job, Pipeline, Repo
from trunkline.pfs.graph import commits, removal
from trunkline.pps import jobs
from trunkline.pps.datums import zombies
from trunkline.pps.machine import TABLE_HOLDER

OUT = Repo("default", "copy")


def code(inputs: Inputs) -> dict[str, bytes]:
    """A copy."""
    return dict(inputs["data"])


@pytest.fixture
def world(tmp_path: Path):
    """A pipeline that copies each file, with two jobs done."""
    made = World(tmp_path, rehearse=True)
    made.repo()
    made.pipeline("copy", code, glob("/*"))
    made.pump()
    yield made
    made.close()


def put(world: World, **files: bytes) -> str:
    """A commit, with the work that follows from it done."""
    commit = world.put({f"/{name}": data for name, data in files.items()})
    world.pump()
    return commit


def drop(world: World, set_id: str) -> None:
    """Remove a set with its data."""
    world.files.change(lambda change: removal.drop_set(change, set_id))


def squash(world: World, set_id: str) -> None:
    """Remove a set, not its data."""
    world.files.change(lambda change: removal.squash_set(change, set_id))


def test_the_next_job_builds_on_what_is_left(world: World) -> None:
    put(world, a=b"1", b=b"1")
    gone = put(world, b=b"2", c=b"2")
    drop(world, gone)
    world.check()
    with pytest.raises(NotFound):
        world.files.catalog.read(lambda tx: jobs.inspect_job(tx, Job(Pipeline("default", "copy"), gone)))
    assert world.content("copy") == {"/a": b"1", "/b": b"1"}
    put(world, d=b"3")
    assert world.content("copy") == {"/a": b"1", "/b": b"1", "/d": b"3"}
    assert world.counts("copy") == "SUCCESS 1+2/3"


def test_a_squashed_set_takes_its_job_and_changes_no_output(world: World) -> None:
    put(world, a=b"1", b=b"1")
    gone = put(world, b=b"2", c=b"2")
    put(world, d=b"3")
    squash(world, gone)
    world.check()
    assert gone not in {job.job.id for job in world.jobs("copy")}
    assert world.content("copy") == {"/a": b"1", "/b": b"2", "/c": b"2", "/d": b"3"}
    put(world, a=b"4")
    assert world.content("copy") == {"/a": b"4", "/b": b"2", "/c": b"2", "/d": b"3"}
    assert world.counts("copy") == "SUCCESS 1+3/4"


def test_a_job_under_way_is_stopped_and_removed(world: World) -> None:
    put(world, a=b"1")
    gone = world.put({"/b": b"2"})
    world.pump(work=False)
    assert world.last("copy").state.value == "RUNNING"
    drop(world, gone)
    world.pump()
    assert [job.state.value for job in world.jobs("copy")] == ["SUCCESS", "SUCCESS"]
    assert world.content("copy") == {"/a": b"1"}


def test_a_dropped_output_alone_is_made_again(world: World) -> None:
    made = put(world, a=b"1")
    world.files.change(lambda change: removal.drop_commit(change, OUT, "master"))
    world.pump()
    assert world.last("copy").job.id != made
    assert world.content("copy") == {"/a": b"1"}
    head = world.files.catalog.read(lambda tx: commits.inspect_commit(tx, Repo("default", "copy", "meta"), "master"))
    assert head.commit.id == world.last("copy").job.id, "the meta commit is one with the output"


def test_nothing_is_built_on_a_forgotten_output(world: World) -> None:
    first = put(world, a=b"1", b=b"1")
    put(world, c=b"2")
    world.files.change(lambda change: removal.forget_commit(change, OUT, first))
    world.files.change(lambda change: removal.drop_commit(change, OUT, "master"))
    world.pump()
    assert world.content("copy") == {"/a": b"1", "/b": b"1", "/c": b"2"}
    assert world.counts("copy") == "SUCCESS 3+0/3", "there was nothing to skip from"
    assert world.files.catalog.read(lambda tx: commits.inspect_commit(tx, OUT, first)).size_bytes == 2


def test_what_a_running_job_may_build_on_is_not_taken_from_it(world: World) -> None:
    first = put(world, a=b"1")
    world.put({"/b": b"2"})
    world.pump(work=False)
    with pytest.raises(FailedPrecondition, match="not finished yet"):
        squash(world, first)
    with pytest.raises(FailedPrecondition, match="not finished yet"):
        world.files.change(lambda change: removal.forget_commit(change, OUT, first))
    world.pump()


def test_a_version_of_a_pipeline_is_not_taken_away(world: World) -> None:
    spec = world.files.catalog.read(lambda tx: commits.inspect_commit(tx, Repo("default", "copy", "spec"), "master"))
    for verb in (drop, squash):
        with pytest.raises(FailedPrecondition, match="version of the pipeline"):
            verb(world, spec.commit.id)


def test_a_file_of_a_datum_that_is_gone_is_found(world: World) -> None:
    put(world, a=b"1", b=b"1")
    assert list(zombies.everywhere(world.pps)) == []
    assert list(zombies.in_commit(world.pps, OUT, "master")) == []
    with pytest.raises(FailedPrecondition, match="not the output of a job"):
        list(zombies.in_commit(world.pps, Repo("default", "data"), "master"))
    old = world.row(world.jobs("copy")[1].job)

    seq = world.row(world.last("copy").job).seq

    def mix_up(tx: Tx) -> None:
        job_rows.set_table(tx, seq, 1, old.datums or (), ())
        for one in old.datums or ():
            filesets.share(tx, one, TABLE_HOLDER, str(seq))

    world.files.catalog.transact(mix_up)
    found = list(zombies.everywhere(world.pps))
    assert [line.split()[:2] for line in found] == [["I-9:", "/a"], ["I-9:", "/b"]]
    assert found == list(zombies.in_commit(world.pps, OUT, "master"))
