"""Queries on what had bytes of something purged: is it stored still?"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select

from trunkline.catalog.collection.chunks import Key, is_one_of
from trunkline.catalog.collection.exchange import DIFF_HOLDER, RUNS_HOLDER
from trunkline.catalog.collection.filesets import drop_holder
from trunkline.catalog.engine.tx import AnyRow, Tx, slices
from trunkline.catalog.lent.leases import LEASE_HOLDER
from trunkline.catalog.lent.tables import cache_entries, cache_leases, lease_layers, leases
from trunkline.catalog.purging.purges import PURGE_HOLDER
from trunkline.catalog.tables import chunks, doomed_blobs, doomed_chunks, fileset_blobs, filesets, holders


def let_go_by(tx: Tx, key: int, after: str, limit: int) -> list[AnyRow]:
    """A page of file sets (id, chunks, body) that only a purge keeps, by id, of all that its commits were made of.

    What other commits are made of has nothing of it.
    """
    other = holders.alias("other")
    used = select(other.c.kind).where(
        other.c.fileset_id == holders.c.fileset_id, other.c.kind.in_((DIFF_HOLDER, RUNS_HOLDER))
    )
    query = (
        select(filesets.c.id, filesets.c.chunks, filesets.c.body)
        .join(holders, holders.c.fileset_id == filesets.c.id)
        .where(holders.c.kind == PURGE_HOLDER, holders.c.key == str(key), filesets.c.id > after, ~used.exists())
        .order_by(filesets.c.id)
        .limit(limit)
    )
    return tx.execute(query).all()


def unheld(tx: Tx, after: str, limit: int) -> list[AnyRow]:
    """A page of file sets (id, chunks, body) that nothing holds, by id."""
    held = select(holders.c.kind).where(holders.c.fileset_id == filesets.c.id).exists()
    query = select(filesets.c.id, filesets.c.chunks, filesets.c.body).where(~held, filesets.c.id > after)
    return tx.execute(query.order_by(filesets.c.id).limit(limit)).all()


def doomed(tx: Tx) -> list[tuple[str, str]]:
    """What waits to be deleted, by kind and the name of its blob."""
    found = [("blob", name) for name in tx.execute(select(doomed_blobs.c.name)).scalars()]
    for row in tx.execute(select(doomed_chunks.c.hash, doomed_chunks.c.gen)):
        text = row.hash.hex()
        found.append(("chunk", f"chunks/{text[:2]}/{text}.{row.gen}"))
    return found


def release_all(tx: Tx, key: int) -> None:
    """Let everything go that a purge holds."""
    drop_holder(tx, PURGE_HOLDER, str(key))


def blobs_of(tx: Tx, ids: Sequence[str]) -> list[str]:
    """Names of the blobs that only these file sets need."""
    names: set[str] = set()
    for some in slices(ids):
        names |= set(tx.execute(select(fileset_blobs.c.name).where(fileset_blobs.c.fileset_id.in_(some))).scalars())
    mine = set(ids)
    for few in slices(sorted(names)):
        query = select(fileset_blobs.c.name, fileset_blobs.c.fileset_id).where(fileset_blobs.c.name.in_(few))
        names -= {row.name for row in tx.execute(query) if row.fileset_id not in mine}
    return sorted(names)


def lent(tx: Tx, after: tuple[str, int], limit: int) -> list[AnyRow]:
    """A page of what leases are made of (lease, position, fileset)."""
    beyond = (lease_layers.c.lease > after[0]) | (
        (lease_layers.c.lease == after[0]) & (lease_layers.c.position > after[1])
    )
    order = lease_layers.c.lease, lease_layers.c.position
    return tx.execute(select(lease_layers).where(beyond).order_by(*order).limit(limit)).all()


def end_lease(tx: Tx, lease: str) -> None:
    """End a lease before its time, with the cache entries that keep it."""
    keys = tx.execute(select(cache_leases.c.key).where(cache_leases.c.lease == lease)).scalars()
    for some in slices(keys):
        tx.execute(delete(cache_leases).where(cache_leases.c.key.in_(some)))
        tx.execute(delete(cache_entries).where(cache_entries.c.key.in_(some)))
    tx.execute(delete(lease_layers).where(lease_layers.c.lease == lease))
    tx.execute(delete(leases).where(leases.c.id == lease))
    drop_holder(tx, LEASE_HOLDER, lease)


def partly_dead(tx: Tx, keys: Sequence[Key]) -> list[AnyRow]:
    """Which of these chunks (hash, gen, live_bytes) have bytes that are pointed to, and others that are not."""
    found: list[AnyRow] = []
    worth = chunks.c.live_bytes > 0, chunks.c.live_bytes < chunks.c.size_bytes
    for some in slices(keys):
        query = select(chunks.c.hash, chunks.c.gen, chunks.c.live_bytes).where(is_one_of(some), *worth)
        found += tx.execute(query.where(chunks.c.condemned.is_(None), chunks.c.damaged.is_(False))).all()
    return found


def stored_chunks(tx: Tx, keys: Sequence[Key]) -> tuple[set[Key], set[Key]]:
    """Which of these chunks are stored still, and which of them have no byte that nothing points to.

    The second is what was counted last.
    """
    there: set[Key] = set()
    full: set[Key] = set()
    for some in slices(keys):
        for row in tx.execute(select(chunks).where(is_one_of(some))):
            there.add((row.hash, row.gen))
            if row.live_bytes == row.size_bytes and row.condemned is None:
                full.add((row.hash, row.gen))
        hashes = [digest for digest, _ in some]
        for row in tx.execute(select(doomed_chunks).where(doomed_chunks.c.hash.in_(hashes))):
            there.add((row.hash, row.gen))
    return there, full


def stored_filesets(tx: Tx, ids: Sequence[str]) -> set[str]:
    """Which of these file sets there still are."""
    there: set[str] = set()
    for some in slices(ids):
        there |= set(tx.execute(select(filesets.c.id).where(filesets.c.id.in_(some))).scalars())
    return there


def stored_blobs(tx: Tx, names: Sequence[str]) -> set[str]:
    """Which of these blobs of file sets are needed, or wait to be deleted."""
    there: set[str] = set()
    for some in slices(names):
        for table in (fileset_blobs, doomed_blobs):
            there |= set(tx.execute(select(table.c.name).where(table.c.name.in_(some))).scalars())
    return there
