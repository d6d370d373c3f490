"""Files put again as they were: a diff does not say what is there already."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.storage.filesets.schema import ADD, DEL, PIECE, Mask, alone, keep, ops, search, truths


def unchanged(diff: pa.RecordBatch, under_it: pa.RecordBatch) -> pa.Array:
    """Paths at which the diff replaces a content by the same one: same datum, hash, and pieces in the same places.

    under_it: contents that stand at the diff's paths, one a path, and that no subtree hide of the diff covers. The same
    bytes in other places count as changed, so that a file whose chunk was damaged is mended by putting it again.
    """
    nothing = pa.array([], pa.string())
    op = ops(diff)
    added = keep(diff, op == ADD)
    if not added.num_rows or not under_it.num_rows:
        return nothing
    for_all = truths(pc.is_null(diff.column("datum"))) & (op == DEL)
    replaced = pc.is_in(added.column("path"), value_set=diff.column("path").filter(pa.array(for_all)))
    place = np.minimum(search(under_it.column("path"), added.column("path")), under_it.num_rows - 1)
    there = under_it.select(["path", "datum", "size", "hash", "pieces"]).take(pa.array(place))
    same = truths(replaced) & alone(added.column("path"))
    for name in ("path", "datum", "size", "hash"):
        same &= truths(pc.equal(there.column(name), added.column(name)))
    chosen = pa.array(np.flatnonzero(same))
    equal = _same_pieces(there.column("pieces").take(chosen), added.column("pieces").take(chosen))
    return added.column("path").take(chosen).filter(pa.array(equal))


def _same_pieces(one: pa.ListArray, other: pa.ListArray) -> Mask:
    """For each file, whether both lists have equal pieces."""
    lengths = one.value_lengths().to_numpy()
    same: Mask = lengths == other.value_lengths().to_numpy()
    alike = pa.array(np.flatnonzero(same))
    left, right = one.take(alike).flatten(), other.take(alike).flatten()
    differs = np.zeros(len(left), dtype=np.bool_)
    for field in PIECE:
        mine, yours = left.field(field.name), right.field(field.name)
        both_null = truths(pc.and_(mine.is_null(), yours.is_null()))
        differs |= ~(both_null | truths(pc.equal(mine, yours)))
    owner = np.repeat(np.flatnonzero(same), lengths[same])
    same[owner[differs]] = False
    return same
