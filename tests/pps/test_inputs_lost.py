"""Jobs whose inputs have an error, are still open, or are gone: none waits in vain, or for what it does not read."""

from __future__ import annotations

import re

import pytest
from pps_world import DATA, World, copy, cross, glob

from trunkline.catalog import outbox
from trunkline.errors import Aborted
from trunkline.model.jobs import JobState
from trunkline.model.names import MASTER, Branch
from trunkline.pfs.graph import branches, commits, repos
from trunkline.pps import controller
from trunkline.pps.events import Work
from trunkline.pps.planning import make_plan


def begin(world: World, repo: str = "data") -> str:
    """An open commit on a repo's master; its id."""
    branch = world.branch(repo)
    return world.files.change(lambda change: commits.start_commit(change, branch)).id


def end(world: World, repo: str = "data", error: str = "") -> None:
    """Close the open commit."""
    world.files.catalog.transact(lambda tx: commits.finish_commit(tx, world.branch(repo).repo, MASTER, error=error))


def test_one_error_behind_many_inputs_is_named_once(world: World) -> None:
    """A chain of diamonds: the number of ways to the error doubles with each."""
    above = "data"
    for level in range(6):
        for side in "lr":
            world.pipeline(f"{side}{level}", copy, glob("/*", above))
        world.pipeline(f"m{level}", copy, cross(glob("/*", f"l{level}"), glob("/", f"r{level}")))
        above = f"m{level}"
    world.pump()
    commit = begin(world)
    end(world, error="bad data")
    world.pump()
    assert world.last("m5").state is JobState.UNRUNNABLE
    assert world.last("m5").reason == f"unrunnable because the input commit data@{commit} has an error (bad data)"


def test_a_job_is_not_finished_later_because_one_that_it_does_not_build_on_waits(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    first = world.files.catalog.read(lambda tx: commits.inspect_commit(tx, DATA, "master")).commit.id
    begin(world)
    world.pump()

    def back(change):
        branches.create_branch(change, Branch(DATA, "master"), head=(DATA, first))

    world.files.change(back)
    world.pump()
    assert world.counts("edges") == "SUCCESS 0+1/1"
    assert world.jobs("edges")[1].state is JobState.STARTING


@pytest.mark.parametrize("waiting", [True, False])
def test_a_job_whose_input_is_deleted_ends_and_says_so(world: World, waiting: bool) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"))
    world.pipeline("down", copy, glob("/*", "edges"))
    world.pump(work=False)
    if waiting:
        world.pump()
        begin(world)
        world.pump()
    seen = world.files.catalog.read(outbox.newest)
    world.files.change(lambda change: repos.delete_repo(change, DATA, force=True))
    assert world.files.catalog.read(outbox.newest) > seen  # who waits for a commit of it looks again
    world.pump()
    assert world.last("edges").state is JobState.KILLED
    assert re.fullmatch(r"its input commit data@[0-9a-f]{32} was deleted", world.last("edges").reason)
    assert world.last("down").state is JobState.UNRUNNABLE


def test_an_input_deleted_while_its_job_is_being_planned_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []

    def late(files, tables, do):
        world.files.change(lambda change: repos.delete_repo(change, DATA, force=True))
        try:
            make_plan(files, tables, do)
        except Aborted as error:
            refused.append(str(error))
            raise

    monkeypatch.setitem(controller.WORK, Work.PLAN, late)
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump(work=False)
    assert [said.endswith("lost the commit of its input default/data: it was deleted") for said in refused] == [True]
    assert world.last("edges").state is JobState.KILLED
