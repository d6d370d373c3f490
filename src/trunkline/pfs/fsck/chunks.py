"""Chunks, each by itself: whether its blob is there, and holds what its name says."""

from __future__ import annotations

from trunkline.catalog.collection import checks
from trunkline.catalog.collection import chunks as chunk_rows
from trunkline.errors import DataLoss, TrunklineError
from trunkline.pfs.files import Files
from trunkline.storage import ChunkKey
from trunkline.storage.chunks.reader import Piece

PAGE = 1000
NAMED = 10
"""How many bad chunks an error names."""


def check_chunks(files: Files, *, begin: bytes = b"", end: bytes = b"", read: bool = False) -> int:
    """How many recorded chunks have a hash from `begin` to before `end` (empty: no bound).

    read: also read each one and compare it with its hash. Raises DataLoss that names the bad ones (I-1).
    """
    count, bad = 0, []
    after = (begin, -1)
    with files.reading.begin() as reading:
        while True:
            mark = after
            page = files.catalog.read(lambda tx: checks.list_chunks(tx, mark, end, PAGE))  # noqa: B023
            for digest, gen, size in page:
                reading.touch()
                why = _wrong(files, ChunkKey(digest, gen), size, read=read)
                # What was collected while it was looked at is not wrong.
                if why and files.catalog.read(lambda tx: not chunk_rows.missing(tx, [(digest, gen)])):  # noqa: B023
                    bad.append(f"I-1: {why}")
            count += len(page)
            if len(page) < PAGE:
                break
            after = (page[-1][0], page[-1][1])
    if bad:
        more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        raise DataLoss(f"{len(bad)} of {count} chunks are bad: {'; '.join(bad[:NAMED])}{more}")
    return count


def _wrong(files: Files, key: ChunkKey, size: int, *, read: bool) -> str:
    """What is wrong with a chunk; empty: nothing."""
    try:
        if read:
            list(files.store.checker().read([Piece(key.hash, size, key)]))
        else:
            files.store.blobs.size(key.blob)
    except TrunklineError as error:
        return f"chunk {key.hash.hex()}.{key.gen}: {error}"
    return ""
