"""Sealed file sets and who holds them. A file set is live while it has a holder; deleting anything is dropping holders.

The catalog stores a file set as the bytes it is given and never looks inside.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from sqlalchemy import and_, delete, insert, select

from trunkline.catalog.collection.chunks import Key, revive
from trunkline.catalog.collection.sessions import SESSION, require_open
from trunkline.catalog.engine.fixed import Fixed, given, some
from trunkline.catalog.engine.tx import Tx, slices
from trunkline.catalog.tables import fileset_blobs, filesets, holders
from trunkline.errors import Aborted

_BODIES = Fixed(
    select(filesets.c.id, filesets.c.body).where(
        filesets.c.id.in_(some("ids")), select(holders.c.kind).where(holders.c.fileset_id == filesets.c.id).exists()
    )
)
_INSERT = Fixed(insert(filesets))
_INSERT_BLOBS = Fixed(insert(fileset_blobs))
_HOLD = Fixed(insert(holders))
_THIS = and_(holders.c.kind == given("of"), holders.c.key == given("held_by"))


_HOLDERS = select(holders.c.kind).where(holders.c.fileset_id == filesets.c.id)
# Those of some file sets that are held, and whether this one holds them. Commits by the thousand may: they are not all
# read.
_HELD = Fixed(
    select(filesets.c.id, _HOLDERS.where(_THIS).exists().label("mine")).where(
        filesets.c.id.in_(some("ids")), _HOLDERS.exists()
    )
)
_LET_GO = Fixed(delete(holders).where(holders.c.fileset_id.in_(some("ids")), _THIS))
_DROP = Fixed(delete(holders).where(_THIS))


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
    tx.execute(_INSERT, rows)
    if blobs:
        tx.execute(_INSERT_BLOBS, blobs)
    tx.execute(_HOLD, held)


def get_filesets(tx: Tx, ids: Sequence[str]) -> dict[str, bytes]:
    """The bytes of file sets that are held, by id. One that is not held is not there, even if its row still is."""
    answer: dict[str, bytes] = {}
    for page in slices(ids):
        for row in tx.execute(_BODIES, {"ids": list(page)}):
            answer[row.id] = row.body
    return answer


def share(tx: Tx, fileset_id: str, kind: str, key: str) -> None:
    """Add a holder to a file set that is held. Raises Aborted when it is not: it may be half collected already."""
    share_all(tx, [fileset_id], kind, key)


def share_all(tx: Tx, ids: Sequence[str], kind: str, key: str) -> None:
    """Add a holder to each of some file sets. One that it holds already stays. Raises Aborted when one is not held."""
    wanted = list(dict.fromkeys(ids))
    held: dict[str, bool] = {}
    for page in slices(wanted):
        held.update((row.id, row.mine) for row in tx.execute(_HELD, {"ids": list(page), "of": kind, "held_by": key}))
    gone = [fileset_id for fileset_id in wanted if fileset_id not in held]
    if gone:
        raise Aborted(f"file set {gone[0]} was deleted while it was in use; try again")
    others = [fileset_id for fileset_id in wanted if not held[fileset_id]]
    if others:
        tx.execute(_HOLD, [{"fileset_id": fileset_id, "kind": kind, "key": key} for fileset_id in others])


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
    for page in slices(ids):
        tx.execute(_LET_GO, {"ids": list(page), "of": SESSION, "held_by": str(gen)})


def release(tx: Tx, fileset_id: str, kind: str, key: str) -> None:
    """Take one holder from one file set. Nothing happens where it does not hold it."""
    tx.execute(_LET_GO, {"ids": [fileset_id], "of": kind, "held_by": key})


def drop_holder(tx: Tx, kind: str, key: str) -> None:
    """Take a holder from everything it holds."""
    tx.execute(_DROP, {"of": kind, "held_by": key})


def holders_of(tx: Tx, ids: Sequence[str]) -> dict[str, set[tuple[str, str]]]:
    """Kind and key of every holder, by file set. One that nothing holds is absent."""
    answer: dict[str, set[tuple[str, str]]] = {}
    for page in slices(ids):
        for row in tx.execute(select(holders).where(holders.c.fileset_id.in_(page))):
            answer.setdefault(row.fileset_id, set()).add((row.kind, row.key))
    return answer


def held_by(tx: Tx, kind: str, key: str) -> list[str]:
    """Ids of the file sets that a holder holds."""
    return tx.execute(
        select(holders.c.fileset_id).where(holders.c.kind == kind, holders.c.key == key).order_by(holders.c.fileset_id)
    ).scalars()
