"""A diff laid on the content under it: absolute rows for every path it touches, and whether the result is sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.storage.filesets.cache import with_depth
from trunkline.storage.filesets.merge import join_contents
from trunkline.storage.filesets.runs import NOTHING, plain, slice_of
from trunkline.storage.filesets.schema import (
    ADD,
    DEL,
    DELTREE,
    SCHEMA,
    Mask,
    among,
    in_order,
    joined,
    keep,
    ops,
    rank,
    replace,
    same_as_before,
    subtree_end,
    truths,
    under,
)
from trunkline.storage.reading.entries import every
from trunkline.storage.reading.view import View
from trunkline.storage.writing.directories import Changes, directory_rows
from trunkline.storage.writing.layers import Layers, Range, Spool
from trunkline.storage.writing.sound import complaint
from trunkline.storage.writing.unchanged import unchanged

Change = Callable[[pa.RecordBatch], pa.RecordBatch]


def as_they_are(rows: pa.RecordBatch) -> pa.RecordBatch:
    """No row is stored anew."""
    return rows


@dataclass(frozen=True, slots=True)
class Treatment:
    """What is done to rows on their way: `diff` to those of the diff, `appended` to contents that were added to."""

    diff: Change = as_they_are
    appended: Change = as_they_are


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a diff comes to on its base.

    batches: the rows of a run, ascending: contents in full, hides of everybody's content, directories; to be taken
    once. diff_rows: of the diff. as_diff: whether the run's rows, directories aside, are just those of the diff. error:
    why the content is not sound; "" when it is. size_bytes, files, root: of everything, now.
    """

    batches: Iterator[pa.RecordBatch]
    diff_rows: int
    as_diff: bool
    error: str
    size_bytes: int
    files: int
    root: bytes


def resolve(base: View, layers: Layers, spool: Spool, treatment: Treatment = Treatment()) -> Resolved:
    """Lay what layers merge to on a base, a range of paths at a time; the rows wait in `spool`."""
    laying = _Laying(base, layers.trees, treatment)
    ranges = layers.ranges()
    laid = [laying.lay(layers.between(low, high), low, high, spool) for low, high in ranges]
    diff_rows, as_diff = sum(one.diff_rows for one in laid), all(one.as_diff for one in laid)
    gone, here = [one.gone for one in laid], [one.here for one in laid]
    laid.clear()  # else a commit of very many rows is held twice while its directories are made
    changes = Changes(_together(gone), _together(here), laying.trees)
    dirs = directory_rows(base, changes)
    size, files, root = _root(base, dirs)
    return Resolved(
        batches=_with_directories(ranges, spool, dirs),
        diff_rows=diff_rows,
        as_diff=as_diff,
        error=complaint(base, dirs, changes),
        size_bytes=size,
        files=files,
        root=root,
    )


@dataclass(frozen=True, slots=True)
class _Laid:
    """What one range came to; gone and here as in `Changes`, with only the columns that these need."""

    gone: pa.RecordBatch
    here: pa.RecordBatch
    diff_rows: int
    as_diff: bool


class _Laying:
    """Lays ranges of a diff on a base. trees: outermost subtrees hidden for everybody; scoped: for one datum."""

    def __init__(self, base: View, tree_rows: pa.RecordBatch, treatment: Treatment) -> None:
        self._base, self._treatment = base, treatment
        for_all = truths(pc.is_null(tree_rows.column("datum")))
        outermost: list[str] = []
        for path in tree_rows.column("path").filter(pa.array(for_all)).to_pylist():
            if not outermost or not path.startswith(outermost[-1]):
                outermost.append(path)
        self.trees = pa.array(outermost, pa.string())
        self._scoped = keep(tree_rows, ~for_all)

    def lay(self, diff: pa.RecordBatch, low: str, high: str | None, spool: Spool) -> _Laid:
        """Lay the diff's rows of one range; those of the run go to `spool`."""
        diff = self._treatment.diff(diff)
        base, scoped = self._base, self._scoped
        wide = self._scoped_away(low, high)
        touched = _distinct(pa.concat_arrays([diff.column("path").filter(pa.array(ops(diff) != DELTREE)), wide]))
        under_it = base.at(touched) if len(touched) and base.runs else NOTHING
        under_it = keep(under_it, ops(under_it) == ADD)
        covered = under(under_it.column("path"), self.trees)
        if not scoped.num_rows:
            idle = unchanged(diff, keep(under_it, ~covered))
            diff = keep(diff, ~(among(diff.column("path"), idle) & (ops(diff) != DELTREE)))
            left = ~among(under_it.column("path"), idle)
            under_it, covered = keep(under_it, left), covered[left]
        survivors = keep(under_it, ~(covered | _hidden(under_it, diff, scoped)))
        added = keep(diff, ops(diff) == ADD)
        stay = ~_in(survivors, added)
        here, appended, foreign = _contents(added, plain(keep(survivors, ~stay)))
        here = self._treatment.appended(here) if appended else here
        hides, as_they_were = _hides(diff, wide, survivors)
        as_diff = as_they_were and not appended and not foreign
        spool.put(diff if as_diff else in_order(joined([hides, here])))
        gone = keep(under_it, ~covered & ~_in(under_it, keep(survivors, stay)))
        return _Laid(_slim(gone), _slim(with_depth(here)), diff.num_rows, as_diff)

    def _scoped_away(self, low: str, high: str | None) -> pa.Array:
        """Paths of the range that a subtree hide of one datum takes from the base."""
        found = [pa.array([], pa.string())]
        columns = (self._scoped.column(name).to_pylist() for name in ("path", "datum"))
        for tree, datum in zip(*columns, strict=True):
            start, end = max(tree, low), min(subtree_end(tree), high or subtree_end(tree))
            for rows in self._base.scan(start, end, every) if start < end else ():
                wanted = (ops(rows) == ADD) & truths(pc.equal(rows.column("datum"), datum))
                found.append(rows.column("path").filter(pa.array(wanted)))
        return pa.concat_arrays(found)


