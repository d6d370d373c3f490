"""What storage holds, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select

from trunkline.catalog.collection.packs import dead_bytes
from trunkline.catalog.engine import Tx
from trunkline.catalog.tables import chunks, collector, doomed_blobs, doomed_chunks, filesets, holders, pins, sessions


@dataclass(frozen=True, slots=True)
class StorageRow:
    """Counts and bytes. plain: of chunks' content; stored: of their blobs. logical: of all content that holders of the
    kinds asked for keep, each time it was written. dead: plain bytes of live chunks that no file set pointed to when
    that was last counted."""

    live: int
    live_plain_bytes: int
    live_stored_bytes: int
    condemned: int
    condemned_stored_bytes: int
    damaged: int
    doomed_chunks: int
    doomed_blobs: int
    filesets: int
    logical_bytes: int
    open_sessions: int
    pins: int
    cycle: int
    dead_bytes: int


def storage(tx: Tx, kinds: Sequence[str]) -> StorageRow:
    """Everything at once. Reads every row of a chunk: for people and for metrics, not for calls that are made often."""
    live, plain, stored = _sums(tx, chunks.c.condemned.is_(None))
    condemned, _, condemned_stored = _sums(tx, chunks.c.condemned.is_not(None))
    damaged, _, _ = _sums(tx, chunks.c.damaged)
    is_held = select(holders.c.kind).where(holders.c.fileset_id == filesets.c.id, holders.c.kind.in_(kinds)).exists()
    logical = select(func.coalesce(func.sum(filesets.c.size_bytes), 0)).where(is_held)
    counts = [
        int(tx.execute(select(func.count()).select_from(table)).scalar())
        for table in (doomed_chunks, doomed_blobs, filesets, pins)
    ]
    return StorageRow(
        live=live,
        live_plain_bytes=plain,
        live_stored_bytes=stored,
        condemned=condemned,
        condemned_stored_bytes=condemned_stored,
        damaged=damaged,
        doomed_chunks=counts[0],
        doomed_blobs=counts[1],
        filesets=counts[2],
        logical_bytes=int(tx.execute(logical).scalar()),
        open_sessions=int(tx.execute(select(func.count()).where(sessions.c.open)).scalar()),
        pins=counts[3],
        cycle=int(tx.execute(select(collector.c.cycle)).scalar()),
        dead_bytes=dead_bytes(tx),
    )


def _sums(tx: Tx, which: ColumnElement[bool]) -> tuple[int, int, int]:
    sums = (func.coalesce(func.sum(column), 0) for column in (chunks.c.size_bytes, chunks.c.stored_bytes))
    row = tx.execute(select(func.count(), *sums).select_from(chunks).where(which)).one()
    return int(row[0]), int(row[1]), int(row[2])


def table_rows(tx: Tx) -> dict[str, int]:
    """How many rows each table has. Counts them all: for a person who looks for what is wrong."""
    known = sorted(chunks.metadata.tables.items())
    return {name: int(tx.execute(select(func.count()).select_from(table)).scalar()) for name, table in known}
