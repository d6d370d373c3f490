"""Queries on log segments: what code and system had to say, in compressed pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, delete, insert, select

from trunkline.ambient import Micros
from trunkline.catalog.engine import Tx
from trunkline.catalog.engine.fixed import Fixed
from trunkline.catalog.tables_pps import log_segments


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """Some log lines, compressed. job None: about the pipeline itself."""

    seq: int
    pipeline: int
    job: int | None
    worker: str
    first_us: Micros
    last_us: Micros
    lines: int
    data: bytes


_INSERT = Fixed(insert(log_segments).returning(log_segments.c.seq))


def insert_segment(
    tx: Tx, pipeline: int, job: int | None, worker: str, first_us: Micros, last_us: Micros, lines: int, data: bytes
) -> int:
    """Keep some lines; their seq."""
    values = {"pipeline": pipeline, "job": job, "worker": worker, "first_us": first_us, "last_us": last_us}
    return int(tx.execute(_INSERT, {**values, "lines": lines, "data": data}).one()[0])


def list_segments(
    tx: Tx,
    *,
    pipeline: int | None,
    job: int | None,
    since_us: Micros,
    after: int,
    limit: int,
    jobs: Sequence[int] | None = None,
    pipelines: Sequence[int] | None = None,
) -> list[SegmentRow]:
    """A page of segments after seq `after`, with lines at or after `since_us`, in order of arrival.

    jobs, pipelines: only of these; None: of all.
    """
    query = select(log_segments).where(and_(log_segments.c.seq > after, log_segments.c.last_us >= since_us))
    if pipeline is not None:
        query = query.where(log_segments.c.pipeline == pipeline)
    if job is not None:
        query = query.where(log_segments.c.job == job)
    if jobs is not None:
        query = query.where(log_segments.c.job.in_(list(jobs)))
    if pipelines is not None:
        query = query.where(log_segments.c.pipeline.in_(list(pipelines)))
    rows = tx.execute(query.order_by(log_segments.c.seq).limit(limit)).all()
    return [SegmentRow(**{name: getattr(row, name) for name in SegmentRow.__slots__}) for row in rows]


def delete_segments(tx: Tx, *, job: int | None = None, pipeline: int | None = None) -> None:
    """Logs go with their job, or with the pipeline."""
    if job is not None:
        tx.execute(delete(log_segments).where(log_segments.c.job == job))
    if pipeline is not None:
        tx.execute(delete(log_segments).where(log_segments.c.pipeline == pipeline))
