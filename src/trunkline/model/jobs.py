"""States of jobs, datums, pipelines and commits, and the moves between them. What is not in a table cannot happen.

Each table maps (from, to) to when the move is made. `diagram` draws a table; the pictures in the docs come from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from trunkline.errors import Internal
from trunkline.model.infos import CommitState


class JobState(Enum):
    """How far a job is."""

    CREATED = "CREATED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    EGRESSING = "EGRESSING"
    FINISHING = "FINISHING"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    KILLED = "KILLED"
    UNRUNNABLE = "UNRUNNABLE"

    @property
    def terminal(self) -> bool:
        """Whether nothing follows."""
        return self in JOBS.terminal


class DatumState(Enum):
    """What became of a datum in a job."""

    UNKNOWN = "UNKNOWN"
    STARTING = "STARTING"
    SUCCESS = "SUCCESS"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"
    RECOVERED = "RECOVERED"

    @property
    def terminal(self) -> bool:
        """Whether nothing follows."""
        return self in DATUMS.terminal


class PipelineState(Enum):
    """Whether a pipeline can work, and does."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    RESTARTING = "RESTARTING"
    FAILURE = "FAILURE"
    PAUSED = "PAUSED"
    STANDBY = "STANDBY"
    CRASHING = "CRASHING"


S = TypeVar("S", bound=Enum)


@dataclass(frozen=True)
class Machine(Generic[S]):
    """One table of moves. noun: what is in these states; first: where it starts."""

    noun: str
    first: S
    moves: Mapping[tuple[S, S], str]

    @property
    def states(self) -> tuple[S, ...]:
        """All there are, in the order of their definition."""
        kind: type[S] = type(self.first)
        return tuple(kind.__members__.values())

    @property
    def terminal(self) -> frozenset[S]:
        """States that nothing follows."""
        return frozenset(self.states) - {start for start, _ in self.moves}

    def move(self, now: S, wanted: S) -> S:
        """`wanted`, if it may follow `now`. Raises Internal otherwise: a bug of the caller's."""
        if (now, wanted) not in self.moves:
            raise Internal(f"a {self.noun} cannot go from {now.value} to {wanted.value}")
        return wanted

    def reachable(self) -> set[S]:
        """Every state that some moves lead to from the first."""
        found = {self.first}
        while more := {end for start, end in self.moves if start in found} - found:
            found |= more
        return found

    def diagram(self) -> str:
        """The table as a Mermaid state diagram."""
        lines = ["stateDiagram-v2", f"    [*] --> {self.first.value}"]
        lines += [f"    {start.value} --> {end.value}: {why}" for (start, end), why in self.moves.items()]
        lines += [f"    {state.value} --> [*]" for state in self.states if state in self.terminal]
        return "\n".join(lines) + "\n"


JOBS = Machine(
    "job",
    JobState.CREATED,
    {
        (JobState.CREATED, JobState.STARTING): "the controller has seen it",
        (JobState.CREATED, JobState.KILLED): "stopped, or its commit is gone",
        (JobState.STARTING, JobState.RUNNING): "inputs are finished and datums are planned",
        (JobState.STARTING, JobState.UNRUNNABLE): "an input has an error",
        (JobState.STARTING, JobState.FINISHING): "datums cannot be planned, or it is told to fail",
        (JobState.STARTING, JobState.KILLED): "stopped, out of time, or its commit is gone",
        (JobState.RUNNING, JobState.EGRESSING): "output is assembled and has somewhere to go",
        (JobState.RUNNING, JobState.FINISHING): "output is assembled, a datum failed, or it is told to fail",
        (JobState.RUNNING, JobState.KILLED): "stopped, out of time, or its commit is gone",
        (JobState.EGRESSING, JobState.FINISHING): "output has arrived outside, or it is told to fail",
        (JobState.EGRESSING, JobState.KILLED): "stopped, out of time, or its commit is gone",
        (JobState.FINISHING, JobState.SUCCESS): "commits are finished without error",
        (JobState.FINISHING, JobState.FAILURE): "commits are finished with an error",
        (JobState.FINISHING, JobState.KILLED): "its commit is gone",
    },
)

