"""Queries on jobs.

A job's core (state, phase, counters and so on) is read and written as a plain mapping of its columns: the rules that
give it meaning live in the pipeline system.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    and_,
    case,
    delete,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from trunkline.ambient import Micros
from trunkline.catalog.engine.fixed import Fixed, given, some
from trunkline.catalog.engine.tx import AnyRow, Tx
from trunkline.catalog.tables_pps import instructions, jobs, pipelines
from trunkline.model.names import Job, Pipeline

CORE = (
    *("state", "phase", "gen", "base", "base_planned", "base_ending", "settling", "egress", "may_fail"),
    *("placed", "open"),
    *(
        "undecided",
        "processed",
        "failed",
        "recovered",
        "skipped",
        "total",
        "restart",
        "pushes",
        "held",
        "reason",
        "error",
        "first_failed",
    ),
)
"""Columns of the core, in the order of `pps.decide.JobCore`."""

SUMS = ("download_us", "process_us", "upload_us", "download_bytes", "upload_bytes", "cpu_us")
PEAKS = ("memory_bytes",)
STATS = (*SUMS, *PEAKS)
ENDED = "ended"

# Spelled out and not a parameter, or SQLite would not see that the index of open jobs holds all it needs.
_OPEN = jobs.c.phase != literal_column(f"'{ENDED}'")


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job as the catalog keeps it.

    datums: the file sets of its datum table, None while there is none; table_gen: the generation that made it.
    adopted: file sets with output taken over from jobs that failed. timeout_us, parallelism: 0 for no bound.
    gpus: devices that a worker holds.
    set_datums, set_bytes, sets_per_worker: how datums are handed out, as the spec says; 0: it does not say. look_from:
    where the search for a job to build on goes on behind this one; None: at its parent.
    """

    seq: int
    pipeline: int
    job: Job
    version: int
    salt: str
    output_commit: int
    meta_commit: int | None
    core: dict[str, Any]
    table_gen: int
    datums: tuple[str, ...] | None
    adopted: tuple[str, ...]
    timeout_us: Micros
    tries: int
    parallelism: int
    gpus: int
    set_datums: int
    set_bytes: int
    sets_per_worker: int
    stats: dict[str, int]
    created_us: Micros
    started_us: Micros | None
    finished_us: Micros | None
    deadline_us: Micros | None
    look_from: int | None = None

    @property
    def state(self) -> str:
        """Its state, as people are shown it."""
        return str(self.core["state"])

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return bool(self.core["phase"] == ENDED)


_Query = TypeVar("_Query", bound="Select[*tuple[Any, ...]]")
_COLUMNS = (jobs, pipelines.c.project, pipelines.c.name)
_JOINED = jobs.join(pipelines, pipelines.c.key == jobs.c.pipeline)


_ALL = select(*_COLUMNS).select_from(_JOINED)
_INSERT = Fixed(insert(jobs).returning(jobs.c.seq))
_ONE = Fixed(_ALL.where(jobs.c.seq == given("at")))
_SOME = Fixed(_ALL.where(jobs.c.seq.in_(some("seqs"))))
_FOUND = Fixed(
    _ALL.where(jobs.c.id == given("id"), pipelines.c.project == given("project"), pipelines.c.name == given("name"))
)
_BY_COMMITS = Fixed(_ALL.where(or_(jobs.c.output_commit.in_(some("outputs")), jobs.c.meta_commit.in_(some("metas")))))
_WAITING = Fixed(select(jobs.c.seq).where(jobs.c.base == given("on"), _OPEN).order_by(jobs.c.seq))
_HELD = Fixed(
    _ALL.where(jobs.c.pipeline == given("of"), _OPEN, jobs.c.held > 0, jobs.c.reason != "").order_by(jobs.c.seq)
)
_DEADLINES = Fixed(
    select(jobs.c.seq, jobs.c.deadline_us, jobs.c.timeout_us).where(jobs.c.deadline_us.is_not(None), _OPEN)
)
_CHANGE = Fixed(update(jobs).where(jobs.c.seq == given("at")))
_TOLD = {name: given(f"told_{name}") for name in STATS}
_ADDED = {name: jobs.c[name] + _TOLD[name] for name in SUMS}
_HIGHEST = {name: case((jobs.c[name] < _TOLD[name], _TOLD[name]), else_=jobs.c[name]) for name in PEAKS}
_ADD_STATS = Fixed(update(jobs).where(jobs.c.seq == given("at")).values(_ADDED | _HIGHEST))


def insert_job(tx: Tx, values: Mapping[str, Any], core: Mapping[str, Any]) -> int:
    """Add a job; its seq. values: pipeline, id, version, salt, output_commit, meta_commit, timeout_us, tries,
    parallelism, set_datums, set_bytes and sets_per_worker.
    """
    return int(tx.execute(_INSERT, {**values, **core, "created_us": tx.now_us}).one()[0])


