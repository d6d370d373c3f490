"""The rows of a collection cycle: condemn what no held file set names, wait for whoever was writing, doom, delete.

A cycle reads one snapshot (`mark`), unites the chunk lists of the file sets it found held, and then changes rows in
small transactions, each of which tests the state again. Only one collector runs: it takes the fence, and every change
names it. The collector alone deletes file sets, so what it found held stays readable while it reads lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from sqlalchemy import ColumnElement, Table, delete, func, insert, null, select, update

from trunkline.catalog.collection.chunks import Key, is_one_of
from trunkline.catalog.collection.sessions import ended_of
from trunkline.catalog.engine.tx import AnyRow, Tx, slices
from trunkline.catalog.tables import (
    awaited,
    chunks,
    collector,
    doomed_blobs,
    doomed_chunks,
    fileset_blobs,
    filesets,
    holders,
    pins,
    sessions,
)
from trunkline.errors import Aborted, Internal

WIPED_BYTES = 32 << 10
"""About so many bytes of rows are deleted in one transaction: their pages are written once more, with nothing in them,
and whoever writes next waits for that."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What one snapshot shows at the begin of a cycle's mark.

    held: ids of all held file sets. clear_through: the newest cycle whose awaited sessions have all ended or
    refreshed; what that cycle or an earlier one condemned, and these file sets do not name, is doomed.
    """

    held: list[str]
    clear_through: int


def take(tx: Tx) -> int:
    """Become the collector. Answers the fence; whoever had an older one is refused from now on."""
    change = update(collector).values(fence=collector.c.fence + 1)
    return int(tx.execute(change.returning(collector.c.fence)).scalar())


def begin(tx: Tx, fence: int) -> int:
    """Start a cycle. Answers its number. Commit it before `mark`."""
    change = update(collector).where(collector.c.fence == fence).values(cycle=collector.c.cycle + 1)
    row = tx.execute(change.returning(collector.c.cycle)).first()
    if row is None:
        raise _overtaken()
    return int(row[0])


def mark(tx: Tx) -> Mark:
    """The roots. One snapshot for all of them, begun after `begin` was committed: a list gathered from several could
    miss a file set copied from one that was then dropped.
    """
    held = tx.execute(select(holders.c.fileset_id).distinct().order_by(holders.c.fileset_id)).scalars()
    oldest = tx.execute(select(func.min(awaited.c.cycle))).scalar()
    noted = tx.execute(select(collector.c.noted)).scalar()
    return Mark(held, noted if oldest is None else min(noted, oldest - 1))


def chunk_lists(tx: Tx, ids: Sequence[str], *, bodies: bool = True) -> list[AnyRow]:
    """Rows (id, chunks, body) of file sets, for a page of what `mark` found. bodies: False leaves them out."""
    query = select(filesets.c.id, filesets.c.chunks, filesets.c.body if bodies else null().label("body"))
    return [row for some in slices(ids) for row in tx.execute(query.where(filesets.c.id.in_(some)))]


def list_chunks(tx: Tx, after: Key | None, limit: int) -> list[AnyRow]:
    """Rows (hash, gen, size_bytes, stored_bytes, condemned, damaged) of chunks, by key, after one."""
    query = select(chunks).order_by(chunks.c.hash, chunks.c.gen).limit(limit)
    if after is not None:
        digest, gen = after
        query = query.where((chunks.c.hash > digest) | ((chunks.c.hash == digest) & (chunks.c.gen > gen)))
    return tx.execute(query).all()


def condemn(tx: Tx, fence: int, cycle: int, keys: Sequence[Key]) -> int:
    """Condemn incarnations that are live and whose uploader is not open. Answers how many were condemned.

    keys: incarnations that no file set of this cycle's mark names.
    """
    if _running(tx, fence, cycle).noted >= cycle:
        raise Internal(f"cycle {cycle} has noted its waits and condemns no more")
    writing = select(sessions.c.gen).where(sessions.c.open)
    count = 0
    for some in slices(keys):
        change = update(chunks).where(is_one_of(some), chunks.c.condemned.is_(None), chunks.c.gen.not_in(writing))
        count += tx.execute(change.values(condemned=cycle)).rowcount
    return count


def note_waits(tx: Tx, fence: int, cycle: int) -> list[int]:
    """After the last `condemn` of a cycle: note the sessions that are open, since they may use what it condemned.

    Answers them.
    """
    first = _running(tx, fence, cycle).noted + 1
    open_now = tx.execute(select(sessions.c.gen).where(sessions.c.open).order_by(sessions.c.gen)).scalars()
    if open_now:
        tx.execute(insert(awaited), [{"cycle": first, "gen": gen} for gen in open_now])
    tx.execute(update(collector).values(noted=cycle))
    return open_now


def doom(tx: Tx, fence: int, cycle: int, clear_through: int, keys: Sequence[Key]) -> list[Key]:
    """Take incarnations out of the reach of look-ups: those still condemned, by a cycle that is clear.

    keys: incarnations that no file set of this cycle's mark names. clear_through: from the same mark.
    Answers the ones that were doomed.
    """
    _running(tx, fence, cycle)
    doomed: list[Key] = []
    for some in slices(keys):
        gone = delete(chunks).where(is_one_of(some), chunks.c.condemned <= clear_through)
        doomed += [(row.hash, row.gen) for row in tx.execute(gone.returning(chunks.c.hash, chunks.c.gen))]
    if doomed:
        tx.execute(insert(doomed_chunks), [{"hash": digest, "gen": gen, "doom": cycle} for digest, gen in doomed])
    return doomed


def delete_unheld(tx: Tx, fence: int, cycle: int, limit: int) -> list[str]:
    """Delete up to `limit` file sets that nothing holds, and doom the blobs that were theirs alone. Answers their ids.

    They are fewer where their rows are large, for each page of those is overwritten. Not while chunk lists are being
    read.
    """
    _running(tx, fence, cycle)
    held = select(holders.c.kind).where(holders.c.fileset_id == filesets.c.id).exists()
    bytes_ = func.length(filesets.c.body) + func.coalesce(func.length(filesets.c.chunks), 0)
    found = tx.execute(select(filesets.c.id, bytes_).where(~held).order_by(filesets.c.id).limit(limit)).all()
    before = accumulate((row[1] for row in found), initial=0)
    ids = [row.id for row, so_far in zip(found, before, strict=False) if so_far < WIPED_BYTES]
    for some in slices(ids):
        gone = delete(fileset_blobs).where(fileset_blobs.c.fileset_id.in_(some)).returning(fileset_blobs.c.name)
        names = set(tx.execute(gone).scalars())
        tx.execute(delete(filesets).where(filesets.c.id.in_(some)))
        for few in slices(sorted(names)):
            names -= set(
                tx.execute(select(fileset_blobs.c.name).where(fileset_blobs.c.name.in_(few))).scalars()
            )  # another file set needs them
        if names:
            tx.execute(insert(doomed_blobs), [{"name": name, "doom": cycle} for name in sorted(names)])
    return ids


def count_unheld(tx: Tx) -> int:
    """How many file sets nothing holds."""
    held = select(holders.c.kind).where(holders.c.fileset_id == filesets.c.id).exists()
    return int(tx.execute(select(func.count()).select_from(filesets).where(~held)).scalar())


def finish_doom(tx: Tx, fence: int, cycle: int) -> None:
    """Say that this cycle dooms nothing more. Reads that start from here on need none of it."""
    _running(tx, fence, cycle)
    tx.execute(update(collector).values(doomed_through=cycle))


def any_doomed(tx: Tx) -> bool:
    """Whether anything waits for running reads before its blob can go."""
    return any(tx.execute(select(table.c.doom).limit(1)).first() for table in (doomed_chunks, doomed_blobs))


def list_deletable(tx: Tx, limit: int) -> tuple[list[Key], list[str]]:
    """Doomed chunks and blobs that no running read can need, up to `limit` of each: delete them, then `forget`."""
    through = select(collector.c.doomed_through).scalar_subquery()

    def due(table: Table) -> tuple[ColumnElement[bool], ...]:
        return table.c.doom <= through, ~select(pins.c.since).where(pins.c.since < table.c.doom).exists()

    of_chunks = select(doomed_chunks.c.hash, doomed_chunks.c.gen).where(*due(doomed_chunks)).limit(limit)
    of_blobs = select(doomed_blobs.c.name).where(*due(doomed_blobs)).limit(limit)
    return [(row.hash, row.gen) for row in tx.execute(of_chunks)], tx.execute(of_blobs).scalars()


def forget(tx: Tx, keys: Sequence[Key], names: Sequence[str]) -> None:
    """Remove the rows of doomed chunks and blobs whose blobs are deleted."""
    for some in slices(keys):
        for digest, gen in some:
            tx.execute(delete(doomed_chunks).where(doomed_chunks.c.hash == digest, doomed_chunks.c.gen == gen))
    for few in slices(names):
        tx.execute(delete(doomed_blobs).where(doomed_blobs.c.name.in_(few)))


def leftover_chunks(tx: Tx, keys: Sequence[Key]) -> list[Key]:
    """Which of these incarnations, found by listing blobs, belong to nothing: session ended, no row, not doomed.

    A session writes a chunk's row after its blob, so the blob of an open one may look like this and is none.
    """
    ended = ended_of(tx, sorted({gen for _, gen in keys}))
    left = [key for key in keys if key[1] in ended]
    for table in (chunks, doomed_chunks):
        for some in slices(left):
            found = select(table.c.hash, table.c.gen).where(table.c.hash.in_([digest for digest, _ in some]))
            there = {(row.hash, row.gen) for row in tx.execute(found)}
            left = [key for key in left if key not in there]
    return left


def leftover_blobs(tx: Tx, names: Sequence[tuple[str, int]]) -> list[str]:
    """As `leftover_chunks` for parts and chunk lists, each with the session that uploaded it."""
    ended = ended_of(tx, sorted({gen for _, gen in names}))
    left = [name for name, gen in names if gen in ended]
    for table in (fileset_blobs, doomed_blobs):
        for some in slices(left):
            there = set(tx.execute(select(table.c.name).where(table.c.name.in_(some))).scalars())
            left = [name for name in left if name not in there]
    return left


def _running(tx: Tx, fence: int, cycle: int) -> AnyRow:
    """The collector's row. Raises Aborted unless the caller is the collector, and its cycle the one that runs."""
    row = tx.execute(select(collector)).one()
    if row.fence != fence:
        raise _overtaken()
    # A chunk doomed under an older number could look as if no read that runs had begun before.
    if row.cycle != cycle or row.doomed_through >= cycle:
        raise Internal(f"cycle {cycle} is over")
    return row


def _overtaken() -> Aborted:
    return Aborted("another collector has taken over; this one stops")
