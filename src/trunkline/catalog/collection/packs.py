"""How much of each chunk is still pointed to, and which chunks are worth storing anew."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import func, select, update

from trunkline.catalog.collection.chunks import Key, is_one_of
from trunkline.catalog.collection.sessions import newest
from trunkline.catalog.engine.tx import AnyRow, Tx
from trunkline.catalog.tables import chunks, filesets, holders, sessions


def held(tx: Tx) -> tuple[list[str], int, int]:
    """Ids of all held file sets, their rows together, and the newest session: what a count has to begin with."""
    query = select(holders.c.fileset_id, filesets.c.rows).join(filesets, filesets.c.id == holders.c.fileset_id)
    rows = tx.execute(query.distinct().order_by(holders.c.fileset_id)).all()
    return [row.fileset_id for row in rows], sum(row.rows for row in rows), newest(tx)


def list_counted(tx: Tx, after: Key, end: bytes, limit: int) -> list[AnyRow]:
    """A page of live chunks (hash, gen, live_bytes) by key, from after one to before the hash `end` (b"": no end)."""
    digest, gen = after
    beyond = (chunks.c.hash > digest) | ((chunks.c.hash == digest) & (chunks.c.gen > gen))
    query = select(chunks.c.hash, chunks.c.gen, chunks.c.live_bytes).where(beyond, chunks.c.condemned.is_(None))
    if end:
        query = query.where(chunks.c.hash < end)
    return tx.execute(query.order_by(chunks.c.hash, chunks.c.gen).limit(limit)).all()


def set_live(tx: Tx, counted: Iterable[tuple[Key, int]], through: int) -> None:
    """Say how many plain bytes of some chunks are pointed to.

    Not of those whose session is open or newer than `through`: what will point to them is not there yet.
    """
    writing = select(sessions.c.gen).where(sessions.c.open)
    for key, live in counted:
        mine = is_one_of([key]), chunks.c.gen <= through, chunks.c.gen.not_in(writing)
        tx.execute(update(chunks).where(*mine).values(live_bytes=live))


def mostly_dead(tx: Tx, after: Key, limit: int) -> list[AnyRow]:
    """A page of live, undamaged chunks (hash, gen, live_bytes) of which less than half is pointed to."""
    digest, gen = after
    beyond = (chunks.c.hash > digest) | ((chunks.c.hash == digest) & (chunks.c.gen > gen))
    worth = chunks.c.live_bytes > 0, chunks.c.live_bytes * 2 < chunks.c.size_bytes
    query = select(chunks.c.hash, chunks.c.gen, chunks.c.live_bytes).where(beyond, *worth)
    query = query.where(chunks.c.condemned.is_(None), chunks.c.damaged.is_(False))
    return tx.execute(query.order_by(chunks.c.hash, chunks.c.gen).limit(limit)).all()


def dead_bytes(tx: Tx) -> int:
    """Plain bytes of live chunks that nothing pointed to when that was last counted."""
    dead = func.coalesce(func.sum(chunks.c.size_bytes - chunks.c.live_bytes), 0)
    return int(tx.execute(select(dead).where(chunks.c.condemned.is_(None))).scalar())
