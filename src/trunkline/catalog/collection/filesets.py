"""Sealed file sets and who holds them. A file set is live while it has a holder; deleting anything is dropping holders.

The catalog stores a file set as the bytes it is given and never looks inside.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from sqlalchemy import ColumnElement, and_, delete, insert, select, true

from trunkline.catalog.collection.chunks import Key, revive
from trunkline.catalog.collection.sessions import SESSION, require_open
from trunkline.catalog.engine.tx import Tx, slices
from trunkline.catalog.tables import fileset_blobs, filesets, holders
from trunkline.errors import Aborted


class SealedRow(Protocol):
    """A file set that never changes again, all its blobs durable."""

    @property
    def id(self) -> str:
        """32 hex digits."""
        ...

    @property
    def rows(self) -> int:
        """How many it has."""
        ...

    @property
    def size_bytes(self) -> int:
        """Plain bytes of its content."""
        ...

    @property
    def chunks(self) -> bytes | None:
        """Its chunk list, None when that is one of `blobs()`."""
        ...

    def blobs(self) -> tuple[str, ...]:
        """Names of the blobs with its own rows and chunk list."""
        ...

    def to_bytes(self) -> bytes:
        """All of it, for `get_filesets` to give back."""
        ...


def seal(tx: Tx, gen: int, sealed: Iterable[SealedRow], hits: Sequence[Key] = ()) -> None:
    """Record file sets, held by session `gen` until it ends or they are adopted.

    hits: incarnations they use that the session had found; they are brought back to life where a cycle condemned them
    meanwhile. Raises Aborted unless the session is open.
    """
    require_open(tx, gen)
    rows, blobs, held = [], [], []
    for one in sealed:
        rows.append(
            {
                "id": one.id,
                "gen": gen,
                "rows": one.rows,
                "size_bytes": one.size_bytes,
                "sealed_us": tx.now_us,
                "chunks": one.chunks,
                "body": one.to_bytes(),
            }
        )
        blobs += [{"name": name, "fileset_id": one.id} for name in dict.fromkeys(one.blobs())]
        held.append({"fileset_id": one.id, "kind": SESSION, "key": str(gen)})
    if not rows:
        return
    revive(tx, hits)
    tx.execute(insert(filesets), rows)
    if blobs:
        tx.execute(insert(fileset_blobs), blobs)
    tx.execute(insert(holders), held)


def get_filesets(tx: Tx, ids: Sequence[str]) -> dict[str, bytes]:
    """The bytes of file sets that are held, by id. One that is not held is not there, even if its row still is."""
    answer: dict[str, bytes] = {}
    is_held = select(holders.c.kind).where(holders.c.fileset_id == filesets.c.id).exists()
    for some in slices(ids):
        for row in tx.execute(select(filesets.c.id, filesets.c.body).where(filesets.c.id.in_(some), is_held)):
            answer[row.id] = row.body
    return answer


def share(tx: Tx, fileset_id: str, kind: str, key: str) -> None:
    """Add a holder to a file set that is held. Raises Aborted when it is not: it may be half collected already."""
    share_all(tx, [fileset_id], kind, key)


def share_all(tx: Tx, ids: Sequence[str], kind: str, key: str) -> None:
    """Add a holder to each of some file sets. One that it holds already stays. Raises Aborted when one is not held."""
    wanted = list(dict.fromkeys(ids))
    mine = _held_by_any(tx, wanted, and_(holders.c.kind == kind, holders.c.key == key))
    others = [fileset_id for fileset_id in wanted if fileset_id not in mine]
    alive = _held_by_any(tx, others, true())
    gone = [fileset_id for fileset_id in others if fileset_id not in alive]
    if gone:
        raise Aborted(f"file set {gone[0]} was deleted while it was in use; try again")
    if others:
        tx.execute(insert(holders), [{"fileset_id": fileset_id, "kind": kind, "key": key} for fileset_id in others])


def _held_by_any(tx: Tx, ids: Sequence[str], which: ColumnElement[bool]) -> set[str]:
    """Those of some file sets that one of these holders holds. Commits by the thousand may: they are not all read."""
    held: set[str] = set()
    is_held = select(holders.c.kind).where(holders.c.fileset_id == filesets.c.id, which).exists()
    for some in slices(ids):
        # On PostgreSQL these rows must be locked, so that a file set cannot go beside us.
        query = select(filesets.c.id).where(filesets.c.id.in_(some), is_held).with_for_update(read=True)
        held.update(tx.execute(query).scalars())
    return held


def hold(tx: Tx, gen: int, ids: Sequence[str]) -> None:
    """Have session `gen` hold file sets that it copies from by reference.

    Raises Aborted unless the session is open and every one of them is held.
    """
    require_open(tx, gen)
    share_all(tx, ids, SESSION, str(gen))


def adopt(tx: Tx, gen: int, ids: Sequence[str], kind: str, key: str) -> None:
    """Pass file sets from session `gen` to a holder that stays.

    Raises Aborted unless the session is open and every one of them is held (by it, or by something else it copies).
    """
    require_open(tx, gen)
    share_all(tx, ids, kind, key)
    for some in slices(ids):
        mine = holders.c.kind == SESSION, holders.c.key == str(gen)
        tx.execute(delete(holders).where(holders.c.fileset_id.in_(some), *mine))


def release(tx: Tx, fileset_id: str, kind: str, key: str) -> None:
    """Take one holder from one file set. Nothing happens where it does not hold it."""
    tx.execute(delete(holders).where(holders.c.fileset_id == fileset_id, holders.c.kind == kind, holders.c.key == key))


def drop_holder(tx: Tx, kind: str, key: str) -> None:
    """Take a holder from everything it holds."""
    tx.execute(delete(holders).where(holders.c.kind == kind, holders.c.key == key))


def holders_of(tx: Tx, ids: Sequence[str]) -> dict[str, set[tuple[str, str]]]:
    """Kind and key of every holder, by file set. One that nothing holds is absent."""
    answer: dict[str, set[tuple[str, str]]] = {}
    for some in slices(ids):
        for row in tx.execute(select(holders).where(holders.c.fileset_id.in_(some))):
            answer.setdefault(row.fileset_id, set()).add((row.kind, row.key))
    return answer


def held_by(tx: Tx, kind: str, key: str) -> list[str]:
    """Ids of the file sets that a holder holds."""
    return tx.execute(
        select(holders.c.fileset_id).where(holders.c.kind == kind, holders.c.key == key).order_by(holders.c.fileset_id)
    ).scalars()
