"""Whether the content of a commit is sound: no path of two datums, none that is both file and directory."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.storage.filesets.schema import ADD, Mask, column, keep, ops, same_as_before, truths, under
from trunkline.storage.reading.view import View
from trunkline.storage.writing.directories import Changes, ancestors


def complaint(base: View, dirs: pa.RecordBatch, changes: Changes) -> str:
    """What is wrong with a diff's result, in words that name path and datums; "" when nothing is.

    dirs: the rows of the directories it touches. The base itself is sound.
    """
    here = changes.here
    return _two_datums(here) or _file_and_directory(base, here, dirs, changes)


def _in(rows: pa.RecordBatch, others: pa.RecordBatch) -> Mask:
    return truths(pc.is_in(rows.column("path"), value_set=others.column("path")))


def _distinct(paths: pa.Array) -> pa.Array:
    names = pc.unique(paths)
    return names.take(pc.sort_indices(names))


def _two_datums(here: pa.RecordBatch) -> str:
    """A path that two datums wrote, said in words."""
    same = same_as_before(here.column("path"))
    if not same.any():
        return ""
    at = int(np.flatnonzero(same)[0])
    path = here.column("path")[at].as_py()
    first, second = (here.column("datum")[row].as_py() for row in (at - 1, at))
    more = pc.count_distinct(here.column("path").filter(pa.array(same))).as_py() - 1
    others = f"; so were {more} other paths" if more > 1 else "; so was 1 other path" if more else ""
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
        was = base.at(_distinct(as_dirs), pieces=False).column("path")
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
    files = base.at(names, pieces=False)
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
