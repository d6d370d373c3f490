"""Pipelines and jobs as people see them: inspected, listed, stopped, deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trunkline.catalog import commits as commit_rows
from trunkline.catalog.commits import CommitRow
from trunkline.catalog.engine import Tx
from trunkline.catalog.work import claims as claim_rows
from trunkline.catalog.work import jobs as job_rows
from trunkline.catalog.work import pipelines as pipeline_rows
from trunkline.catalog.work.jobs import JobRow
from trunkline.catalog.work.pipelines import PipelineRow, VersionRow
from trunkline.errors import FailedPrecondition, InvalidArgument, NotFound
from trunkline.model.infos_pps import (
    InputCommit,
    JobInfo,
    JobSetInfo,
    PipelineInfo,
    ProcessStats,
    WorkerStatus,
)
from trunkline.model.jobs import JobState, PipelineState
from trunkline.model.names import Commit, Job, Pipeline, is_id
from trunkline.model.specs import Leaf, PipelineSpec
from trunkline.pfs import outputs
from trunkline.pps import machine
from trunkline.pps.machine import need_job
from trunkline.pps.pipelines import need_pipeline, spec_commit_of
from trunkline.pps.specs.devices import devices_of
from trunkline.pps.states.condition import condition

ALL_HISTORY = -1


def inspect_pipeline(tx: Tx, pipeline: Pipeline, *, back: int = 0) -> PipelineInfo:
    """A pipeline as it is now, or as it was `back` versions ago. Raises NotFound."""
    known = need_pipeline(tx, pipeline)
    version = pipeline_rows.get_version(tx, known.key, known.version - back)
    if version is None:
        count = f"{known.version} version{'s' * (known.version > 1)}"
        raise NotFound(f"pipeline {pipeline} has {count}: there is none {back} before the last")
    return _pipeline_info(tx, known, version)


def list_pipelines(
    tx: Tx, projects: Sequence[str] = (), *, pipeline: Pipeline | None = None, history: int = 0, commit_set: str = ""
) -> list[PipelineInfo]:
    """Pipelines of some projects (none: all), newest first. history: how many older versions to add, -1: all.

    commit_set: only those with a job in it, in the version that the job is of.
    """
    _check_history(history)
    rows = [need_pipeline(tx, pipeline)] if pipeline else pipeline_rows.list_pipelines(tx, projects)
    if commit_set:
        members = {job.pipeline: job.version for job in job_rows.jobs_of_set(tx, commit_set)}
        pairs = [(row, pipeline_rows.get_version(tx, row.key, members[row.key])) for row in rows if row.key in members]
        return [_pipeline_info(tx, row, version) for row, version in pairs if version is not None]
    infos = []
    for row in rows:
        oldest = 1 if history == ALL_HISTORY else max(1, row.version - history)
        versions = pipeline_rows.list_versions(tx, row.key, oldest)
        infos += [_pipeline_info(tx, row, version) for version in versions]
    return infos


def _check_history(history: int) -> None:
    if history < ALL_HISTORY:
        raise InvalidArgument(f"history must be -1 (all), 0 (none) or a number of versions, not {history}")


def _pipeline_info(tx: Tx, row: PipelineRow, version: VersionRow) -> PipelineInfo:
    spec = PipelineSpec.from_json(version.effective_spec)
    last = job_rows.last_job(tx, row.key)
    failed = job_rows.list_jobs(tx, pipeline=row.key, states=[JobState.FAILURE.value], limit=1)
    claims = [claim for claim in claim_rows.all_claims(tx) if claim.pipeline == row.key]
    workers = {claim.worker for claim in claims if claim.worker}
    state, reason = condition(tx, row)
    return PipelineInfo(
        pipeline=row.pipeline,
        version=version.version,
        spec_commit=spec_commit_of(row, version),
        stopped=row.stopped,
        state=state,
        reason=reason,
        last_job_state=JobState(last.state) if last else None,
        parallelism=spec.parallelism or 0,
        kind="SPOUT" if spec.spout else "SERVICE" if spec.service else "TRANSFORM",
        user_spec=version.user_spec,
        effective_spec=version.effective_spec,
        salt=version.salt,
        output_branch=spec.output_branch,
        created_us=row.created_us,
        updated_us=version.created_us,
        created_by=version.created_by,
        recent_error=str(failed[0].core["reason"]) if failed else "",
        workers_requested=0 if state is PipelineState.STANDBY else spec.parallelism or 1,
        workers_available=len(workers),
        unclaimed_datums=sum(claim.left for claim in claims if claim.worker is None),
        runner=version.runner,
        runner_note=version.runner_note,
        image_digest=version.image_digest,
        seq=row.key,
        up_us=row.up_us,
        gpus=devices_of(spec, version.runner),
        gpu_type=spec.resource_limits.gpu.type if spec.resource_limits and spec.resource_limits.gpu else "",
        maximum_uptime_us=spec.maximum_expected_uptime_us,
        metadata=row.metadata,
    )


def inspect_job(tx: Tx, job: Job, *, details: bool = True) -> JobInfo:
    """One job. Raises NotFound, InvalidArgument."""
    if not is_id(job.id):
        raise InvalidArgument(f'"{job.id}" is not the id of a job: 32 hex digits are expected')
    return infos(tx, [need_job(tx, job)], details=details)[0]


def infos(tx: Tx, rows: Sequence[JobRow], *, details: bool = False) -> list[JobInfo]:
    """What doors show of some jobs, in the same order. details: with spec, inputs and workers."""
    known = _Details.of(tx, rows) if details else None
    return [_job_info(tx, row, known) for row in rows]


@dataclass(frozen=True, slots=True)
class _Details:
    """What is shown of jobs in full, looked up once for all of them: a page of jobs is of few versions."""

    versions: dict[tuple[int, int], VersionRow]
    leaves: dict[tuple[int, int], tuple[Leaf, ...]]
    inputs: dict[int, list[CommitRow]]

    @classmethod
    def of(cls, tx: Tx, rows: Sequence[JobRow]) -> _Details:
        found = {
            key: pipeline_rows.get_version(tx, *key)
            for key in dict.fromkeys((row.pipeline, row.version) for row in rows)
        }
        versions = {key: version for key, version in found.items() if version is not None}
        leaves = {key: PipelineSpec.from_json(version.effective_spec).leaves for key, version in versions.items()}
        return cls(versions, leaves, outputs.inputs_of_all(tx, [row.output_commit for row in rows]))

    def inputs_of(self, row: JobRow) -> tuple[InputCommit, ...]:
        commits = {commit.commit.repo: commit.commit for commit in self.inputs[row.output_commit]}
        leaves = self.leaves.get((row.pipeline, row.version), ())
        return tuple(InputCommit(leaf.name, commits[leaf.source]) for leaf in leaves if leaf.source in commits)


def _job_info(tx: Tx, row: JobRow, known: _Details | None) -> JobInfo:
    core = row.core
    version = known.versions.get((row.pipeline, row.version)) if known else None
    return JobInfo(
        job=row.job,
        version=row.version,
        output_commit=Commit(row.job.pipeline.output, row.job.id),
        restart=core["restart"],
        data_processed=core["processed"],
        data_skipped=core["skipped"],
        data_failed=core["failed"],
        data_recovered=core["recovered"],
        data_total=core["total"],
        stats=ProcessStats(**row.stats),
        state=JobState(core["state"]),
        reason=_reason(tx, row),
        created_us=row.created_us,
        started_us=row.started_us,
        finished_us=row.finished_us,
        seq=row.seq,
        salt=row.salt,
        effective_spec=version.effective_spec if version else "",
        inputs=known.inputs_of(row) if known else (),
        workers=_workers(tx, row) if known and not row.ended else (),
    )


def _reason(tx: Tx, row: JobRow) -> str:
    """Why the job ended as it did, or what it waits for."""
    core = row.core
    if core["reason"] or row.ended:
        return str(core["reason"])
    if core["phase"] == "inputs":
        waits = [commit.commit for commit in outputs.inputs_of(tx, row.output_commit) if not commit.finished]
        named = ", ".join(f"{commit.repo.name}@{commit.id}" for commit in waits)
        return f"waits for {named} to be finished" if waits else ""
    if core["phase"] in ("base", "waiting") and core["base"] is not None:
        base = job_rows.get_job(tx, core["base"])
        return f"waits for job {base.job.pipeline.name}@{base.job.id}, on which it builds" if base else ""
    if core["phase"] == "running" and core["open"]:
        mine = claim_rows.claims_of_job(tx, row.seq)
        if mine and not any(claim.worker for claim in mine):
            return _busy(tx)
    return ""


def _busy(tx: Tx) -> str:
    """Why no worker takes a job's datums."""
    leased = [claim for claim in claim_rows.all_claims(tx) if claim.worker]
    if not leased:
        return "waits for a worker: none works now"
    names = {row.pipeline.name for row in pipeline_rows.get_pipelines(tx, {one.pipeline for one in leased}).values()}
    count = len({one.worker for one in leased})
    verb = "is" if count == 1 else "are"
    return f"waits for a worker: {count} {verb} busy with {', '.join(sorted(names))}"


