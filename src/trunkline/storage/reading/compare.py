"""What differs between two commits: by the runs they do not share where they share some, else window by window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.storage.filesets.live import windows
from trunkline.storage.filesets.runs import NOTHING
from trunkline.storage.filesets.schema import column, keep, same_as_before, subtree_end, truths
from trunkline.storage.reading.entries import ENTRY, ENTRY_COLUMNS, Entry, as_entries, at_depth, entries, every

if TYPE_CHECKING:
    from trunkline.storage.reading.view import View

CHANGE = pa.schema([pa.field("new", pa.struct(list(ENTRY))), pa.field("old", pa.struct(list(ENTRY)))])
"""A table of changes: entries in pairs, either may be null."""

_PAGE = 16_384


@dataclass(frozen=True, slots=True)
class Change:
    """One path that differs. new: None when it is gone; old: None when it was not there."""

    new: Entry | None
    old: Entry | None


def changes(tables: Iterator[pa.Table]) -> Iterator[Change]:
    """The rows of tables of changes, one by one."""
    for table in tables:
        news, olds = (table.column(name).combine_chunks() for name in ("new", "old"))
        yield from map(Change, _sides(news), _sides(olds))


def _sides(side: pa.StructArray) -> Iterator[Entry | None]:
    there = truths(pc.is_valid(side)).tolist()
    values = pa.Table.from_arrays([pc.struct_field(side, name) for name in ENTRY.names], ENTRY.names)
    for valid, entry in zip(there, entries([values]), strict=True):
        yield entry if valid else None


def diff(
    new: View, old: View, path: str = "/", *, shallow: bool = False, after: str | None = None, limit: int | None = None
) -> Iterator[pa.Table]:
    """Files and directories that differ in content, ascending by path: pages of `CHANGE`.

    path: only this file, or this directory with all below. shallow: of a directory only what lies directly in it.
    after: begin beyond this path, a directory's with its slash.
    """
    kinds = [entry.is_dir for entry in (new.find(path), old.find(path)) if entry is not None]
    files, folders = not all(kinds), any(kinds)
    low, high = (path, f"{path}\0") if files and not folders else _span(path)
    own = path.rstrip("/").count("/")
    # Where a file became a directory, or the other way round, it is that what differs.
    depth = own + (not files) if shallow else None
    new, old = (view if depth is None else view.upto(depth) for view in (new, old))
    if after is not None:
        low = max(low, f"{after}\0")
    left = limit
    for table in _pages(new, old, low, high, depth):
        page = table if left is None else table.slice(0, left)
        if page.num_rows:
            yield page
        left = None if left is None else left - page.num_rows
        if left == 0:
            return


def _span(path: str) -> tuple[str, str]:
    folder = path if path.endswith("/") else f"{path}/"
    # A path that is a file in one commit and a directory in the other has its file's row before the directory's.
    return folder if path.endswith("/") else path, subtree_end(folder)


def _pages(new: View, old: View, low: str, high: str, depth: int | None) -> Iterator[pa.Table]:
    candidates = _candidates(new, old, low, high)
    if candidates is None:
        for begin, end in windows([*new.runs, *old.runs], low, high):
            sides = [_scanned(view, begin, end, depth) for view in (new, old)]
            yield _pairs(*sides)
        return
    for start in range(0, len(candidates), _PAGE):
        paths = candidates.slice(start, _PAGE)
        yield _pairs(*[_level(view.at(paths, pieces=False), depth) for view in (new, old)])


def _candidates(new: View, old: View, low: str, high: str) -> pa.Array | None:
    """Paths that may differ, when the two share the oldest runs; None when nearly all may."""
    pairs = zip(reversed(new.runs), reversed(old.runs), strict=False)
    shared = sum(1 for _ in takewhile(lambda pair: pair[0].name == pair[1].name, pairs))
    if not shared:
        return None
    own = [run for view in (new, old) for run in view.runs[: len(view.runs) - shared]]
    found = [pa.array([], pa.string())]
    for run in own:
        found.append(run.between(low, high, pieces=False).column("path"))
        for tree in run.trees.to_pylist():
            begin, end = max(tree, low), min(subtree_end(tree), high)
            if begin < end:
                found += [rows.column("path") for view in (new, old) for rows in view.scan(begin, end, every)]
    names = pc.unique(pa.concat_arrays(found))
    return names.take(pc.sort_indices(names))


def _scanned(view: View, low: str, high: str | None, depth: int | None) -> pa.RecordBatch:
    pick = every if depth is None else at_depth(depth)
    found = list(view.scan(low, high, pick, columns=ENTRY_COLUMNS))
    return pa.concat_batches(found) if found else NOTHING.select(list(ENTRY_COLUMNS))


def _level(rows: pa.RecordBatch, depth: int | None) -> pa.RecordBatch:
    rows = rows.select(list(ENTRY_COLUMNS))
    return rows if depth is None else keep(rows, column(rows, "depth") == depth)


def _pairs(new: pa.RecordBatch, old: pa.RecordBatch) -> pa.Table:
    """Rows of either side whose path the other has not, or with another hash."""
    new, old = (keep(rows, ~same_as_before(rows.column("path"))) for rows in (new, old))
    at = pc.fill_null(pc.index_in(new.column("path"), value_set=old.column("path")), -1).to_numpy().astype(np.int64)
    both = np.flatnonzero(at >= 0)
    equal = truths(pc.equal(new.column("hash").take(pa.array(both)), old.column("hash").take(pa.array(at[both]))))
    changed = np.ones(new.num_rows, dtype=np.bool_)
    changed[both] = ~equal
    gone = np.ones(old.num_rows, dtype=np.bool_)
    gone[at[both]] = False
    there = np.flatnonzero(changed)
    lost = np.flatnonzero(gone)
    paths = pa.concat_arrays([new.column("path").take(pa.array(there)), old.column("path").take(pa.array(lost))])
    order = pc.sort_indices(paths)
    news = np.concatenate([there, np.full(len(lost), -1)])
    olds = np.concatenate([at[there], lost])
    columns = [_side(rows, pa.array(places).take(order)) for rows, places in ((new, news), (old, olds))]
    return pa.Table.from_arrays(columns, schema=CHANGE)


def _side(rows: pa.RecordBatch, places: pa.Array) -> pa.StructArray:
    if not rows.num_rows:
        return pa.nulls(len(places), CHANGE.field(0).type)
    chosen = as_entries(rows.take(pc.max_element_wise(places, 0)))
    arrays = [column.combine_chunks() for column in chosen.columns]
    return pa.StructArray.from_arrays(arrays, fields=list(ENTRY), mask=pc.less(places, 0))
