"""Queries on log segments: what code and system had to say, in compressed pieces."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, delete, insert, select

from trunkline.ambient import Micros
from trunkline.catalog.engine import Tx
from trunkline.catalog.engine.fixed import Fixed
from trunkline.catalog.tables_pps import log_segments
from trunkline.errors import DataLoss

MOST_PLAIN_BYTES = 16 << 20


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


def packed(lines: bytes) -> bytes:
    """Lines as a segment keeps them."""
    return zlib.compress(lines, 1)


def plain(row: SegmentRow) -> bytes:
    """A segment's lines, at most 16 MiB of them. Raises DataLoss."""
    decoder = zlib.decompressobj()
    try:
        lines = decoder.decompress(row.data, MOST_PLAIN_BYTES)
    except zlib.error as error:
        raise _damaged(row, str(error)) from None
    if len(lines) == MOST_PLAIN_BYTES:
        return lines  # the check sum stands behind what is left out
    if not decoder.eof or decoder.unused_data:
        raise _damaged(row, "it does not end where it should")
    return lines


def _damaged(row: SegmentRow, why: str) -> DataLoss:
    whose = f"worker {row.worker}" if row.worker else "the server"
    return DataLoss(f"log segment {row.seq} is damaged: {row.lines} lines of {whose} are lost ({why})")


def damaged_page(tx: Tx, above: int, limit: int = 200) -> tuple[list[str], int | None]:
    """A sentence for each segment that cannot be read, of those after `above`; and where to go on, None at the end."""
    rows = list_segments(tx, pipeline=None, job=None, since_us=0, after=above, limit=limit)
    return [f"I-11: {told}" for row in rows if (told := _trouble(row))], rows[-1].seq if rows else None


def _trouble(row: SegmentRow) -> str:
    try:
        plain(row)
    except DataLoss as error:
        return str(error)
    return ""


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
