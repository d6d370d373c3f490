"""What the pipeline system says about its objects: plain records, as the doors show them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from trunkline.ambient import Micros
from trunkline.model.jobs import DatumState, JobState, PipelineState
from trunkline.model.names import Commit, Job, Pipeline


@dataclass(frozen=True, slots=True)
class ProcessStats:
    """Times and sizes, of one datum or summed over those that a job ran.

    cpu_us: of all processes its code started; memory_bytes: the most that one of them held (over a job: the largest).
    """

    download_us: Micros = 0
    process_us: Micros = 0
    upload_us: Micros = 0
    download_bytes: int = 0
    upload_bytes: int = 0
    cpu_us: Micros = 0
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class PipelineInfo:
    """One version of a pipeline. Specs are JSON texts, as a person wrote it and with all defaults.

    kind: TRANSFORM, SPOUT or SERVICE. parallelism: 0 for no bound. workers_available: those that have work of it now.
    runner: host, image or container; runner_note says in a sentence where its code runs. seq: rises with creation.
    gpus, gpu_type: devices that each of its workers holds, where these are processes.
    up_us: since when it has had jobs without a break; maximum_uptime_us: how long its spec expects that, 0 for ever.
    """

    pipeline: Pipeline
    version: int
    spec_commit: Commit
    stopped: bool
    state: PipelineState
    reason: str
    last_job_state: JobState | None
    parallelism: int
    kind: str
    user_spec: str
    effective_spec: str
    salt: str
    output_branch: str
    created_us: Micros
    updated_us: Micros
    created_by: str
    recent_error: str
    workers_requested: int
    workers_available: int
    unclaimed_datums: int
    runner: str
    runner_note: str
    image_digest: str
    seq: int
    up_us: Micros | None = None
    maximum_uptime_us: Micros = 0
    metadata: dict[str, str] = field(default_factory=dict)
    gpus: int = 0
    gpu_type: str = ""


@dataclass(frozen=True, slots=True)
class InputCommit:
    """The commit that one input of a job reads."""

    name: str
    commit: Commit


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """What a worker does now. datum: the id of the one in progress, "" for none; paths: what that consists of.

    row: its position in the job's order of running, None for none.
    """

    worker: str
    job: Job
    datum: str
    started_us: Micros | None
    paths: tuple[str, ...] = ()
    row: int | None = None


@dataclass(frozen=True, slots=True)
class JobInfo:
    """A job. `data_skipped` counts datums whose output another job had made. seq: rises with creation."""

    job: Job
    version: int
    output_commit: Commit
    restart: int
    data_processed: int
    data_skipped: int
    data_failed: int
    data_recovered: int
    data_total: int
    stats: ProcessStats
    state: JobState
    reason: str
    created_us: Micros
    started_us: Micros | None
    finished_us: Micros | None
    seq: int
    salt: str = ""
    effective_spec: str = ""
    inputs: tuple[InputCommit, ...] = ()
    workers: tuple[WorkerStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class JobSetInfo:
    """All jobs of one id, in order of creation."""

    id: str
    jobs: tuple[JobInfo, ...]


@dataclass(frozen=True, slots=True)
class DatumFile:
    """A file or folder that a datum reads, as the job saw it. committed_us: when the input commit was finished."""

    input: str
    commit: Commit
    path: str
    size_bytes: int
    hash: bytes
    committed_us: Micros | None = None


@dataclass(frozen=True, slots=True)
class DatumInfo:
    """A datum of a job. index: its place in the order of running. reason: why it failed, was skipped, or ran.

    image: the id of the image it ran in. code_is_older: its output was made by other code than the job's version names.
    """

    job: Job
    id: str
    index: int
    state: DatumState
    stats: ProcessStats = ProcessStats()
    files: tuple[DatumFile, ...] = ()
    reason: str = ""
    image: str = ""
    tries: int = 0
    code_is_older: bool = False
    ran_in: Job | None = None


InputFile: TypeAlias = tuple[str, bytes]
"""Path and hash of a file that a datum is made of."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a log. user: the code printed it; master: the system says it about the pipeline.

    inputs: the files, the first of them at least, of the datum that the line is about.
    """

    pipeline: Pipeline
    at_us: Micros
    message: str
    job: str = ""
    worker: str = ""
    datum: str = ""
    user: bool = False
    master: bool = False
    inputs: tuple[InputFile, ...] = ()
