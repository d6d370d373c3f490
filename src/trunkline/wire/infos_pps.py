"""What the pipeline system says about its objects, between `model.infos_pps` and protobuf."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from trunkline.model.infos_pps import (
    DatumInfo,
    JobInfo,
    JobSetInfo,
    LogLine,
    PipelineInfo,
    ProcessStats,
    WorkerStatus,
)
from trunkline.model.jobs import DatumState, JobState, PipelineState
from trunkline.model.names import META_REPO, Commit, Repo
from trunkline.wire import nouns, specs
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.times import duration, timestamp

_JOB = {state: pps.JobState.Value(f"JOB_{state.value}") for state in JobState}
_PIPELINE = {state: pps.PipelineState.Value(f"PIPELINE_{state.value}") for state in PipelineState}
_DATUM = {state: pps.DatumState.Value(state.value) for state in DatumState}


def job_state(state: JobState) -> pps.JobState.ValueType:
    """A job's state for the wire."""
    return _JOB[state]


def job_state_of(number: pps.JobState.ValueType) -> JobState | None:
    """A job's state from the wire, None if it is not set."""
    return next((ours for ours, theirs in _JOB.items() if theirs == number), None)


def datum_state(state: DatumState) -> pps.DatumState.ValueType:
    """A datum's state for the wire."""
    return _DATUM[state]


def datum_states(states: Iterable[pps.DatumState.ValueType]) -> list[DatumState]:
    """Datum states from the wire; numbers that mean none are left out."""
    back = {number: state for state, number in _DATUM.items()}
    return [back[number] for number in states if number in back]


def pipeline_info(info: PipelineInfo, *, details: bool = True) -> pps.PipelineInfo:
    """A pipeline for the wire. details: with its spec's fields."""
    told = pps.PipelineInfo(
        pipeline=nouns.pipeline(info.pipeline),
        version=info.version,
        spec_commit=nouns.commit(info.spec_commit),
        stopped=info.stopped,
        state=_PIPELINE[info.state],
        reason=info.reason,
        last_job_state=_JOB[info.last_job_state] if info.last_job_state is not None else pps.JOB_STATE_UNKNOWN,
        parallelism=info.parallelism,
        type=pps.PipelineInfo.PipelineType.Value(f"PIPELINE_TYPE_{info.kind}"),
        user_spec_json=info.user_spec,
        effective_spec_json=info.effective_spec,
    )
    told.metadata.update(info.metadata)
    if details:
        told.details.CopyFrom(specs.pipeline_details(info.effective_spec))
        _add_live_details(told.details, info)
    return told


def _add_live_details(details: pps.PipelineInfo.Details, info: PipelineInfo) -> None:
    details.created_at.CopyFrom(timestamp(info.created_us))
    details.updated_at.CopyFrom(timestamp(info.updated_us))
    details.created_by = info.created_by
    if info.up_us is not None:
        details.workers_started_at.CopyFrom(timestamp(info.up_us))
    details.recent_error = info.recent_error
    details.workers_requested = info.workers_requested
    details.workers_available = info.workers_available
    details.unclaimed_tasks = info.unclaimed_datums
    details.output_branch = info.output_branch
    details.salt = info.salt
    details.reason = info.reason


def job_info(info: JobInfo, branch: str = "", *, details: bool = True) -> pps.JobInfo:
    """A job for the wire. branch: the output branch's name, for clients that read it from the commit."""
    told = pps.JobInfo(
        job=nouns.job(info.job),
        pipeline_version=info.version,
        output_commit=nouns.commit(info.output_commit, branch),
        restart=info.restart,
        data_processed=info.data_processed,
        data_skipped=info.data_skipped,
        data_total=info.data_total,
        data_failed=info.data_failed,
        data_recovered=info.data_recovered,
        stats=process_stats(info.stats),
        state=_JOB[info.state],
        reason=info.reason,
        created=timestamp(info.created_us),
    )
    if info.started_us is not None:
        told.started.CopyFrom(timestamp(info.started_us))
    if info.finished_us is not None:
        told.finished.CopyFrom(timestamp(info.finished_us))
    if details and info.effective_spec:
        told.details.CopyFrom(specs.job_details(info.effective_spec))
        told.details.salt = info.salt
        told.details.worker_status.extend(map(worker_status, info.workers))
        resolve_commits(told.details.input, {one.name: one.commit.id for one in info.inputs})
    return told


def resolve_commits(node: pps.Input, ids: Mapping[str, str]) -> None:
    """Write into each leaf of an input the id of the commit that a job reads under that name."""
    for leaf in (node.pfs, node.cron):
        if leaf.name in ids:
            leaf.commit = ids[leaf.name]
    for members in (node.cross, node.union, node.join, node.group):
        for member in members:
            resolve_commits(member, ids)


def job_set_info(info: JobSetInfo, *, details: bool = True) -> pps.JobSetInfo:
    """All jobs of an id for the wire."""
    return pps.JobSetInfo(
        job_set=pps.JobSet(id=info.id), jobs=[job_info(member, details=details) for member in info.jobs]
    )


def process_stats(stats: ProcessStats) -> pps.ProcessStats:
    """Times and sizes for the wire."""
    return pps.ProcessStats(
        download_time=duration(stats.download_us),
        process_time=duration(stats.process_us),
        upload_time=duration(stats.upload_us),
        download_bytes=stats.download_bytes,
        upload_bytes=stats.upload_bytes,
    )


def worker_status(status: WorkerStatus) -> pps.WorkerStatus:
    """What a worker does now, for the wire."""
    told = pps.WorkerStatus(worker_id=status.worker, job_id=status.job.id)
    if status.started_us is not None:
        told.datum_status.started.CopyFrom(timestamp(status.started_us))
        told.datum_status.data.extend(pps.InputFile(path=path) for path in status.paths)
    return told


def datum_info(info: DatumInfo) -> pps.DatumInfo:
    """A datum for the wire. Its record lies in the meta repo, under the job's id; without a job there is none."""
    pipeline = info.job.pipeline
    record = Commit(Repo(pipeline.project, pipeline.name, META_REPO), info.job.id)
    return pps.DatumInfo(
        datum=pps.Datum(job=nouns.job(info.job), id=info.id),
        state=_DATUM[info.state],
        stats=process_stats(info.stats),
        pfs_state=pfs.File(commit=nouns.commit(record), path=f"/pfs/{info.id}") if info.job.id else None,
        data=[
            pfs.FileInfo(
                file=pfs.File(commit=nouns.commit(file.commit), path=file.path),
                file_type=pfs.DIR if file.path.endswith("/") else pfs.FILE,
                committed=timestamp(file.committed_us) if file.committed_us is not None else None,
                size_bytes=file.size_bytes,
                hash=file.hash,
            )
            for file in info.files
        ],
        image_id=info.image,
    )


def log_message(line: LogLine) -> pps.LogMessage:
    """A line of a log for the wire."""
    return pps.LogMessage(
        project_name=line.pipeline.project,
        pipeline_name=line.pipeline.name,
        job_id=line.job,
        worker_id=line.worker,
        datum_id=line.datum,
        master=line.master,
        user=line.user,
        ts=timestamp(line.at_us),
        message=line.message,
        data=[pps.InputFile(path=path, hash=digest) for path, digest in line.inputs],
    )
