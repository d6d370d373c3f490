"""Queries on pipelines and their versions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import and_, delete, exists, insert, literal_column, select, update

from trunkline.ambient import Micros
from trunkline.catalog.engine.fixed import Fixed, given, some
from trunkline.catalog.engine.tx import AnyRow, Tx
from trunkline.catalog.tables_pps import cron_inputs, jobs, pipeline_versions, pipelines
from trunkline.model.names import Pipeline


@dataclass(frozen=True, slots=True)
class PipelineRow:
    """A pipeline as the catalog keeps it; `version` is the current one. up_us: since when it has had jobs, or None."""

    key: int
    pipeline: Pipeline
    version: int
    state: str
    reason: str
    stopped: bool
    kind: str
    created_us: Micros
    updated_us: Micros
    up_us: Micros | None
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version of a pipeline. Specs are JSON texts."""

    pipeline: int
    version: int
    spec_commit: str
    salt: str
    user_spec: str
    effective_spec: str
    runner: str
    image_digest: str
    runner_note: str
    created_us: Micros
    created_by: str


_AT = pipelines.c.key == given("at")
_INSERT = Fixed(insert(pipelines).returning(pipelines.c.key))
_INSERT_VERSION = Fixed(insert(pipeline_versions))
_CHANGE = Fixed(update(pipelines).where(_AT))
_FIND = Fixed(select(pipelines).where(pipelines.c.project == given("project"), pipelines.c.name == given("name")))
_SOME = Fixed(select(pipelines).where(pipelines.c.key.in_(some("keys"))))
_IN_STATE = Fixed(select(pipelines.c.key).where(pipelines.c.state == given("state")))
_VERSION = Fixed(
    select(pipeline_versions).where(
        pipeline_versions.c.pipeline == given("of"), pipeline_versions.c.version == given("number")
    )
)
_BUSY = Fixed(update(pipelines).where(_AT, pipelines.c.up_us.is_(None)))
_UNFINISHED = and_(jobs.c.pipeline == given("at"), jobs.c.phase != literal_column("'ended'"))
_IDLE = Fixed(
    update(pipelines).where(_AT, pipelines.c.up_us.is_not(None), ~exists().where(_UNFINISHED)).values(up_us=None)
)
_STANDING = Fixed(select(pipelines).where(pipelines.c.kind != "TRANSFORM").order_by(pipelines.c.key))


def insert_pipeline(tx: Tx, pipeline: Pipeline, state: str) -> int:
    """Add a pipeline without versions; its key."""
    values = {"project": pipeline.project, "name": pipeline.name, "version": 0, "state": state}
    times = {"created_us": tx.now_us, "updated_us": tx.now_us}
    return int(tx.execute(_INSERT, {**values, **times}).one()[0])


def insert_version(tx: Tx, row: VersionRow) -> None:
    """Add a version and make it the current one."""
    values = {name: getattr(row, name) for name in VersionRow.__slots__}
    tx.execute(_INSERT_VERSION, values)
    tx.execute(_CHANGE, {"at": row.pipeline, "version": row.version, "updated_us": tx.now_us})


def find_pipeline(tx: Tx, pipeline: Pipeline) -> PipelineRow | None:
    """One pipeline by its address."""

    def look() -> PipelineRow | None:
        row = tx.execute(_FIND, {"project": pipeline.project, "name": pipeline.name}).first()
        return _pipeline(row) if row else None

    return tx.row((pipelines,), pipeline, look)


def get_pipelines(tx: Tx, keys: Iterable[int]) -> dict[int, PipelineRow]:
    """Pipelines by key."""
    rows = tx.execute(_SOME, {"keys": sorted(set(keys))}).all()
    return {row.key: _pipeline(row) for row in rows}


def get_pipeline(tx: Tx, key: int) -> PipelineRow | None:
    """One pipeline by key."""
    return get_pipelines(tx, [key]).get(key)


def list_pipelines(tx: Tx, projects: Sequence[str] = ()) -> list[PipelineRow]:
    """Pipelines of some projects (none named: all), newest first."""
    query = select(pipelines).order_by(pipelines.c.key.desc())
    if projects:
        query = query.where(pipelines.c.project.in_(list(projects)))
    return [_pipeline(row) for row in tx.execute(query).all()]


def in_state(tx: Tx, state: str) -> set[int]:
    """Keys of the pipelines that are in a state."""
    return {row.key for row in tx.execute(_IN_STATE, {"state": state}).all()}


def similar_names(tx: Tx, pipeline: Pipeline) -> list[str]:
    """Names of pipelines in the same project, for advice in errors; at most 200."""
    query = select(pipelines.c.name).where(pipelines.c.project == pipeline.project).limit(200)
    return [row[0] for row in tx.execute(query).all()]


def get_version(tx: Tx, key: int, version: int) -> VersionRow | None:
    """One version of a pipeline."""

    def look() -> VersionRow | None:
        row = tx.execute(_VERSION, {"of": key, "number": version}).first()
        return _version(row) if row else None

    return tx.row((pipeline_versions,), (key, version), look)


def list_versions(tx: Tx, key: int, oldest: int = 1) -> list[VersionRow]:
    """Versions of a pipeline from number `oldest` on, newest first."""
    where = and_(pipeline_versions.c.pipeline == key, pipeline_versions.c.version >= oldest)
    query = select(pipeline_versions).where(where).order_by(pipeline_versions.c.version.desc())
    return [_version(row) for row in tx.execute(query).all()]


def set_state(tx: Tx, key: int, state: str, reason: str) -> None:
    """Change how a pipeline is doing, and why."""
    tx.execute(_CHANGE, {"at": key, "state": state, "reason": reason})


def busy(tx: Tx, key: int) -> None:
    """Note that a pipeline has a job."""
    tx.execute(_BUSY, {"at": key, "up_us": tx.now_us})


def idle(tx: Tx, key: int) -> None:
    """Note that a pipeline has no job any more, unless it has another."""
    tx.execute(_IDLE, {"at": key})


def set_kind(tx: Tx, key: int, kind: str) -> None:
    """Say whether a pipeline has a worker of its own: SERVICE, SPOUT or TRANSFORM."""
    tx.execute(_CHANGE, {"at": key, "kind": kind})


def standing(tx: Tx) -> list[PipelineRow]:
    """The services and spouts, oldest first."""
    return [_pipeline(row) for row in tx.execute(_STANDING).all()]


def set_stopped(tx: Tx, key: int, stopped: bool, state: str) -> None:
    """Stop or start a pipeline."""
    values = {"stopped": stopped, "state": state, "reason": "", "updated_us": tx.now_us}
    tx.execute(update(pipelines).where(pipelines.c.key == key).values(**values))


def delete_pipeline(tx: Tx, key: int) -> None:
    """Remove a pipeline and its versions; its jobs must be gone."""
    tx.execute(delete(cron_inputs).where(cron_inputs.c.pipeline == key))
    tx.execute(delete(pipeline_versions).where(pipeline_versions.c.pipeline == key))
    tx.execute(delete(pipelines).where(pipelines.c.key == key))


def _pipeline(row: AnyRow) -> PipelineRow:
    address = Pipeline(row.project, row.name)
    times = (row.created_us, row.updated_us, row.up_us)
    texts = json.loads(row.metadata)
    return PipelineRow(row.key, address, row.version, row.state, row.reason, bool(row.stopped), row.kind, *times, texts)


def _version(row: AnyRow) -> VersionRow:
    return VersionRow(**{name: getattr(row, name) for name in VersionRow.__slots__})
