"""A diff laid on the content under it: absolute rows for every path it touches, and whether the result is sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.storage.filesets.cache import with_depth
from trunkline.storage.filesets.merge import join_contents
from trunkline.storage.filesets.runs import plain
from trunkline.storage.filesets.schema import (
    ADD,
    DEL,
    DELTREE,
    SCHEMA,
    Mask,
    column,
    in_order,
    joined,
    keep,
    ops,
    rank,
    replace,
    same_as_before,
    truths,
    under,
)
from trunkline.storage.reading.view import View
from trunkline.storage.writing.directories import Changes, ancestors, directory_rows

Recut = Callable[[pa.RecordBatch], pa.RecordBatch]


def as_they_are(rows: pa.RecordBatch) -> pa.RecordBatch:
    """No row is stored anew."""
    return rows


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a diff comes to on its base.

    rows: of a run, ascending: contents in full, hides of everybody's content, directories. as_diff: whether the rows,
    directories aside, are just those of the diff. error: why the content is not sound; "" when it is.
    size_bytes, files, root: of everything, now.
    """

    rows: pa.RecordBatch
    as_diff: bool
    error: str
    size_bytes: int
    files: int
    root: bytes


def resolve(base: View, diff: pa.RecordBatch, recut: Recut = as_they_are) -> Resolved:
    """Lay a canonical diff without directories on a base. recut: may store contents that were appended to anew."""
    trees, scoped = _trees(diff)
    wide = _scoped_away(base, scoped)
    touched = _distinct(pa.concat_arrays([diff.column("path").filter(pa.array(ops(diff) != DELTREE)), wide]))
    under_it = base.at(touched) if len(touched) and base.runs else with_depth(diff.slice(0, 0))
    under_it = keep(under_it, ops(under_it) == ADD)
    covered = under(under_it.column("path"), trees)
    survivors = keep(under_it, ~(covered | _hidden(under_it, diff, scoped)))
    added = keep(diff, ops(diff) == ADD)
    stay = ~_in(survivors, added)
    here, appended, foreign = _contents(added, plain(keep(survivors, ~stay)))
    here = recut(here) if appended else here
    hides, as_they_were = _hides(diff, wide, survivors)
    gone = keep(under_it, ~covered & ~_in(under_it, keep(survivors, stay)))
    changes = Changes(gone, with_depth(here), trees)
    dirs = directory_rows(base, changes)
    root = _root(base, dirs)
    return Resolved(
        rows=in_order(joined([hides, here, dirs])),
        as_diff=as_they_were and not appended and not foreign,
        error=_two_datums(here) or _file_and_directory(base, here, dirs, changes),
        size_bytes=root[0],
        files=root[1],
        root=root[2],
    )


def _trees(diff: pa.RecordBatch) -> tuple[pa.Array, pa.RecordBatch]:
    """Outermost subtrees hidden for everybody; and the subtree hides of one datum, as rows."""
    rows = keep(diff, ops(diff) == DELTREE)
    for_all = truths(pc.is_null(rows.column("datum")))
    paths = rows.column("path").filter(pa.array(for_all))
    outermost: list[str] = []
    for path in paths.to_pylist():
        if not outermost or not path.startswith(outermost[-1]):
            outermost.append(path)
    return pa.array(outermost, pa.string()), keep(rows, ~for_all)


def _scoped_away(base: View, scoped: pa.RecordBatch) -> pa.Array:
    """Paths that a subtree hide of one datum takes from the base."""
    found = [pa.array([], pa.string())]
    for tree, datum in zip(scoped.column("path").to_pylist(), scoped.column("datum").to_pylist(), strict=True):
        for rows in base.rows(tree):
            wanted = truths(pc.equal(rows.column("datum"), datum))
            found.append(rows.column("path").filter(pa.array(wanted)))
    return pa.concat_arrays(found)


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
    if not mine.any():
        return rows, True
    # In a run a row decides its whole path, so a hide of one datum goes when another's content stays.
    single = keep(rows, ~mine | ((ops(rows) == DEL) & ~_in(rows, survivors)))
    for_all = replace(single, datum=pa.nulls(single.num_rows, pa.string()))
    for_all = in_order(joined([for_all, _hide_rows(_distinct(wide))]))
    same = same_as_before(for_all.column("path"))
    same[1:] &= ops(for_all)[1:] == ops(for_all)[:-1]
    return keep(for_all, ~same), False


def _hide_rows(paths: pa.Array) -> pa.RecordBatch:
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


def _two_datums(here: pa.RecordBatch) -> str:
    """A path that two datums wrote, said in words."""
    same = same_as_before(here.column("path"))
    if not same.any():
        return ""
    at = int(np.flatnonzero(same)[0])
    path = here.column("path")[at].as_py()
    first, second = (here.column("datum")[row].as_py() for row in (at - 1, at))
    more = int(same.sum()) - 1
    others = f", and {more} more such paths" if more else ""
    return f"file {path} was written by two datums, {_said(first)} and {_said(second)}{others}; give each its own path"


def _said(datum: str) -> str:
    return datum or "none (a direct write)"


def _file_and_directory(base: View, here: pa.RecordBatch, dirs: pa.RecordBatch, changes: Changes) -> str:
    """A path that is both file and directory, said in words."""
    if not here.num_rows:
        return ""
    as_dirs = pc.binary_join_element_wise(here.column("path"), "/", "")
    now = dirs.column("path").filter(pa.array(column(dirs, "files") > 0))
    clash = truths(pc.is_in(as_dirs, value_set=now))
    if base.runs:
        was = base.at(_distinct(as_dirs)).column("path")
        was = was.filter(pa.array(~under(was, changes.trees)))
        was = was.filter(pc.invert(pc.is_in(was, value_set=dirs.column("path"))))
        clash |= truths(pc.is_in(as_dirs, value_set=was))
    if clash.any():
        at = int(np.flatnonzero(clash)[0])
        return _both(here.column("path")[at].as_py(), here.column("datum")[at].as_py(), _below(base, here, at))
    return _file_above(base, here, changes)


def _file_above(base: View, here: pa.RecordBatch, changes: Changes) -> str:
    """A new file inside what is a file of the base."""
    if not base.runs:
        return ""
    above = ancestors(here.column("path"))
    above = above.filter(pc.not_equal(above, "/"))
    names = _distinct(pc.utf8_slice_codeunits(above, 0, -1))
    files = base.at(names)
    files = keep(files, (ops(files) == ADD) & ~under(files.column("path"), changes.trees))
    files = keep(files, ~_in(files, changes.gone))
    if not files.num_rows:
        return ""
    path = files.column("path")[0].as_py()
    inside = here.filter(pc.starts_with(here.column("path"), f"{path}/"))
    return _both(path, files.column("datum")[0].as_py(), inside.column("datum")[0].as_py())


def _below(base: View, here: pa.RecordBatch, at: int) -> str:
    """Whose is something inside the directory that has the name of file `at`."""
    tree = f"{here.column('path')[at].as_py()}/"
    inside = here.filter(pc.starts_with(here.column("path"), tree))
    if not inside.num_rows:
        inside = next(base.rows(tree), inside)
    return str(inside.column("datum")[0].as_py()) if inside.num_rows else ""


def _both(path: str, file_datum: str, directory_datum: str) -> str:
    return (
        f"{path} would be both a file and a directory: the file was written by datum {_said(file_datum)}, "
        f"something below it by datum {_said(directory_datum)}; give one of them another path"
    )