def get_job(tx: Tx, seq: int) -> JobRow | None:
    """One job by seq."""
    row = tx.execute(_ONE, {"at": seq}).first()
    return _job(row) if row else None


def get_jobs(tx: Tx, seqs: Iterable[int]) -> dict[int, JobRow]:
    """Jobs by seq."""
    wanted = sorted(set(seqs))
    found: dict[int, JobRow] = {}
    for start in range(0, len(wanted), 500):
        rows = tx.execute(_SOME, {"seqs": wanted[start : start + 500]}).all()
        found.update((row.seq, _job(row)) for row in rows)
    return found


def find_job(tx: Tx, job: Job) -> JobRow | None:
    """One job by pipeline and id."""
    values = {"id": job.id, "project": job.pipeline.project, "name": job.pipeline.name}
    row = tx.execute(_FOUND, values).first()
    return _job(row) if row else None


def by_commits(tx: Tx, commit_seqs: Iterable[int]) -> dict[int, JobRow]:
    """Jobs by the seq of their output commit or meta commit."""
    wanted = sorted(set(commit_seqs))
    found: dict[int, JobRow] = {}
    for start in range(0, len(wanted), 500):
        page = wanted[start : start + 500]
        for row in tx.execute(_BY_COMMITS, {"outputs": page, "metas": page}).all():
            job = _job(row)
            keys = {job.output_commit, job.meta_commit} & set(page)
            found.update((key, job) for key in keys if key is not None)
    return found


def jobs_of_set(tx: Tx, job_id: str) -> list[JobRow]:
    """All jobs of one id, in order of creation."""
    return jobs_of_sets(tx, [job_id])


def jobs_of_sets(tx: Tx, job_ids: Iterable[str]) -> list[JobRow]:
    """All jobs of some ids, at most a page of them, in order of creation."""
    where = jobs.c.id.in_(sorted(job_ids))
    query = select(*_COLUMNS).select_from(_JOINED).where(where).order_by(jobs.c.seq)
    return [_job(row) for row in tx.execute(query).all()]


def list_jobs(
    tx: Tx,
    *,
    projects: Sequence[str] = (),
    pipeline: int | None = None,
    version_from: int | None = None,
    states: Sequence[str] = (),
    below: int | None = None,
    above: int | None = None,
    oldest_first: bool = False,
    limit: int = 1000,
) -> list[JobRow]:
    """A page of jobs by seq, newest first; `above` and `below` are exclusive."""
    query = select(*_COLUMNS).limit(limit).order_by(jobs.c.seq if oldest_first else jobs.c.seq.desc())
    query = query.where(*_wanted(jobs, pipeline, version_from, states, below, above))
    if projects:
        some = jobs.alias("some")
        page = select(some.c.seq).where(*_wanted(some, None, version_from, states, below, above))
        page = page.order_by(some.c.seq if oldest_first else some.c.seq.desc()).limit(limit)
        query = _among(projects, query, page, some)
    else:
        query = query.select_from(_JOINED)
    return [_job(row) for row in tx.execute(query).all()]


def _wanted(
    of: FromClause,
    pipeline: int | None,
    version_from: int | None,
    states: Sequence[str],
    below: int | None,
    above: int | None,
) -> Iterator[ColumnElement[bool]]:
    if pipeline is not None:
        yield of.c.pipeline == pipeline
    if version_from is not None:
        yield of.c.version >= version_from
    if states:
        yield of.c.state.in_(list(states))
    if below is not None:
        yield of.c.seq < below
    if above is not None:
        yield of.c.seq > above


def _among(projects: Sequence[str], query: _Query, page: Select[tuple[int]], some: FromClause) -> _Query:
    """Of each pipeline of these projects the jobs in its own page: nobody reads all jobs of a project."""
    page = page.where(some.c.pipeline == pipelines.c.key).correlate(pipelines)
    return query.select_from(pipelines.join(jobs, jobs.c.seq.in_(page))).where(pipelines.c.project.in_(list(projects)))


def list_sets(tx: Tx, projects: Sequence[str], below: int | None, limit: int) -> list[tuple[str, int]]:
    """Ids of job sets, newest first, each with its newest seq; below: exclusive."""
    query = select(jobs.c.id, jobs.c.seq).order_by(jobs.c.seq.desc()).limit(limit)
    if projects:
        some = jobs.alias("some")
        page = select(some.c.seq).where(*_newest(some, projects, below)).order_by(some.c.seq.desc()).limit(limit)
        query = _among(projects, query, page, some)
    else:
        query = query.select_from(_JOINED).where(*_newest(jobs, projects, below))
    return [(row[0], row[1]) for row in tx.execute(query).all()]