def _workers(tx: Tx, row: JobRow) -> tuple[WorkerStatus, ...]:
    claims = claim_rows.claims_of_job(tx, row.seq)
    return tuple(
        WorkerStatus(claim.worker, row.job, "", claim.row_started_us or claim.leased_us, row=claim.in_hand)
        for claim in claims
        if claim.worker is not None
    )


def list_jobs(
    tx: Tx,
    *,
    projects: Sequence[str] = (),
    pipeline: Pipeline | None = None,
    inputs: Sequence[Commit] = (),
    history: int = ALL_HISTORY,
    states: Sequence[JobState] = (),
    below: int | None = None,
    above: int | None = None,
    oldest_first: bool = False,
    limit: int = 500,
    details: bool = False,
) -> list[JobInfo]:
    """A page of jobs, newest first. inputs: only jobs that read all of these commits.

    history: jobs of the pipeline's current version (0), of so many older ones too, or of all (-1). below, above: seqs,
    both exclusive. With `inputs` a page may have fewer jobs than `limit`; go on from the last seq until it is empty.
    """
    _check_history(history)
    known = need_pipeline(tx, pipeline) if pipeline else None
    version_from = known.version - history if known is not None and history >= 0 else None
    rows = job_rows.list_jobs(
        tx,
        projects=projects,
        pipeline=known.key if known else None,
        version_from=version_from,
        states=[state.value for state in states],
        below=below,
        above=above,
        oldest_first=oldest_first,
        limit=limit,
    )
    if inputs:
        wanted = set(inputs)
        sources = outputs.inputs_of_all(tx, [row.output_commit for row in rows])
        rows = [row for row in rows if wanted <= {one.commit for one in sources[row.output_commit]}]
    return infos(tx, rows, details=details)


