"""What must hold between the rows of collection at every commit. Used by fsck, by model tests and by crash tests.

Each check yields one sentence for each thing wrong, with the number of the promise that it breaks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from sqlalchemy import Table, and_, cast, delete, func, or_, select
from sqlalchemy.types import BigInteger

from trunkline.catalog.collection.chunks import Key, missing
from trunkline.catalog.collection.sessions import SESSION
from trunkline.catalog.engine.tx import Tx, slices
from trunkline.catalog.tables import (
    awaited,
    chunks,
    collector,
    doomed_chunks,
    filesets,
    holders,
    metadata,
    sessions,
)

_KEY_BYTES = 40


def parse_chunk_list(data: bytes) -> list[Key]:
    """The incarnations in a chunk list: 40 bytes each, hash and then generation (big-endian). Raises ValueError."""
    if len(data) % _KEY_BYTES:
        raise ValueError(f"a chunk list of {len(data)} bytes is cut off")
    starts = range(0, len(data), _KEY_BYTES)
    return [(data[at : at + 32], int.from_bytes(data[at + 32 : at + 40], "big")) for at in starts]


def violations(tx: Tx) -> Iterator[str]:
    """Everything wrong with the rows alone, whatever the blobs are."""
    yield from unheld_references(tx)
    yield from holders_of_ended_sessions(tx)
    yield from chunks_with_two_rows(tx)
    yield from numbers_never_given(tx)
    yield from waits_for_nobody(tx)


def chunks_without_rows(tx: Tx, fileset_id: str, keys: Sequence[Key]) -> Iterator[str]:
    """I-1: every incarnation that a held file set names (its chunk list, or its pieces) is recorded."""
    for digest, gen in missing(tx, keys):
        yield f"I-1: file set {fileset_id} names chunk {digest.hex()}.{gen}, which is not recorded"


def list_differs(fileset_id: str, listed: Sequence[Key], pieces: Sequence[Key]) -> Iterator[str]:
    """I-13: a file set's chunk list is exactly the incarnations its pieces name, each once, in order."""
    wanted = sorted(set(pieces))
    if list(listed) == wanted:
        return
    for digest, gen in sorted(set(wanted) - set(listed)):
        yield f"I-13: file set {fileset_id} uses chunk {digest.hex()}.{gen}, which its chunk list leaves out"
    for digest, gen in sorted(set(listed) - set(wanted)):
        yield f"I-13: file set {fileset_id} lists chunk {digest.hex()}.{gen}, which it does not use"
    if set(listed) == set(wanted):
        yield f"I-13: the chunk list of file set {fileset_id} is out of order or names a chunk twice"


def list_held(tx: Tx, after: str, limit: int) -> list[tuple[str, bytes | None, bytes]]:
    """A page of held file sets by id: (id, chunk list or None where it is a blob, body)."""
    is_held = select(holders.c.kind).where(holders.c.fileset_id == filesets.c.id).exists()
    query = select(filesets.c.id, filesets.c.chunks, filesets.c.body).where(is_held, filesets.c.id > after)
    return [(row.id, row.chunks, row.body) for row in tx.execute(query.order_by(filesets.c.id).limit(limit))]


def list_chunks(tx: Tx, after: Key, end: bytes, limit: int) -> list[tuple[bytes, int, int]]:
    """A page of recorded chunks that are not damaged, by name: (hash, generation, plain size). end: b"" for no end."""
    beyond = or_(chunks.c.hash > after[0], and_(chunks.c.hash == after[0], chunks.c.gen > after[1]))
    query = select(chunks.c.hash, chunks.c.gen, chunks.c.size_bytes).where(beyond, ~chunks.c.damaged)
    if end:
        query = query.where(chunks.c.hash < end)
    rows = tx.execute(query.order_by(chunks.c.hash, chunks.c.gen).limit(limit)).all()
    return [(row.hash, row.gen, row.size_bytes) for row in rows]


def unheld_references(tx: Tx) -> Iterator[str]:
    """I-4: what any table names as a file set is held."""
    for table, column, many in references():
        cell = table.c[column]
        cells = tx.execute(select(cell).where(cell.is_not(None), cell != "").distinct()).scalars()
        named = sorted({one for text in cells for one in (json.loads(text) if many else [text])})
        held: set[str] = set()
        for some in slices(named):
            held.update(tx.execute(select(holders.c.fileset_id).where(holders.c.fileset_id.in_(some))).scalars())
        for fileset_id in named:
            if fileset_id not in held:
                yield f"I-4: {table.name}.{column} names file set {fileset_id}, which nothing holds"


def references() -> list[tuple[Table, str, bool]]:
    """Every column that names file sets, but for collection's own; and whether it is a JSON list of them."""
    return [
        (table, column.name, column.info["filesets"] == "list")
        for table in metadata.sorted_tables
        for column in table.columns
        if "filesets" in column.info
    ]


def holders_of_ended_sessions(tx: Tx) -> Iterator[str]:
    """I-4: a session that holds something is open, or nobody would ever let go."""
    alive = select(sessions.c.gen).where(sessions.c.open)
    query = select(holders.c.fileset_id, holders.c.key).where(
        holders.c.kind == SESSION, cast(holders.c.key, BigInteger).not_in(alive)
    )
    for row in tx.execute(query):
        yield f"I-4: file set {row.fileset_id} is held by session {row.key}, which has ended"


def chunks_with_two_rows(tx: Tx) -> Iterator[str]:
    """I-1: an incarnation is stored or doomed, not both."""
    query = select(chunks.c.hash, chunks.c.gen).join(
        doomed_chunks, (doomed_chunks.c.hash == chunks.c.hash) & (doomed_chunks.c.gen == chunks.c.gen)
    )
    for row in tx.execute(query):
        yield f"I-1: chunk {row.hash.hex()}.{row.gen} is recorded and doomed at once"


def numbers_never_given(tx: Tx) -> Iterator[str]:
    """I-1: every incarnation was uploaded by a session that there was, so no later one can take its name."""
    newest = tx.execute(select(func.coalesce(func.max(sessions.c.gen), 0))).scalar()
    for table in (chunks, doomed_chunks):
        for row in tx.execute(select(table.c.hash, table.c.gen).where(table.c.gen > newest)):
            yield f"I-1: chunk {row.hash.hex()}.{row.gen} is of a session that never was"


def waits_for_nobody(tx: Tx) -> Iterator[str]:
    """I-12: a cycle awaits open sessions only, or it would free nothing for ever."""
    alive = select(sessions.c.gen).where(sessions.c.open)
    for gen in tx.execute(select(awaited.c.gen).where(awaited.c.gen.not_in(alive)).distinct()).scalars():
        yield f"I-12: collection waits for session {gen}, which has ended"
    row = tx.execute(select(collector)).one()
    if not row.doomed_through <= row.cycle >= row.noted:
        yield f"I-4: the collector's row is out of order: {tuple(row)}"


def let_go_of_ended_sessions(tx: Tx) -> list[str]:
    """Take away what ended sessions still hold and what waits for them; a sentence for each. Nothing needs that."""
    found = [f"let go: {line}" for line in (*holders_of_ended_sessions(tx), *waits_for_nobody(tx))]
    alive = select(sessions.c.gen).where(sessions.c.open)
    gone = cast(holders.c.key, BigInteger).not_in(alive)
    tx.execute(delete(holders).where(holders.c.kind == SESSION, gone))
    tx.execute(delete(awaited).where(awaited.c.gen.not_in(alive)))
    return found
