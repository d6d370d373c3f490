"""Layers folded into one canonical file set: what was written later acts on what was written before.

merge(older, newer): the newer's hides drop older content, equal (path, datum) contents are joined, hides unite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.storage.filesets.schema import (
    ADD,
    DEL,
    DELTREE,
    DIR,
    PIECES,
    Ints,
    Mask,
    hash_of_pieces,
    joined,
    keep,
    ops,
    rank,
    replace,
    same_as_before,
    search,
    subtree_end,
)


def merge_layers(layers: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """One canonical file set for these canonical ones, oldest first. Rows of directories are left out.

    Hides stay, for what lies below all of the layers.
    """
    bare = [keep(layer, ops(layer) != DIR) for layer in layers if layer.num_rows]
    bare = [layer for layer in bare if layer.num_rows]
    if len(bare) < 2:
        return joined(bare)
    if _apart(bare):
        return joined(bare)
    rows = joined(bare)
    level = np.repeat(np.arange(len(bare)), [layer.num_rows for layer in bare])
    order = pc.sort_indices(rows.column("path")).to_numpy().astype(np.int64)  # stable: older layers stay first
    rows, level = rows.take(pa.array(order)), level[order]
    keys = _Keys(rows, level)
    alive = (keys.op != ADD) | ~keys.hidden()
    rows, keys = keep(rows, alive), keys.only(alive)
    order = np.lexsort((keys.level, keys.datum, keys.op, keys.path))
    return _fold(rows.take(pa.array(order)), keys.only(order))


class _Keys:
    """Columns of numbers beside the rows: the place of path and datum in their order, operation, layer."""

    def __init__(self, rows: pa.RecordBatch, level: Ints) -> None:
        self.paths = rows.column("path")
        self.path: Ints = np.cumsum(~same_as_before(self.paths), dtype=np.int64)
        self.op = ops(rows)
        self.datum = rank(rows.column("datum"))
        self.level = level
        self.rows = rows

    def only(self, chosen: Mask | Ints) -> _Keys:
        """The keys of these rows."""
        other = object.__new__(_Keys)
        other.path, other.op = self.path[chosen], self.op[chosen]
        other.datum, other.level = self.datum[chosen], self.level[chosen]
        return other

    def hidden(self) -> Mask:
        """Which rows a newer layer hides."""
        newest = np.full(len(self.path), -1, dtype=np.int64)
        everybody = (self.op == DEL) & (self.datum < 0)
        if everybody.any():
            by_path = np.full(int(self.path[-1]) + 1, -1, dtype=np.int64)
            np.maximum.at(by_path, self.path[everybody], self.level[everybody])
            newest = by_path[self.path]
        self._by_datum(newest)
        self._by_tree(newest)
        return newest > self.level

    def _by_datum(self, newest: Ints) -> None:
        scoped = (self.op == DEL) & (self.datum >= 0)
        if scoped.any():
            pair = self.path * (int(self.datum.max()) + 1) + self.datum
            pairs, at = np.unique(pair[scoped], return_inverse=True)
            latest = np.full(len(pairs), -1, dtype=np.int64)
            np.maximum.at(latest, at, self.level[scoped])
            place = np.minimum(np.searchsorted(pairs, pair), len(pairs) - 1)
            found = (pairs[place] == pair) & (self.datum >= 0)
            newest[found] = np.maximum(newest[found], latest[place[found]])

    def _by_tree(self, newest: Ints) -> None:
        for at in np.flatnonzero(self.op == DELTREE):
            start = int(search(self.paths, self.paths[at].as_py())[0])
            end = int(search(self.paths, subtree_end(self.paths[at].as_py()))[0])
            inside = newest[start:end]
            level, datum = self.level[at], self.datum[at]
            raised = np.maximum(inside, level)
            newest[start:end] = raised if datum < 0 else np.where(self.datum[start:end] == datum, raised, inside)


def _apart(layers: Sequence[pa.RecordBatch]) -> bool:
    """Whether each layer ends before the next begins and no subtree hide reaches across: nothing to fold."""
    if any((ops(layer) == DELTREE).any() for layer in layers):
        return False
    ends = [(layer.column("path")[0].as_py(), layer.column("path")[-1].as_py()) for layer in layers]
    return all(before[1] < after[0] for before, after in pairwise(ends))


def _fold(rows: pa.RecordBatch, keys: _Keys) -> pa.RecordBatch:
    """Rows by path, operation, datum, layer, to one row for each path, operation and datum."""
    same = np.zeros(len(keys.path), dtype=np.bool_)
    if len(same):
        same[1:] = (
            (keys.path[1:] == keys.path[:-1]) & (keys.op[1:] == keys.op[:-1]) & (keys.datum[1:] == keys.datum[:-1])
        )
    # A hide of everybody's content makes the hides of one datum at the same path idle.
    first_hide_of_all = (keys.datum < 0) & (keys.op < ADD)
    idle = np.zeros(len(same), dtype=np.bool_)
    if first_hide_of_all.any():
        covered = np.unique(keys.path[first_hide_of_all] * 8 + keys.op[first_hide_of_all])
        idle = (keys.datum >= 0) & np.isin(keys.path * 8 + keys.op, covered)
    if (same & (keys.op == ADD)).any():
        rows = join_contents(rows, same & (keys.op == ADD))
        left = ~(same & (keys.op == ADD))
        same, idle = same[left], idle[left]
    return keep(rows, ~(same | idle))


def join_contents(rows: pa.RecordBatch, same: Mask) -> pa.RecordBatch:
    """Rows in which each marked one is more content of the row before it: joined, with sizes and hashes anew."""
    starts = np.flatnonzero(~same)
    longer = np.diff(np.append(starts, len(same))) > 1
    pieces = with_digests(rows.column("pieces"), rows.column("hash"))
    offsets = pieces.offsets.to_numpy()
    joined_pieces = pa.ListArray.from_arrays(
        pa.array(np.append(offsets[starts], offsets[-1]).astype(np.int32)), pieces.values, type=PIECES
    )
    sizes = np.add.reduceat(rows.column("size").to_numpy(), starts)
    firsts = rows.take(pa.array(starts))
    hashes = firsts.column("hash").to_pylist()
    for at in np.flatnonzero(longer):
        found = joined_pieces[int(at)].as_py()
        hashes[at] = hash_of_pieces([(piece["digest"], piece["length"]) for piece in found])
    joined_pieces = _only_digests_implied(joined_pieces)
    return replace(firsts, pieces=joined_pieces, size=pa.array(sizes), hash=pa.array(hashes, pa.binary(32)))


def _only_digests_implied(pieces: pa.ListArray) -> pa.ListArray:
    """The reverse of `with_digests`: a file's only piece has no digest of its own."""
    lengths = pieces.value_lengths().to_numpy()
    return _with_digest_column(
        pieces, lambda digests: pc.if_else(pa.array(np.repeat(lengths == 1, lengths)), None, digests)
    )


def with_digests(pieces: pa.ListArray, hashes: pa.Array) -> pa.ListArray:
    """The pieces with every digest written out, also that of a file's only piece. Offsets start at 0."""
    owner = pa.array(np.repeat(np.arange(len(pieces)), pieces.value_lengths().to_numpy()))
    return _with_digest_column(pieces, lambda digests: pc.coalesce(digests, hashes.take(owner)))


def _with_digest_column(pieces: pa.ListArray, change: Callable[[pa.Array], pa.Array]) -> pa.ListArray:
    lengths = pieces.value_lengths().to_numpy()
    values = pieces.flatten()
    digests = change(values.field("digest"))
    arrays = [digests if field.name == "digest" else values.field(field.name) for field in values.type]
    filled = pa.StructArray.from_arrays(arrays, fields=list(values.type))
    return pa.ListArray.from_arrays(
        pa.array(np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)), filled, type=PIECES
    )