def _newest(of: FromClause, projects: Sequence[str], below: int | None) -> Iterator[ColumnElement[bool]]:
    """Jobs that are the newest of their set within some projects (none: all)."""
    later, its = jobs.alias(), pipelines.alias()
    newer = select(later.c.seq).where(later.c.id == of.c.id, later.c.seq > of.c.seq)
    if projects:
        newer = newer.where(later.c.pipeline == its.c.key, its.c.project.in_(list(projects)))
    yield ~newer.correlate(of).exists()
    if below is not None:
        yield of.c.seq < below


def last_job(tx: Tx, pipeline: int) -> JobRow | None:
    """The newest job of a pipeline."""
    found = list_jobs(tx, pipeline=pipeline, limit=1)
    return found[0] if found else None


def open_jobs(tx: Tx, pipeline: int | None = None) -> list[JobRow]:
    """Jobs that have not ended, oldest first."""
    query = select(*_COLUMNS).select_from(_JOINED).where(_OPEN).order_by(jobs.c.seq)
    if pipeline is not None:
        query = query.where(jobs.c.pipeline == pipeline)
    return [_job(row) for row in tx.execute(query).all()]


def held(tx: Tx, pipeline: int) -> JobRow | None:
    """The oldest open job of a pipeline that can go on with none of its datums, since they were given back."""
    row = tx.execute(_HELD, {"of": pipeline}).first()
    return _job(row) if row else None


def waiting_for(tx: Tx, base: int) -> list[int]:
    """Open jobs that build on `base`, oldest first."""
    return tx.execute(_WAITING, {"on": base}).scalars()


def deadlines(tx: Tx) -> dict[int, tuple[Micros, Micros]]:
    """Open jobs that have a limit: when their time is up, and the whole time they have."""
    return {row[0]: (row[1], row[2]) for row in tx.execute(_DEADLINES).all()}


def set_core(tx: Tx, seq: int, core: Mapping[str, Any]) -> None:
    """Write the core."""
    tx.execute(_CHANGE, {"at": seq, **core})


def set_values(tx: Tx, seq: int, **values: Any) -> None:
    """Write other columns of a job."""
    tx.execute(_CHANGE, {"at": seq, **values})


def set_table(tx: Tx, seq: int, gen: int, datums: Sequence[str], adopted: Sequence[str]) -> None:
    """Replace the datum table, and say which output was taken over."""
    values = {"table_gen": gen, "datums": json.dumps(list(datums)), "adopted": json.dumps(list(adopted))}
    tx.execute(_CHANGE, {"at": seq, **values})


def add_stats(tx: Tx, seq: int, stats: Mapping[str, int]) -> None:
    """Add to the sums over datums; the greatest of peaks stays."""
    tx.execute(_ADD_STATS, {"at": seq, **{f"told_{name}": stats.get(name, 0) for name in STATS}})


def delete_job(tx: Tx, seq: int) -> None:
    """Remove a job and its instructions; claims, reports and logs must be gone."""
    tx.execute(delete(instructions).where(instructions.c.job == seq))
    tx.execute(delete(jobs).where(jobs.c.seq == seq))


def older_open(tx: Tx, job: JobRow, but: str) -> JobRow | None:
    """The oldest open job of the same pipeline that was made before this one, leaving out those in the phase `but`."""
    where = and_(_of(job.pipeline), jobs.c.seq < job.seq, jobs.c.phase != but)
    row = tx.execute(select(*_COLUMNS).select_from(_JOINED).where(where).order_by(jobs.c.seq).limit(1)).first()
    return _job(row) if row else None


def _of(pipeline: int) -> ColumnElement[bool]:
    return and_(jobs.c.pipeline == pipeline, _OPEN)


def _job(row: AnyRow) -> JobRow:
    core = {name: getattr(row, name) for name in CORE}
    return JobRow(
        seq=row.seq,
        pipeline=row.pipeline,
        job=Job(Pipeline(row.project, row.name), row.id),
        version=row.version,
        salt=row.salt,
        output_commit=row.output_commit,
        meta_commit=row.meta_commit,
        core=core,
        table_gen=row.table_gen,
        datums=None if row.datums is None else tuple(json.loads(row.datums)),
        adopted=tuple(json.loads(row.adopted)),
        timeout_us=row.timeout_us,
        tries=row.tries,
        parallelism=row.parallelism,
        gpus=row.gpus,
        set_datums=row.set_datums,
        set_bytes=row.set_bytes,
        sets_per_worker=row.sets_per_worker,
        stats={name: getattr(row, name) for name in STATS},
        created_us=row.created_us,
        started_us=row.started_us,
        finished_us=row.finished_us,
        deadline_us=row.deadline_us,
        look_from=row.look_from,
    )
