"""Whole files that are stored already: found by columns in the content that a stream writes on top of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.storage.filesets.schema import ADD, PIECES, Mask, alone, column, keep, ops, search, truths
from trunkline.storage.reading.view import View

_ROWS_FOR_FREE = 20_000
_ROWS_A_BYTE = 1 / 8  # reading 8 rows' hashes costs about what storing 64 bytes does


Known = Callable[[Sequence[bytes]], dict[bytes, int]]


def stored_already(
    base: View | None, known: Known, paths: pa.Array, sizes: pa.Array, hashes: pa.Array
) -> tuple[Mask, pa.ListArray]:
    """Which of these files, ascending by path, the base has; and the pieces of those, in order.

    First by path, size and hash; then, where there is enough new content to be worth it, by size and hash alone.
    known: what the session says of chunks. It passes over damaged ones, so that a file put again is stored again.
    """
    found = np.zeros(len(paths), dtype=np.bool_)
    nothing = pa.array([], PIECES)
    base = base and base.worth(len(paths))
    if base is None or not len(paths) or not base.runs:
        return found, nothing
    at = np.full(len(paths), -1, dtype=np.int64)
    pools = [_by_path(base, paths, sizes, hashes, at)]
    missing = sizes.to_numpy()[at < 0]
    rows = sum(run.count for run in base.runs)
    if missing.sum() and rows <= _ROWS_FOR_FREE + int(missing.sum()) * _ROWS_A_BYTE:
        pools += _by_hash(base, sizes, hashes, at, len(pools[0]))
    found = at >= 0
    pieces = pa.concat_arrays([nothing, *pools]).take(pa.array(at[found]))
    usable = _usable(pieces, known)
    found[np.flatnonzero(found)[~usable]] = False
    return found, pieces.filter(pa.array(usable))


def same_files(base: View, known: Known, paths: pa.Array, sizes: pa.Array, hashes: pa.Array) -> Mask:
    """Which of these files, ascending by path, the base has at their paths as a plain put would leave them.

    That is: nobody else's content there (no datum), and all their bytes stored and not known to be damaged.
    """
    rows = base.at(paths)
    rows = keep(rows, ops(rows) == ADD)
    found = np.zeros(len(paths), dtype=np.bool_)
    if not rows.num_rows:
        return found
    rows = keep(rows, alone(rows.column("path")) & truths(pc.equal(rows.column("datum"), "")))
    at = np.full(len(paths), -1, dtype=np.int64)
    if not rows.num_rows:
        return found
    _agreeing(rows, paths, sizes, hashes, at)
    found = at >= 0
    usable = _usable(rows.column("pieces").take(pa.array(at[found])), known)
    found[np.flatnonzero(found)[~usable]] = False
    return found


def _usable(pieces: pa.ListArray, known: Known) -> Mask:
    """For each file's pieces, whether the session may use all of their chunks."""
    values = pieces.flatten()
    usable = np.ones(len(pieces), dtype=np.bool_)
    stored = truths(values.field("chunk").is_valid())
    if not stored.any():
        return usable
    chunks = values.field("chunk").filter(pa.array(stored)).dictionary_encode()
    names = chunks.dictionary.to_pylist()
    gens = known(names)
    right = np.array([gens.get(name, -1) for name in names], dtype=np.int64)[chunks.indices.to_numpy()]
    owner = np.repeat(np.arange(len(pieces)), pieces.value_lengths().to_numpy())[stored]
    usable[owner[right != values.field("gen").to_numpy()[stored]]] = False
    return usable


def _by_path(base: View, paths: pa.Array, sizes: pa.Array, hashes: pa.Array, at: np.ndarray) -> pa.ListArray:
    rows = base.at(pc.unique(paths))
    rows = keep(rows, ops(rows) == ADD)
    if not rows.num_rows:
        return pa.array([], PIECES)
    _agreeing(rows, paths, sizes, hashes, at)
    return rows.column("pieces")


def _agreeing(rows: pa.RecordBatch, paths: pa.Array, sizes: pa.Array, hashes: pa.Array, at: np.ndarray) -> None:
    """Note for each file the row of its path, size and hash."""
    place = np.minimum(search(rows.column("path"), paths), rows.num_rows - 1)
    there = rows.select(["path", "size", "hash"]).take(pa.array(place))
    same = np.ones(len(paths), dtype=np.bool_)
    for name, mine in (("path", paths), ("size", sizes), ("hash", hashes)):
        same &= truths(pc.equal(there.column(name), mine))
    at[same] = place[same]


def _by_hash(base: View, sizes: pa.Array, hashes: pa.Array, at: np.ndarray, offset: int) -> list[pa.ListArray]:
    """Any row will do, whether or not it still counts: the base's file sets are held, so their chunks are there."""
    pools: list[pa.ListArray] = []
    for run in base.runs:
        for number in range(len(run.parts)):
            missing = np.flatnonzero((at < 0) & (sizes.to_numpy() > 0))
            if not len(missing):
                return pools
            wanted = hashes.take(pa.array(missing))
            few = run.brief(number)
            hit = truths(pc.is_in(few.column("hash"), value_set=wanted, skip_nulls=True)) & (ops(few) == ADD)
            if not hit.any():
                continue
            rows = keep(run.part(number), hit)
            place = pc.fill_null(pc.index_in(wanted, value_set=rows.column("hash")), -1).to_numpy().astype(np.int64)
            agrees = (place >= 0) & (column(rows, "size")[place] == sizes.to_numpy()[missing])
            at[missing[agrees]] = offset + place[agrees]
            pools.append(rows.column("pieces"))
            offset += rows.num_rows
    return pools
