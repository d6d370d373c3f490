"""The checks of jobs find what is wrong: each is shown one thing that must not be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pps_world import World, copy, glob

from trunkline.catalog.work import checks
from trunkline.model.jobs import JobState
from trunkline.pfs import fsck
from trunkline.pps import jobs


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[World]:
    """A job that runs and one that has ended, and no check when it is closed."""
    made = World(tmp_path)
    made.repo()
    made.put({"/a": b"1"})
    made.pipeline("edges", copy, glob("/*"))
    made.pump()
    made.put({f"/{n}": b"%d" % n for n in range(4)})
    made.pump(work=False)
    made.worker.work(1)
    assert not found(made)
    assert not list(fsck.violations(made.files))
    yield made
    made.files.store.close()
    made.files.catalog.close()


def found(world: World) -> list[str]:
    """What the checks say."""
    return world.files.catalog.read(lambda tx: list(checks.violations(tx)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE claims SET done = done - 1", "in two ranges"),
        ("UPDATE jobs SET processed = processed + 1 WHERE phase = 'running'", "datums but counts"),
        ("DELETE FROM claims", "its claims hold 0"),
        ("UPDATE jobs SET phase = 'assembling' WHERE phase = 'running'", "nothing asks for that"),
        ("UPDATE jobs SET phase = 'waiting', base = NULL WHERE phase = 'running'", "nothing to wait for"),
        ("UPDATE jobs SET phase = 'finishing' WHERE phase = 'running'", "nothing asks to close its commit"),
        ("UPDATE jobs SET phase = 'ended' WHERE phase = 'running'", "still has claims"),
        ("UPDATE jobs SET base = 99 WHERE phase = 'running'", "which is not older"),
        ("UPDATE jobs SET state = 'FAILURE' WHERE phase = 'ended'", "ended as FAILURE"),
        ("UPDATE pipelines SET version = 7", "no current version"),
        ("UPDATE jobs SET state = 'SUCCESS' WHERE phase = 'running'", "is SUCCESS in phase running, with no instant"),
        ("UPDATE jobs SET state = 'RUNNING' WHERE phase = 'ended'", "is RUNNING in phase ended, with an instant"),
    ],
)
def test_what_is_wrong_is_named(broken: World, change: str, words: str) -> None:
    broken.files.catalog.transact(lambda tx: tx.execute(change))
    assert [line for line in found(broken) if words in line]
    assert [line for line in fsck.violations(broken.files) if words in line]


def test_a_job_that_was_stopped_while_its_commits_are_open_is_sound(broken: World) -> None:
    job = broken.last("edges").job
    broken.files.catalog.transact(lambda tx: jobs.stop_job(tx, job))
    assert broken.last("edges").state is JobState.KILLED
    assert not found(broken)
    broken.pump()
    assert not found(broken)