DATUMS = Machine(
    "datum",
    DatumState.UNKNOWN,
    {
        (DatumState.UNKNOWN, DatumState.STARTING): "a worker takes it",
        (DatumState.UNKNOWN, DatumState.SKIPPED): "an earlier job has its result",
        (DatumState.STARTING, DatumState.UNKNOWN): "the worker is lost",
        (DatumState.STARTING, DatumState.SUCCESS): "the code ended well",
        (DatumState.STARTING, DatumState.RECOVERED): "the code failed, err_cmd did not",
        (DatumState.STARTING, DatumState.FAILED): "every attempt failed",
    },
)

PIPELINES = Machine(
    "pipeline",
    PipelineState.STARTING,
    {
        (PipelineState.STARTING, PipelineState.RUNNING): "its repos and branches are there",
        (PipelineState.RUNNING, PipelineState.STANDBY): "autoscaling and idle",
        (PipelineState.RUNNING, PipelineState.CRASHING): "workers cannot start",
        (PipelineState.RUNNING, PipelineState.RESTARTING): "an error of ours, to be tried again",
        (PipelineState.RUNNING, PipelineState.FAILURE): "an input branch is gone",
        (PipelineState.RUNNING, PipelineState.PAUSED): "stopped",
        (PipelineState.STANDBY, PipelineState.RUNNING): "a commit to process, or updated",
        (PipelineState.STANDBY, PipelineState.FAILURE): "an input branch is gone",
        (PipelineState.STANDBY, PipelineState.PAUSED): "stopped",
        (PipelineState.CRASHING, PipelineState.RUNNING): "all workers are up, or updated",
        (PipelineState.CRASHING, PipelineState.FAILURE): "an input branch is gone",
        (PipelineState.CRASHING, PipelineState.PAUSED): "stopped",
        (PipelineState.RESTARTING, PipelineState.RUNNING): "a try went well, or the job was given up",
        (PipelineState.RESTARTING, PipelineState.FAILURE): "an input branch is gone",
        (PipelineState.RESTARTING, PipelineState.PAUSED): "stopped",
        (PipelineState.PAUSED, PipelineState.STARTING): "started again",
        (PipelineState.FAILURE, PipelineState.RUNNING): "updated",
        (PipelineState.FAILURE, PipelineState.PAUSED): "stopped",
    },
)

COMMITS = Machine(
    "commit",
    CommitState.STARTED,
    {
        (CommitState.STARTED, CommitState.READY): "all its provenance is finished",
        (CommitState.STARTED, CommitState.FINISHING): "its job was stopped before that; finished with an error",
        (CommitState.READY, CommitState.FINISHING): "finish was asked for; no more writes",
        (CommitState.FINISHING, CommitState.FINISHED): "content is validated and fixed, with an error or without",
    },
)

MACHINES: tuple[Machine[JobState] | Machine[DatumState] | Machine[PipelineState] | Machine[CommitState], ...] = (
    JOBS,
    DATUMS,
    PIPELINES,
    COMMITS,
)


def next_job_state(now: JobState, wanted: JobState) -> JobState:
    """`wanted`, if a job may go there from `now`. Raises Internal."""
    return JOBS.move(now, wanted)


def next_datum_state(now: DatumState, wanted: DatumState) -> DatumState:
    """`wanted`, if a datum may go there from `now`. Raises Internal."""
    return DATUMS.move(now, wanted)


def next_pipeline_state(now: PipelineState, wanted: PipelineState) -> PipelineState:
    """`wanted`, if a pipeline may go there from `now`. Raises Internal."""
    return PIPELINES.move(now, wanted)


def next_commit_state(now: CommitState, wanted: CommitState) -> CommitState:
    """`wanted`, if a commit may go there from `now`. Raises Internal."""
    return COMMITS.move(now, wanted)
