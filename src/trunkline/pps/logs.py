"""Logs: what code prints and what workers and the system say, kept in compressed segments, read by line.

A segment is the lines of one claim, or lines of the system's own, as docs/formats/logs.md describes them. Lines come in
the order in which their segments arrived; to follow a log, ask for the next page when an event says that there is one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.ambient import Micros
from trunkline.catalog.engine import Tx
from trunkline.catalog.work import claims as claim_rows
from trunkline.catalog.work import jobs as job_rows
from trunkline.catalog.work import logs as log_rows
from trunkline.catalog.work import pipelines as pipeline_rows
from trunkline.catalog.work.logs import SegmentRow
from trunkline.errors import DataLoss, InvalidArgument, NotFound
from trunkline.model.infos_pps import LogLine
from trunkline.model.names import Job, Pipeline

LOG_TOPIC = "log"
"""Events of this topic: {"pipeline", "job"}; there are new lines. job: a seq, or null."""

SPOUT_CLAIM = "spout"
"""What stands before the point in the claim of a spout; behind it stands the pipeline's key."""
MASTER = ""
"""The worker of lines that the system says about a pipeline or a job."""

PAGE = 20


@dataclass(frozen=True, slots=True)
class Segment:
    """Some lines of one claim, in the order written. data: JSON, one object a line, plain."""

    claim: str
    first_us: Micros
    last_us: Micros
    lines: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a message must hold, or with `negate` must not: a text, or a regular expression (RE2)."""

    text: str
    negate: bool = False
    regex: bool = True

    def mask(self, messages: pa.Array) -> np.ndarray:
        """Which messages pass. Raises InvalidArgument for what is no regular expression."""
        match = pc.match_substring_regex if self.regex else pc.match_substring
        try:
            found: np.ndarray = match(messages, self.text).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid as error:
            raise InvalidArgument(f'"{self.text}" is not a regular expression: {error}') from None
        return found ^ self.negate


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which lines. One of pipeline and job, or where neither is named those of a project, of a set of jobs, or all.

    datums: ids, None for all. master: the system's lines instead; everything: those too. until_us: only before, 0: no
    bound. pattern: a regular expression (RE2) that the message must match somewhere, or with `negate` must not.
    """

    pipeline: Pipeline | None = None
    job: Job | None = None
    datums: frozenset[str] | None = None
    master: bool = False
    since_us: Micros = 0
    project: str = ""
    set_id: str = ""
    anywhere: bool = False
    everything: bool = False
    user_only: bool = False
    until_us: Micros = 0
    patterns: tuple[Pattern, ...] = ()


@dataclass(frozen=True, slots=True)
class LogPage:
    """Lines, and where to go on from. ended: no more lines will come, since the job has ended."""

    lines: tuple[LogLine, ...]
    after: int
    more: bool
    ended: bool


def write(tx: Tx, worker: str, segments: Sequence[Segment]) -> None:
    """Keep what a worker wrote. Lines of a job that is gone are dropped with it."""
    for one in segments:
        about = _about(tx, one.claim)
        if about is None:
            continue
        data = log_rows.packed(one.data)
        log_rows.insert_segment(tx, *about, worker, one.first_us, one.last_us, one.lines, data)
        tx.emit(LOG_TOPIC, {"pipeline": about[0], "job": about[1]})


def _about(tx: Tx, claim: str) -> tuple[int, int | None] | None:
    """Pipeline and job that lines are about; the code of a spout has no job, and its claim names the pipeline."""
    kind, dot, key = claim.partition(".")
    if kind == SPOUT_CLAIM and dot:
        row = pipeline_rows.get_pipeline(tx, int(key)) if key.isdecimal() else None
        return (row.key, None) if row else None
    seq = claim_rows.job_of_claim(claim)
    job = job_rows.get_job(tx, seq) if seq is not None else None
    return (job.pipeline, job.seq) if job else None


def say(tx: Tx, pipeline: int, job: int | None, message: str) -> None:
    """A line of the system's own about a pipeline or a job."""
    line = {"ts": tx.now_us, "datum": "", "user": False, "message": message}
    data = log_rows.packed(json.dumps(line, ensure_ascii=False).encode() + b"\n")
    log_rows.insert_segment(tx, pipeline, job, MASTER, tx.now_us, tx.now_us, 1, data)
    tx.emit(LOG_TOPIC, {"pipeline": pipeline, "job": job})


def page(tx: Tx, query: LogQuery, after: int = 0) -> LogPage:
    """The next lines after a place in the log (0: its beginning). Raises NotFound, InvalidArgument."""
    for one in query.patterns:
        one.mask(pa.array([], pa.string()))
    pipeline, job = _subject(tx, query)
    rows = log_rows.list_segments(
        tx,
        pipeline=pipeline,
        job=job.seq if job else None,
        since_us=query.since_us,
        after=after,
        limit=PAGE,
        jobs=[row.seq for row in job_rows.jobs_of_set(tx, query.set_id)] if query.set_id else None,
        pipelines=[row.key for row in pipeline_rows.list_pipelines(tx, [query.project])] if query.project else None,
    )
    jobs = job_rows.get_jobs(tx, {row.job for row in rows if row.job is not None})
    names = pipeline_rows.get_pipelines(tx, {row.pipeline for row in rows})
    lines: list[LogLine] = []
    for row in rows:
        if (query.everything or (row.worker == MASTER) == query.master) and row.pipeline in names:
            about = jobs[row.job].job.id if row.job in jobs else ""
            lines += _lines(row, names[row.pipeline].pipeline, about, query)
    return LogPage(tuple(lines), rows[-1].seq if rows else after, len(rows) == PAGE, job is not None and job.ended)


def _subject(tx: Tx, query: LogQuery) -> tuple[int | None, job_rows.JobRow | None]:
    if query.job is not None:
        if query.pipeline is not None and query.pipeline != query.job.pipeline:
            raise InvalidArgument("logs are asked for by pipeline or by job, not by both")
        row = job_rows.find_job(tx, query.job)
        if row is None:
            raise NotFound(f"job {query.job.pipeline.name}@{query.job.id} not found")
        return None, row
    if query.pipeline is None:
        if query.master or query.project or query.set_id or query.anywhere:
            return None, None
        raise InvalidArgument("whose logs are wanted is not said: name a pipeline or a job")
    known = pipeline_rows.find_pipeline(tx, query.pipeline)
    if known is None:
        raise NotFound(f"pipeline {query.pipeline} not found")
    return known.key, None


def _lines(row: SegmentRow, pipeline: Pipeline, job: str, query: LogQuery) -> Iterator[LogLine]:
    try:
        found = [json.loads(text) for text in log_rows.plain(row).splitlines()]
    except DataLoss as error:
        # In the place of its lines, whatever was asked of them, so that all others can be read.
        yield LogLine(pipeline, row.last_us, str(error), job, row.worker, master=True)
        return
    kept = np.ones(len(found), bool)
    for one in query.patterns:
        kept &= one.mask(pa.array([line["message"] for line in found], pa.string()))
    for line, wanted in zip(found, kept.tolist(), strict=True):
        if not wanted or line["ts"] < query.since_us or (query.until_us and line["ts"] >= query.until_us):
            continue
        if (query.user_only and not line["user"]) or (query.datums is not None and line["datum"] not in query.datums):
            continue
        yield LogLine(
            pipeline=pipeline,
            at_us=line["ts"],
            message=line["message"],
            job=job,
            worker=row.worker,
            datum=line["datum"],
            user=line["user"],
            master=row.worker == MASTER,
        )
