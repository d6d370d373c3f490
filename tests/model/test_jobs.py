"""State tables: every state is reached, every move is made by some walk, nothing leaves an end."""

from __future__ import annotations

from enum import Enum

import pytest

from trunkline.errors import Internal
from trunkline.model.infos import CommitState
from trunkline.model.jobs import (
    COMMITS,
    DATUMS,
    JOBS,
    MACHINES,
    PIPELINES,
    DatumState,
    JobState,
    Machine,
    PipelineState,
    next_commit_state,
    next_datum_state,
    next_job_state,
    next_pipeline_state,
)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.noun)
def test_every_state_and_every_move_can_be_reached(machine: Machine[Enum]) -> None:
    assert machine.reachable() == set(type(machine.first))
    for start, end in machine.moves:
        assert start in machine.reachable()
        assert machine.move(start, end) is end


@pytest.mark.parametrize(
    ("machine", "ends"),
    [
        (JOBS, {JobState.SUCCESS, JobState.FAILURE, JobState.KILLED, JobState.UNRUNNABLE}),
        (DATUMS, {DatumState.SUCCESS, DatumState.SKIPPED, DatumState.FAILED, DatumState.RECOVERED}),
        (PIPELINES, set()),
        (COMMITS, {CommitState.FINISHED}),
    ],
)
def test_ends_are_ends(machine: Machine[Enum], ends: set[Enum]) -> None:
    assert machine.terminal == ends
    for end in ends:
        for state in type(machine.first):
            with pytest.raises(Internal):
                machine.move(end, state)


def test_every_open_job_can_be_killed_and_every_pipeline_stopped() -> None:
    for job in JobState:
        assert job.terminal or next_job_state(job, JobState.KILLED) is JobState.KILLED
    for pipeline in PipelineState:
        if pipeline not in (PipelineState.PAUSED, PipelineState.STARTING):  # that one ends with its transaction
            assert next_pipeline_state(pipeline, PipelineState.PAUSED) is PipelineState.PAUSED


def test_a_move_that_is_not_in_the_table_is_a_bug() -> None:
    with pytest.raises(Internal, match="a job cannot go from SUCCESS to RUNNING"):
        next_job_state(JobState.SUCCESS, JobState.RUNNING)
    with pytest.raises(Internal, match="a datum cannot go from SKIPPED to STARTING"):
        next_datum_state(DatumState.SKIPPED, DatumState.STARTING)
    with pytest.raises(Internal, match="a commit cannot go from STARTED to FINISHED"):
        next_commit_state(CommitState.STARTED, CommitState.FINISHED)
    assert DatumState.FAILED.terminal
    assert not DatumState.STARTING.terminal


def test_a_diagram_shows_the_table() -> None:
    assert COMMITS.diagram() == (
        "stateDiagram-v2\n"
        "    [*] --> STARTED\n"
        "    STARTED --> READY: all its provenance is finished\n"
        "    STARTED --> FINISHING: its job was stopped before that; finished with an error\n"
        "    READY --> FINISHING: finish was asked for; no more writes\n"
        "    FINISHING --> FINISHED: content is validated and fixed, with an error or without\n"
        "    FINISHED --> [*]\n"
    )
