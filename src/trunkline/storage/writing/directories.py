"""Rows for directories: files, bytes and hash of each, for exactly the ancestors of what changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.storage.filesets.runs import NOTHING
from trunkline.storage.filesets.schema import (
    DIR,
    PIECES,
    SCHEMA,
    Ints,
    Mask,
    among,
    column,
    depth_of,
    fixed_bytes,
    hash_of_directory,
    interleaved,
    keep,
    no_rows,
    search,
    subtree_end,
    truths,
    under,
)
from trunkline.storage.reading.entries import at_depth
from trunkline.storage.reading.view import View

_WINDOW = 1 << 20  # rows looked through at once for the few of one depth
_SLICE = 1 << 16
"""So many paths are taken apart at once."""
_FEW = 200
"""Up to so many directories of one depth are looked into one by one; for more, their whole level is read."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What a diff does to the files under it.

    gone: rows that stood at touched paths; here: rows that stand there now; both ascending, with the cache's columns.
    trees: subtrees hidden whole, ascending, none inside another; `gone` says nothing of what was in them.
    """

    gone: pa.RecordBatch
    here: pa.RecordBatch
    trees: pa.Array


def directory_rows(base: View, changes: Changes) -> pa.RecordBatch:
    """The DIR rows of a run, ascending: what each touched directory holds now. files is 0 where one has gone."""
    sums = _sums(base, changes)
    levels: list[pa.RecordBatch] = []
    below = NOTHING  # rows of the level below that were computed just now
    for depth in range(int(sums.depth.max(initial=-1)), -1, -1):
        chosen = sums.depth == depth
        if not chosen.any():
            below = NOTHING
            continue
        names = sums.names.filter(pa.array(chosen))
        hashes = _hashes(base, changes, names, depth, below)
        below = _rows(names, sums.files[chosen], sums.bytes[chosen], hashes)
        levels.append(below)
    if not levels:
        return no_rows()
    rows = pa.concat_batches(levels)
    rows = rows.take(pc.sort_indices(rows.column("path")))
    return _without_idle(base, rows)


@dataclass(slots=True)
class _Sums:
    """Touched directories, ascending: name with its slash, depth, files and bytes it has now."""

    names: pa.Array
    depth: Ints
    files: Ints
    bytes: Ints


def _sums(base: View, changes: Changes) -> _Sums:
    """Sums of what went and came, carried upwards level by level, on top of what the base says."""
    trees = _dirs_at(base, changes.trees)
    moved = [changes.gone, changes.here, trees]
    signs = np.repeat([-1, 1, -1], [rows.num_rows for rows in moved])
    # A hidden root has no directory above it, and parents says so by naming the root itself.
    inside = [
        parents(rows.column("path").slice(start, _SLICE)).dictionary_encode()
        for rows in moved
        for start in range(0, rows.num_rows, _SLICE)
    ]
    names = _with_ancestors(pa.concat_arrays([pa.array([], pa.string()), *[one.dictionary for one in inside]]))
    places = [search(names, one.dictionary)[one.indices.to_numpy()] for one in inside]
    place = np.concatenate([np.zeros(0, dtype=np.int64), *places])
    depth = depth_of(names).astype(np.int64)
    totals = []
    for what in ("files", "size"):
        total = np.zeros(len(names), dtype=np.int64)
        np.add.at(total, place, signs * np.concatenate([column(rows, what) for rows in moved]))
        totals.append(total)
    for level in range(int(depth.max(initial=0)), 0, -1):
        here = np.flatnonzero(depth == level)
        above = search(names, parents(names.take(pa.array(here))))
        for total in totals:
            np.add.at(total, above, total[here])
    return _on_base(base, changes, _Sums(names, depth, *totals))


def _with_ancestors(names: pa.Array) -> pa.Array:
    """These directories and all above them, ascending, each once."""
    every = pc.unique(pa.concat_arrays([names, ancestors(names)]))
    return every.take(pc.sort_indices(every))


def _on_base(base: View, changes: Changes, sums: _Sums) -> _Sums:
    """What moved, on top of what was there."""
    names, files, size = sums.names, sums.files, sums.bytes
    was = _dirs_at(base, names)
    if was.num_rows:
        inside = under(was.column("path"), changes.trees)
        # A hidden subtree counts as empty: its sums were taken from the directories above it.
        at = search(names, was.column("path"))
        files[at] += np.where(inside, 0, column(was, "files"))
        size[at] += np.where(inside, 0, column(was, "size"))
    if len(changes.trees) and len(names) and changes.trees[0].as_py() == "/":
        # Nothing is above the root, so the subtraction of its sums landed on itself.
        root = _dirs_at(base, pa.array(["/"]))
        files[0] += int(column(root, "files").sum())
        size[0] += int(column(root, "size").sum())
    return sums


def _hashes(base: View, changes: Changes, names: pa.Array, depth: int, below: pa.RecordBatch) -> pa.Array:
    """Hashes of these directories, all of one depth; `below`: touched directories one level down, computed already."""
    old = _children(base, names, depth + 1)
    fresh = keep(changes.here, column(changes.here, "depth") == depth + 1)
    if old.num_rows:
        paths = old.column("path")
        drop = under(paths, changes.trees)
        for other in (changes.gone, fresh, below):
            drop |= among(paths, other.column("path"))
        old = keep(old, ~drop)
    living = keep(below, column(below, "files") > 0)
    children = old.select(["path", "hash"])
    for rows in (fresh, living):
        children = interleaved(children, rows.select(["path", "hash"]))
    return _hash_groups(names, children)


def _hash_groups(names: pa.Array, children: pa.RecordBatch) -> pa.Array:
    """One hash for each directory, from the rows of all their children; null where there are none."""
    paths = children.column("path")
    ends = pc.binary_join_element_wise(pc.utf8_slice_codeunits(names, 0, -1), "0", "")
    first, last = search(paths, names), search(paths, ends)
    found: list[bytes | None] = []
    done = 0
    while done < len(names):
        start = int(first[done])
        more = max(int(np.searchsorted(last[done:], start + _SLICE)), 1)  # directories that have _SLICE children
        chosen = slice(done, done + more)
        some = children.slice(start, int(last[done + more - 1]) - start)
        found += _hashes_of(names.slice(done, more), some, first[chosen] - start, last[chosen] - start)
        done += more
    return pa.array(found, pa.binary(32))


def _hashes_of(names: pa.Array, children: pa.RecordBatch, first: Ints, last: Ints) -> list[bytes | None]:
    """As `_hash_groups`, at once; first, last: where the children of each directory begin and end."""
    named, edges = _names_after(children.column("path"), names, last - first)
    begins, stops = edges[first].tolist(), edges[last].tolist()
    hashes = fixed_bytes(children.column("hash"))
    return [
        hash_of_directory(named[begin:stop], hashes[32 * start : 32 * end]) if end > start else None
        for start, end, begin, stop in zip(first.tolist(), last.tolist(), begins, stops, strict=True)
    ]


def _names_after(paths: pa.Array, names: pa.Array, counts: Ints) -> tuple[memoryview, npt.NDArray[np.integer[Any]]]:
    """Paths without their directory, a NUL after each, all in a row; and where each begins, and the end.

    The first counts[0] paths are in the directory names[0], the next counts[1] in names[1], and so on.
    """
    if len(names) == 1:
        own = pc.utf8_slice_codeunits(paths, len(names[0].as_py()))
        offsets, data = _buffers(pc.binary_join_element_wise(own, "", "\0"))
        return data.data, offsets - offsets[0]
    offsets, data = _buffers(pc.binary_join_element_wise(paths, "", "\0"))
    skip: Ints = pc.binary_length(names).to_numpy()
    each = np.repeat(skip, counts)
    starts = (offsets[:-1] - offsets[0]).astype(np.int64)
    lengths = np.diff(offsets).astype(np.int64)
    marks = np.zeros(len(data) + 1, dtype=np.int8)
    marks[starts + each] = 1
    marks[starts + lengths] = -1  # the end of one text; names are not empty, so it is no other's beginning
    kept = data[np.cumsum(marks[:-1], dtype=np.int8).view(np.bool_)]
    return kept.data, np.concatenate(([0], np.cumsum(lengths - each)))


def _buffers(texts: pa.Array) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Offsets of texts, one more than there are, and the bytes they share, cut to what is used."""
    offsets = np.frombuffer(texts.buffers()[1], dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(texts.buffers()[2] or b"", dtype=np.uint8)
    return offsets, data[offsets[0] : offsets[-1]]


def _children(base: View, names: pa.Array, depth: int) -> pa.RecordBatch:
    """Rows of everything at `depth` in these directories."""

    if not base.runs or not len(names):
        return NOTHING
    columns = ["path", "op", "files", "hash", "depth"]
    low, high = names[0].as_py(), subtree_end(names[-1].as_py())
    if len(names) <= _FEW:
        spans = [(name, subtree_end(name)) for name in names.to_pylist()]
    else:
        spans = [(low, high)]
    view = base.upto(depth)
    found = [
        rows for start, end in spans for rows in view.scan(start, end, at_depth(depth), columns=columns, window=_WINDOW)
    ]
    if not found:
        return NOTHING
    rows = pa.concat_batches(found)
    return keep(rows, under(rows.column("path"), names)) if len(names) > _FEW else rows


def _dirs_at(base: View, names: pa.Array) -> pa.RecordBatch:
    return base.at(names, pieces=False) if len(names) and base.runs else NOTHING


def _rows(names: pa.Array, files: Ints, size: Ints, hashes: pa.Array) -> pa.RecordBatch:
    count = len(names)
    columns = {
        "path": names,
        "op": pa.array(np.full(count, DIR, dtype=np.uint8)),
        "datum": pa.nulls(count, pa.string()),
        "size": pa.array(size),
        "hash": hashes,
        "pieces": pa.array([[]] * count, PIECES),
        "since": pa.array(np.zeros(count, dtype=np.int64)),
        "files": pa.array(files),
    }
    return pa.RecordBatch.from_arrays([columns[field.name] for field in SCHEMA], schema=SCHEMA)


def _without_idle(base: View, rows: pa.RecordBatch) -> pa.RecordBatch:
    """The rows without directories that are empty now and were not there before."""
    empty: Mask = column(rows, "files") == 0
    if not empty.any():
        return rows
    there = _dirs_at(base, rows.column("path").filter(pa.array(empty))).column("path")
    return keep(rows, ~empty | truths(pc.is_in(rows.column("path"), value_set=there)))


def parents(paths: pa.Array) -> pa.Array:
    """The directory each path lies in, with its slash; the root's is the root."""
    bare = pc.utf8_rtrim(paths, characters="/")
    halves = pc.split_pattern(bare, "/", max_splits=1, reverse=True).flatten()
    # Every path but the root starts with a slash and so has two halves; the root's bare form "" has one.
    rootless = pc.not_equal(bare, "")
    if pc.all(rootless).as_py() is False:
        found = np.zeros(len(bare), dtype=np.int64)
        found[1:] = np.cumsum(np.where(truths(rootless), 2, 1))[:-1]
        upper = halves.take(pa.array(found))
    else:
        upper = halves.take(pa.array(np.arange(0, len(halves), 2)))
    return pc.binary_join_element_wise(upper, "/", "")


def ancestors(paths: pa.Array) -> pa.Array:
    """Every directory above these paths, ascending, each once."""
    found = [pa.array([], pa.string())]
    level = pc.unique(parents(paths)) if len(paths) else paths
    while len(level):
        found.append(level)
        level = pc.unique(parents(level.filter(pc.not_equal(level, "/"))))
    names = pc.unique(pa.concat_arrays(found))
    return names.take(pc.sort_indices(names))
