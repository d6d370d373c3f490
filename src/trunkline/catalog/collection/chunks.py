"""Rows of chunks, one for each incarnation: found, recorded, brought back to life, marked as damaged.

Of all undamaged rows of one hash there is at most one, LIVE or CONDEMNED: whoever would add a second one revives the
first. An index holds this.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import delete, func, insert, select, tuple_, update

from trunkline.catalog.collection.sessions import require_open
from trunkline.catalog.engine import Catalog, Tx, slices
from trunkline.catalog.tables import awaited, chunks
from trunkline.errors import Internal

Key = tuple[bytes, int]
"""Hash and generation of an incarnation."""


class Uploaded(Protocol):
    """A chunk whose blob is durable. Sizes in bytes, plain and as stored."""

    @property
    def hash(self) -> bytes:
        """BLAKE3 of the plain bytes."""
        ...

    @property
    def gen(self) -> int:
        """The session that uploaded it."""
        ...

    @property
    def size_bytes(self) -> int:
        """Plain."""
        ...

    @property
    def stored_bytes(self) -> int:
        """As stored."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """Answer of a look-up: generations by hash. `condemned` ones may be used only after `known` has revived them."""

    live: dict[bytes, int]
    condemned: dict[bytes, int]


def look_up(tx: Tx, gen: int, hashes: Sequence[bytes]) -> Found:
    """What is stored of these contents, in a snapshot begun after the session was opened. Damaged ones are passed over.

    Raises Aborted unless session `gen` is open. The answer is good for that session only.
    """
    require_open(tx, gen)
    found = Found({}, {})
    for some in slices(list(dict.fromkeys(hashes))):
        query = select(chunks.c.hash, chunks.c.gen, chunks.c.condemned).where(
            chunks.c.hash.in_(some), chunks.c.damaged.is_(False)
        )
        for row in tx.execute(query):
            (found.live if row.condemned is None else found.condemned)[row.hash] = row.gen
    return found


def known(tx: Tx, gen: int, hashes: Sequence[bytes]) -> dict[bytes, int]:
    """Which of these contents session `gen` may use without an upload, and in which generation. Revives condemned ones.

    Raises Aborted unless the session is open.
    """
    found = look_up(tx, gen, hashes)
    if found.condemned:
        revive(tx, found.condemned.items())
    return found.live | found.condemned


def ask(catalog: Catalog, gen: int, hashes: Sequence[bytes]) -> dict[bytes, int]:
    """As `known`, outside of a transaction: the writer is bothered only where something must be revived."""
    found = catalog.read(lambda tx: look_up(tx, gen, hashes))
    return catalog.transact(lambda tx: known(tx, gen, hashes)) if found.condemned else found.live


def register(tx: Tx, gen: int, uploaded: Iterable[Uploaded]) -> dict[bytes, int]:
    """Record chunks that session `gen` has uploaded. Answers the generation to use for each hash.

    Where a row was there first it wins, condemned or not, and the blob just uploaded is a leftover.
    Raises Aborted unless the session is open.
    """
    new = {chunk.hash: chunk for chunk in uploaded}
    for chunk in new.values():
        if chunk.gen != gen:
            raise Internal(f"session {gen} registers a chunk of generation {chunk.gen}")
    answer = known(tx, gen, list(new))
    left = [chunk for digest, chunk in new.items() if digest not in answer]
    if left:
        names = ("hash", "gen", "size_bytes", "stored_bytes")
        tx.execute(insert(chunks), [{name: getattr(chunk, name) for name in names} for chunk in left])
    return answer | {chunk.hash: gen for chunk in left}


def refresh(tx: Tx, gen: int, hits: Iterable[Key]) -> None:
    """Make a long session count as newly opened. `hits`: all it has found or recorded and not sealed yet.

    Raises Aborted unless the session is open, Internal if a hit has gone: the rules exclude that.
    """
    require_open(tx, gen)
    keys = list(dict.fromkeys(hits))
    gone = missing(tx, keys)
    if gone:
        raise Internal(f"chunk {gone[0][0].hex()}.{gone[0][1]} was taken from session {gen} that uses it")
    revive(tx, keys)
    tx.execute(delete(awaited).where(awaited.c.gen == gen))


def revive(tx: Tx, keys: Iterable[Key]) -> int:
    """Make condemned incarnations live. Answers how many were."""
    count = 0
    for some in slices(list(keys)):
        change = update(chunks).where(is_one_of(some), chunks.c.condemned.is_not(None)).values(condemned=None)
        count += tx.execute(change).rowcount
    return count


def missing(tx: Tx, keys: Sequence[Key]) -> list[Key]:
    """Which of these incarnations have no row."""
    there: set[Key] = set()
    for some in slices(keys):
        found = tx.execute(select(chunks.c.hash, chunks.c.gen).where(is_one_of(some)))
        there.update((row.hash, row.gen) for row in found)
    return [key for key in keys if key not in there]


def stored_bytes(tx: Tx, keys: Sequence[Key]) -> int:
    """How many bytes the blobs of these incarnations have; those without a row do not count."""
    total = func.coalesce(func.sum(chunks.c.stored_bytes), 0)
    return sum(int(tx.execute(select(total).where(is_one_of(some))).one()[0]) for some in slices(keys))


def mark_damaged(tx: Tx, keys: Iterable[Key]) -> None:
    """Let no look-up find these incarnations any more: the next put of their content stores it again, beside them."""
    for some in slices(list(keys)):
        tx.execute(update(chunks).where(is_one_of(some)).values(damaged=True))


def intact_of(tx: Tx, digest: bytes) -> int | None:
    """The generation in which this content is stored undamaged, live or condemned. None: in none."""
    query = select(chunks.c.gen).where(chunks.c.hash == digest, chunks.c.damaged.is_(False))
    found = tx.execute(query).scalar()
    return None if found is None else int(found)


def is_one_of(keys: Sequence[Key]) -> Any:
    """The condition that a row is one of these incarnations."""
    return tuple_(chunks.c.hash, chunks.c.gen).in_(keys)
