"""Queries on pipelines and their versions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import and_, delete, exists, insert, select, update

from trunkline.ambient import Micros
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


def insert_pipeline(tx: Tx, pipeline: Pipeline, state: str) -> int:
    """Add a pipeline without versions; its key."""
    values = {"project": pipeline.project, "name": pipeline.name, "version": 0, "state": state}
    times = {"created_us": tx.now_us, "updated_us": tx.now_us}
    return int(tx.execute(insert(pipelines).values(**values, **times).returning(pipelines.c.key)).one()[0])


def insert_version(tx: Tx, row: VersionRow) -> None:
    """Add a version and make it the current one."""
    values = {name: getattr(row, name) for name in VersionRow.__slots__}
    tx.execute(insert(pipeline_versions).values(**values))
    where = pipelines.c.key == row.pipeline
    tx.execute(update(pipelines).where(where).values(version=row.version, updated_us=tx.now_us))


def find_pipeline(tx: Tx, pipeline: Pipeline) -> PipelineRow | None:
    """One pipeline by its address."""
    where = and_(pipelines.c.project == pipeline.project, pipelines.c.name == pipeline.name)

    def look() -> PipelineRow | None:
        row = tx.execute(select(pipelines).where(where)).first()
        return _pipeline(row) if row else None

    return tx.row((pipelines,), pipeline, look)


def get_pipelines(tx: Tx, keys: Iterable[int]) -> dict[int, PipelineRow]:
    """Pipelines by key."""
    rows = tx.execute(select(pipelines).where(pipelines.c.key.in_(sorted(set(keys))))).all()
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
    return {row.key for row in tx.execute(select(pipelines.c.key).where(pipelines.c.state == state)).all()}


def similar_names(tx: Tx, pipeline: Pipeline) -> list[str]:
    """Names of pipelines in the same project, for advice in errors; at most 200."""
    query = select(pipelines.c.name).where(pipelines.c.project == pipeline.project).limit(200)
    return [row[0] for row in tx.execute(query).all()]


def get_version(tx: Tx, key: int, version: int) -> VersionRow | None:
    """One version of a pipeline."""
    where = and_(pipeline_versions.c.pipeline == key, pipeline_versions.c.version == version)

    def look() -> VersionRow | None:
        row = tx.execute(select(pipeline_versions).where(where)).first()
        return _version(row) if row else None

    return tx.row((pipeline_versions,), (key, version), look)


def list_versions(tx: Tx, key: int, oldest: int = 1) -> list[VersionRow]:
    """Versions of a pipeline from number `oldest` on, newest first."""
    where = and_(pipeline_versions.c.pipeline == key, pipeline_versions.c.version >= oldest)
    query = select(pipeline_versions).where(where).order_by(pipeline_versions.c.version.desc())
    return [_version(row) for row in tx.execute(query).all()]


def set_state(tx: Tx, key: int, state: str, reason: str) -> None:
    """Change how a pipeline is doing, and why."""
    tx.execute(update(pipelines).where(pipelines.c.key == key).values(state=state, reason=reason))


def busy(tx: Tx, key: int) -> None:
    """Note that a pipeline has a job."""
    where = and_(pipelines.c.key == key, pipelines.c.up_us.is_(None))
    tx.execute(update(pipelines).where(where).values(up_us=tx.now_us))


def idle(tx: Tx, key: int) -> None:
    """Note that a pipeline has no job any more, unless it has another."""
    unfinished = and_(jobs.c.pipeline == key, jobs.c.phase != "ended")
    where = and_(pipelines.c.key == key, pipelines.c.up_us.is_not(None), ~exists().where(unfinished))
    tx.execute(update(pipelines).where(where).values(up_us=None))


def set_kind(tx: Tx, key: int, kind: str) -> None:
    """Say whether a pipeline has a worker of its own: SERVICE, SPOUT or TRANSFORM."""
    tx.execute(update(pipelines).where(pipelines.c.key == key).values(kind=kind))


def standing(tx: Tx) -> list[PipelineRow]:
    """The services and spouts, oldest first."""
    query = select(pipelines).where(pipelines.c.kind != "TRANSFORM").order_by(pipelines.c.key)
    return [_pipeline(row) for row in tx.execute(query).all()]


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
