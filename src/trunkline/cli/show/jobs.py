"""Jobs, job sets and datums as rows and details."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from trunkline.ambient import Micros
from trunkline.cli.show import units
from trunkline.cli.show.commits import bar
from trunkline.cli.show.pipelines import block, job_state, state_colour, timeouts
from trunkline.cli.show.repos import Pairs, When
from trunkline.cli.show.tables import Cell, Row, lines
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.gen import trunkline_pb2 as own

JOB_HEADER = ("PROJECT", "PIPELINE", "ID", "STARTED", "DURATION", "RESTART", "PROGRESS", "DL", "UL", "STATE")
SET_HEADER = ("ID", "SUBJOBS", "PROGRESS", "CREATED", "MODIFIED")
DATUM_HEADER = ("ID", "FILES", "STATUS", "TIME")
USAGE_HEADER = ("DATUM", "FILES", "TIME", "CPU", "MEMORY", "IN", "OUT")
SHOWN_FILES = 3

REASON_CHARACTERS = 25
DATUM_REASON_CHARACTERS = 60
_BAD = (pps.JOB_FAILURE, pps.JOB_KILLED, pps.JOB_UNRUNNABLE)
_DATUM_COLOURS = {"failed": "red", "success": "green", "recovered": "yellow", "quarantined": "yellow"}


def is_over(info: pps.JobInfo) -> bool:
    """Whether the job has ended, well or not."""
    return info.state == pps.JOB_SUCCESS or info.state in _BAD


def job_row(info: pps.JobInfo, when: When, now_us: Micros) -> Row:
    """A job. Its reason is cut short; `inspect job` shows all of it."""
    return (
        info.job.pipeline.project.name,
        info.job.pipeline.name,
        info.job.id,
        when(info.started) if info.HasField("started") else "-",
        duration(info, now_us),
        str(info.restart),
        progress(info),
        units.size(info.stats.download_bytes),
        units.size(info.stats.upload_bytes),
        _state(info),
    )


def progress(info: pps.JobInfo) -> str:
    """Datums processed, skipped (and recovered) of all: `3 + 5 / 8`."""
    recovered = f" + {info.data_recovered}" if info.data_recovered else ""
    return f"{info.data_processed} + {info.data_skipped}{recovered} / {info.data_total}"


def duration(info: pps.JobInfo, now_us: Micros) -> str:
    """How long it ran, or has been running."""
    if not info.HasField("started"):
        return "-"
    end_us = _micros(info.finished) if info.HasField("finished") else now_us
    return units.span(max(0, end_us - _micros(info.started)))


def _state(info: pps.JobInfo) -> Cell:
    word = job_state(info.state)
    colour = state_colour(word)
    if info.reason and info.state in _BAD:
        return Cell(f"{word}: {units.cut(info.reason, REASON_CHARACTERS)}", colour)
    if info.state == pps.JOB_SUCCESS and info.data_total == info.data_skipped:
        why = "no datums" if not info.data_total else "all datums skipped"
        return Cell(f"{word} ({why}: nothing to process)", colour)
    if quarantined(info):
        return Cell(f"{word} ({info.data_failed} quarantined)", "yellow")
    return Cell(word, colour)


def quarantined(info: pps.JobInfo) -> int:
    """How many datums a job that succeeded left out, since its spec allows that."""
    return info.data_failed if info.state == pps.JOB_SUCCESS else 0


def set_row(info: pps.JobSetInfo, when: When) -> Row:
    """A job set: how many jobs, how far they are."""
    good = sum(1 for job in info.jobs if job.state == pps.JOB_SUCCESS)
    bad = sum(1 for job in info.jobs if job.state in _BAD)
    created = [job.created for job in info.jobs if job.HasField("created")]
    moves = [*created, *(j.started for j in info.jobs if j.HasField("started"))]
    moves += [job.finished for job in info.jobs if job.HasField("finished")]
    return (
        info.job_set.id,
        str(len(info.jobs)),
        Cell(bar(good, len(info.jobs), bad), "red" if bad else "green" if good == len(info.jobs) else "yellow"),
        when(min(created, key=_micros)) if created else "-",
        when(max(moves, key=_micros)) if moves else "-",
    )


def job_details(info: pps.JobInfo, when: When, now_us: Micros, usage: own.JobUsage | None = None) -> Pairs:
    """A job in full. usage: what it took, where the server says."""
    details = info.details
    yield "ID", info.job.id
    yield "Pipeline", info.job.pipeline.name
    yield "Project", info.job.pipeline.project.name
    yield "Pipeline Version", str(info.pipeline_version)
    if info.HasField("started"):
        yield "Started", when(info.started)
        yield "Duration", duration(info, now_us)
    yield "State", job_state(info.state)
    if info.reason:
        yield "Reason", info.reason
    yield from _counters(info)
    if usage is not None:
        yield from _job_usage(usage)
    yield from timeouts(details.datum_timeout, details.job_timeout)
    if details.worker_status:
        yield "Worker Status", "\n".join(_workers(details, when))
    yield "Restarts", str(info.restart)
    if details.HasField("parallelism_spec"):
        yield "ParallelismSpec", block(details.parallelism_spec)
    if details.HasField("resource_requests"):
        yield "Resource Requests", block(details.resource_requests)
    if details.HasField("resource_limits"):
        yield "Resource Limits", block(details.resource_limits)
    if details.HasField("service"):
        yield "Service", block(details.service)
    yield "Input", block(details.input)
    yield "Transform", block(details.transform)
    if info.output_commit.id:
        yield "Output Commit", info.output_commit.id
    if details.HasField("egress"):
        yield "Egress", block(details.egress)


def _counters(info: pps.JobInfo) -> Pairs:
    yield "Processed", str(info.data_processed)
    yield "Failed", str(info.data_failed)
    if count := quarantined(info):
        yield "Quarantined", f"{count}, to be tried again by the next job"
    yield "Skipped", str(info.data_skipped)
    yield "Recovered", str(info.data_recovered)
    yield "Total", str(info.data_total)
    yield "Data Downloaded", units.size(info.stats.download_bytes)
    yield "Data Uploaded", units.size(info.stats.upload_bytes)
    yield from _times(info.stats)


def _times(stats: pps.ProcessStats) -> Pairs:
    yield "Download Time", units.seconds(_seconds(stats.download_time))
    yield "Process Time", units.seconds(_seconds(stats.process_time))
    yield "Upload Time", units.seconds(_seconds(stats.upload_time))


def _used(usage: own.Usage) -> Pairs:
    yield "CPU Time", _cpu(usage)
    yield "Peak Memory", _memory(usage)


def _cpu(usage: own.Usage) -> str:
    return units.seconds(usage.cpu_us / 1e6) if usage.cpu_us else "-"


def _memory(usage: own.Usage) -> str:
    return units.size(usage.memory_bytes) if usage.memory_bytes else "-"


def _job_usage(usage: own.JobUsage) -> Pairs:
    """What a job took, what reuse saved it, and the datums that took most."""
    yield from _used(usage.spent)
    if usage.reused:
        time, cpu = units.seconds(_time(usage.saved.stats)), _cpu(usage.saved)
        yield "Saved by Reuse", f"{time} (CPU {cpu}), which {usage.reused} skipped datums took when they ran"
    if usage.slowest:
        yield "Slowest Datums", "\n".join(lines(USAGE_HEADER, map(_usage_row, usage.slowest)))
    if usage.largest:
        yield "Largest Datums", "\n".join(lines(USAGE_HEADER, map(_usage_row, usage.largest)))


def _usage_row(one: own.DatumUsage) -> Row:
    stats = one.usage.stats
    more = ", ..." if len(one.paths) > SHOWN_FILES else ""
    return (
        one.datum,
        ", ".join(one.paths[:SHOWN_FILES]) + more or "-",
        units.seconds(_time(stats)),
        _cpu(one.usage),
        _memory(one.usage),
        units.size(stats.download_bytes),
        units.size(stats.upload_bytes),
    )


def _workers(details: pps.JobInfo.Details, when: When) -> list[str]:
    rows = []
    for worker in details.worker_status:
        running = worker.HasField("datum_status")
        data = " ".join(file.path for file in worker.datum_status.data) if running else "-"
        started = when(worker.datum_status.started) if running else "-"
        rows.append((worker.worker_id, worker.job_id or "-", data, started))
    return list(lines(("WORKER", "JOB", "DATUM", "STARTED"), rows))


def datum_state(state: pps.DatumState.ValueType, spared: bool = False) -> str:
    """A datum state's short name. spared: its job has succeeded, without it if it failed."""
    return "quarantined" if spared and state == pps.FAILED else pps.DatumState.Name(state).lower()