_SLIM = ["path", "op", "datum", "size", "hash", "files", "depth"]


def _slim(rows: pa.RecordBatch) -> pa.RecordBatch:
    return rows.select(_SLIM)


def _together(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """All rows. The list is empty afterwards, and each column of it given up as soon as it is copied."""
    schema = batches[0].schema
    columns = [[batch.column(at) for batch in batches] for at in range(len(schema))]
    batches.clear()
    whole: list[pa.Array] = []
    while columns:
        parts = columns.pop(0)
        whole.append(parts[0] if len(parts) == 1 else pa.concat_arrays(parts))
    return pa.RecordBatch.from_arrays(whole, schema=schema)


def _with_directories(ranges: Sequence[Range], spool: Spool, dirs: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    for (low, high), rows in zip(ranges, spool.batches(), strict=True):
        yield in_order(joined([rows, slice_of(dirs, low, high)]))


def _distinct(paths: pa.Array) -> pa.Array:
    names = pc.unique(paths)
    return names.take(pc.sort_indices(names))


def _hidden(rows: pa.RecordBatch, diff: pa.RecordBatch, scoped: pa.RecordBatch) -> Mask:
    """Which of these contents the diff's hides drop, subtree hides for everybody aside."""
    paths = rows.column("path")
    hides = keep(diff, ops(diff) == DEL)
    for_all = pc.is_null(hides.column("datum"))
    hidden = truths(pc.is_in(paths, value_set=hides.column("path").filter(for_all)))
    own = hides.filter(pc.invert(for_all))
    if own.num_rows:
        hidden |= truths(pc.is_in(_tagged(rows), value_set=_tagged(own)))
    for tree, datum in zip(scoped.column("path").to_pylist(), scoped.column("datum").to_pylist(), strict=True):
        below = under(paths, pa.array([tree]))
        hidden |= below & truths(pc.equal(rows.column("datum"), datum))
    return hidden


def _tagged(rows: pa.RecordBatch) -> pa.Array:
    return pc.binary_join_element_wise(rows.column("path"), rows.column("datum"), "\0")


def _contents(added: pa.RecordBatch, survivors: pa.RecordBatch) -> tuple[pa.RecordBatch, bool, bool]:
    """What stands at the touched paths: additions, on top of what survives there when it is the same datum's.

    Also whether any was appended to, and whether any survivor meets an addition of another datum.
    """
    if not survivors.num_rows:
        return added, False, False
    rows = joined([survivors, added])
    newer = np.concatenate([np.zeros(survivors.num_rows, np.int64), np.ones(added.num_rows, np.int64)])
    paths = pc.sort_indices(rows.column("path")).to_numpy().astype(np.int64)
    group = np.empty(rows.num_rows, dtype=np.int64)
    group[paths] = np.cumsum(~same_as_before(rows.column("path").take(pa.array(paths))))
    datum = rank(rows.column("datum"))
    order = np.lexsort((newer, datum, group))
    rows = rows.take(pa.array(order))
    same = np.zeros(rows.num_rows, dtype=np.bool_)
    same[1:] = (group[order][1:] == group[order][:-1]) & (datum[order][1:] == datum[order][:-1])
    whole = join_contents(rows, same) if same.any() else rows
    return whole, bool(same.any()), int(same.sum()) < survivors.num_rows


def _in(rows: pa.RecordBatch, others: pa.RecordBatch) -> Mask:
    """Which rows have a path that one of the others has."""
    return truths(pc.is_in(rows.column("path"), value_set=others.column("path")))


def _hides(diff: pa.RecordBatch, wide: pa.Array, survivors: pa.RecordBatch) -> tuple[pa.RecordBatch, bool]:
    """The run's hides, all for everybody; and whether they are the diff's own."""
    rows = keep(diff, ops(diff) < ADD)
    mine = truths(pc.is_valid(rows.column("datum")))
    if not mine.any() and not len(wide):
        return rows, True
    # In a run a row decides its whole path, so a hide of one datum goes when another's content stays.
    single = keep(rows, ~mine | ((ops(rows) == DEL) & ~_in(rows, survivors)))
    for_all = replace(single, datum=pa.nulls(single.num_rows, pa.string()))
    for_all = in_order(joined([for_all, hide_rows(_distinct(wide))]))
    same = same_as_before(for_all.column("path"))
    same[1:] &= ops(for_all)[1:] == ops(for_all)[:-1]
    return keep(for_all, ~same), False


def hide_rows(paths: pa.Array) -> pa.RecordBatch:
    """Rows that hide everybody's content at these paths."""
    count = len(paths)
    columns = {
        "path": paths,
        "op": pa.array(np.full(count, DEL, dtype=np.uint8)),
        "hash": pa.nulls(count, pa.binary(32)),
        "datum": pa.nulls(count, pa.string()),
        "pieces": pa.array([[]] * count, SCHEMA.field("pieces").type),
    }
    zeros = pa.array(np.zeros(count, dtype=np.int64))
    return pa.RecordBatch.from_arrays([columns.get(field.name, zeros) for field in SCHEMA], schema=SCHEMA)


def _root(base: View, dirs: pa.RecordBatch) -> tuple[int, int, bytes]:
    """Bytes, files and hash of the whole content."""
    if dirs.num_rows and dirs.column("path")[0].as_py() == "/":
        files = int(dirs.column("files")[0].as_py())
        return int(dirs.column("size")[0].as_py()), files, dirs.column("hash")[0].as_py() if files else b""
    return base.size_bytes, base.count, base.hash