def inspect_set(tx: Tx, job_id: str, *, details: bool = False) -> JobSetInfo:
    """All jobs of a commit set; none, if it is one without pipelines downstream. Raises NotFound, InvalidArgument."""
    if not is_id(job_id):
        raise InvalidArgument(f'"{job_id}" is not the id of a job set: 32 hex digits are expected')
    rows = job_rows.jobs_of_set(tx, job_id)
    if not rows and not commit_rows.commits_of_set(tx, job_id):
        raise NotFound(f"job set {job_id} not found")
    return JobSetInfo(job_id, tuple(infos(tx, rows, details=details)))


def set_page(
    tx: Tx, projects: Sequence[str] = (), *, below: int | None = None, limit: int = 100, details: bool = False
) -> list[tuple[int, JobSetInfo]]:
    """Job sets with a member in some projects (none: all), newest first, each with the seq to go on from."""
    found = dict(job_rows.list_sets(tx, projects, below, limit))
    members: dict[str, list[JobInfo]] = {job_id: [] for job_id in found}
    for info in infos(tx, job_rows.jobs_of_sets(tx, found), details=details):
        members[info.job.id].append(info)
    return [(newest, JobSetInfo(job_id, tuple(members[job_id]))) for job_id, newest in found.items()]


def stop_job(tx: Tx, job: Job, reason: str = "") -> None:
    """End a job; its output commit gets an error. One that has ended is left alone. Raises NotFound."""
    machine.stop(tx, need_job(tx, job), reason or "job stopped")


def set_state(tx: Tx, job: Job, state: JobState | None, reason: str = "") -> None:
    """Bring a job into a state. From outside that is an end, KILLED or FAILURE; all others it reaches by itself.

    One that is in that state is left alone. Raises NotFound, InvalidArgument (None: no state), FailedPrecondition.
    """
    row = need_job(tx, job)
    if state is None:
        raise InvalidArgument(f"which state job {job.pipeline.name}@{job.id} is to have is not said")
    if row.state == state.value:
        return
    if row.ended:
        raise FailedPrecondition(f"job {job.pipeline.name}@{job.id} has ended: it is {row.state}, and stays so")
    if state not in (JobState.KILLED, JobState.FAILURE):
        raise FailedPrecondition(
            f"job {job.pipeline.name}@{job.id} is {row.state}; it becomes {state.value} by itself or not at all: from "
            "outside a job can only be ended, as KILLED or as FAILURE"
        )
    failed = state is JobState.FAILURE
    machine.stop(tx, row, reason or ("told to fail" if failed else "job stopped"), failed=failed)


def delete_job(tx: Tx, job: Job) -> None:
    """End a job and forget it; its commits stay. What it did is not reused any more. Raises NotFound."""
    row = need_job(tx, job)
    if not row.ended:
        base = _base_commit(tx, row)
        outputs.abandon(tx, row.output_commit, row.meta_commit, base=base, error="the job was deleted")
    machine.remove(tx, row)


def _base_commit(tx: Tx, row: JobRow) -> int | None:
    base = row.core["base"]
    found = job_rows.get_job(tx, base) if base is not None else None
    good = found is not None and found.ended and found.state == JobState.SUCCESS.value
    return found.output_commit if found is not None and good else None