def datum_row(info: pps.DatumInfo, reason: str = "", *, spared: bool = False) -> Row:
    """A datum with its files and how long it took. reason: why it did not succeed; `inspect datum` shows all of it."""
    state = datum_state(info.state, spared)
    files = ", ".join(file_name(one) for one in info.data) or "-"
    shown = f"{state}: {units.cut(reason, DATUM_REASON_CHARACTERS)}" if reason else state
    return info.datum.id, files, Cell(shown, _DATUM_COLOURS.get(state, "")), datum_time(info)


def datum_time(info: pps.DatumInfo) -> str:
    """Download, run and upload together; `-` for a datum that did not run."""
    total = _time(info.stats)
    return units.seconds(total) if info.HasField("stats") and total else "-"


def datum_details(info: pps.DatumInfo, known: own.DatumUsage | None = None, *, spared: bool = False) -> Pairs:
    """A datum in full. known: why it did not succeed and what it took, where the server says. spared: its job has."""
    yield "ID", info.datum.id
    yield "Job ID", info.datum.job.id
    yield "Image ID", info.image_id or "-"
    yield "State", datum_state(info.state, spared)
    if known is not None and known.reason:
        yield "Reason", known.reason
    if known is not None and known.tries > 1:
        yield "Tries", str(known.tries)
    yield "Data Downloaded", units.size(info.stats.download_bytes)
    yield "Data Uploaded", units.size(info.stats.upload_bytes)
    yield "Total Time", datum_time(info)
    yield from _times(info.stats)
    if known is not None:
        yield from _used(known.usage)
    if info.pfs_state.path:
        at = info.pfs_state.commit
        yield "PFS State", f"{at.repo.name or at.branch.repo.name}.meta@{at.id}:{info.pfs_state.path}"
    rows = [(at.file.commit.repo.name or at.file.commit.branch.repo.name, at.file.commit.id, at.file.path)
            for at in info.data]  # fmt: skip
    if rows:
        yield "Inputs", "\n".join(lines(("REPO", "COMMIT", "PATH"), rows))


def file_name(info: pfs.FileInfo) -> str:
    """`repo@commit:path`, the commit cut short."""
    commit = info.file.commit
    return f"{commit.repo.name or commit.branch.repo.name}@{commit.id[:7]}:{info.file.path}"


def _time(stats: pps.ProcessStats) -> float:
    """Download, run and upload together, in seconds."""
    return _seconds(stats.download_time) + _seconds(stats.process_time) + _seconds(stats.upload_time)


def _seconds(length: Duration) -> float:
    return length.seconds + length.nanos / 1e9


def _micros(moment: object) -> Micros:
    return int(getattr(moment, "seconds", 0)) * 1_000_000 + int(getattr(moment, "nanos", 0)) // 1000
