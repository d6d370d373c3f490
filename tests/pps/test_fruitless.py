"""What the output of a job shows that wrote nothing: what was there before it, and so does all that follows."""

from __future__ import annotations

import pytest
from pps_world import Failed, World, copy, glob

from trunkline.catalog import commits as commit_rows
from trunkline.model.jobs import JobState
from trunkline.model.names import Job, Pipeline
from trunkline.pfs.finisher import last_good
from trunkline.pps import jobs, pipelines

OLD = {"/a": b"1"}


def bad(inputs: object) -> dict[str, bytes]:
    raise Failed("always")


def delete(world: World, name: str) -> None:
    """Delete a pipeline, and keep what it made."""
    world.files.change(lambda change: pipelines.delete_pipeline(change, Pipeline("default", name), keep_repo=True))


def test_output_of_a_pipeline_deleted_in_mid_job_is_kept(world: World) -> None:
    world.put(OLD)
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    for path in ("/b", "/c"):
        world.put({path: b"2"})
    world.controller.step()
    delete(world, "edges")
    world.pump()
    assert world.content("edges") == OLD
    world.put({"/own": b"x"}, "edges")
    assert world.content("edges") == {**OLD, "/own": b"x"}


def test_output_of_an_unrunnable_job_is_that_before_it(world: World) -> None:
    world.put(OLD)
    world.pipeline("up", copy, glob("/*"))
    world.pipeline("down", copy, glob("/*", "up"))
    world.pump()
    world.code["up"] = bad
    for path in ("/b", "/c"):
        world.put({path: b"2"})
        world.pump()
        assert world.last("down").state is JobState.UNRUNNABLE
        assert world.content("down") == OLD
    world.code["up"] = copy
    world.put({"/a": None})
    world.pump()
    assert world.content("down") == {"/b": b"2", "/c": b"2"}


@pytest.mark.parametrize("state", [JobState.KILLED, JobState.FAILURE])
def test_what_failed_afresh_leaves_the_old_output_for_what_follows(world: World, state: JobState) -> None:
    """A job under a new salt stands on no other; nothing that comes after it loses what was there."""
    world.put(OLD)
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    world.pipeline("edges", bad, glob("/*"), update=True, reprocess=True)
    world.pump(work=state is JobState.FAILURE)
    job = world.last("edges").job
    if state is JobState.KILLED:
        world.files.catalog.transact(lambda tx: jobs.stop_job(tx, job))
        world.pump()
    assert world.last("edges").state is state
    assert world.content("edges") == OLD
    delete(world, "edges")
    world.put({"/own": b"x"}, "edges")
    assert world.content("edges") == {**OLD, "/own": b"x"}


def test_part_of_an_output_made_afresh_is_all_that_is_read_of_it(world: World) -> None:
    world.put({"/a": b"1", "/b": b"2"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump()

    def half(inputs: object) -> dict[str, bytes]:
        made = copy(inputs)  # type: ignore[arg-type]
        if "/a" in made:
            raise Failed("this one")
        return {path: data + b"!" for path, data in made.items()}

    world.pipeline("edges", half, glob("/*"), update=True, reprocess=True)
    world.pump()
    assert world.content("edges") == {"/b": b"2!"}
    delete(world, "edges")
    world.put({"/own": b"x"}, "edges")
    assert world.content("edges") == {"/a": b"1", "/b": b"2", "/own": b"x"}


def test_a_long_row_of_errors_is_passed_in_one_step(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put(OLD)
    world.pipeline("up", bad, glob("/*"))
    world.pipeline("down", copy, glob("/*", "up"))
    world.pump()
    for number in range(4):
        world.put({f"/{number}": b"2"})
        world.pump()
    read = []
    real = commit_rows.get_commit
    head = Job(Pipeline("default", "down"), world.last("down").job.id)
    seq = world.row(head).output_commit

    def counted(tx: object, at: int) -> object:
        read.append(at)
        return real(tx, at)  # type: ignore[arg-type]

    monkeypatch.setattr(commit_rows, "get_commit", counted)
    world.files.catalog.read(lambda tx: last_good(tx, seq))
    assert len(read) == 1
