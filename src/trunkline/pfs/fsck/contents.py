"""Commits, each by what it holds: the size that is said of it, and no path that is both file and directory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from trunkline.catalog import commits as commit_rows
from trunkline.catalog.commits import CommitRow
from trunkline.catalog.engine import Tx
from trunkline.errors import TrunklineError
from trunkline.pfs.files import Files, load
from trunkline.storage import Sealed, View
from trunkline.storage.filesets.schema import ADD, DIR, column, keep, ops
from trunkline.storage.writing.directories import ancestors

PAGE = 200
SLICE = 50_000


def check_contents(files: Files) -> Iterator[str]:
    """What is wrong with finished commits without error, oldest first. Reads the rows of every diff."""
    above = 0
    with files.reading.begin() as reading:
        while rows := files.catalog.read(partial(commit_rows.all_commits, above=above, limit=PAGE)):
            for row in rows:
                reading.touch()
                wrong = list(_wrong(files, row)) if _is_sound(row) else []
                # What was deleted or purged while it was looked at is not wrong.
                if wrong and files.catalog.read(partial(commit_rows.get_commit, seq=row.seq)) == row:
                    yield from wrong
            above = rows[-1].seq


def _is_sound(row: CommitRow) -> bool:
    return row.finished and not row.error and not row.forgotten


def _wrong(files: Files, row: CommitRow) -> Iterator[str]:
    def look(tx: Tx) -> tuple[list[Sealed], list[Sealed]]:
        return load(tx, commit_rows.runs(tx, row.seq)), load(tx, commit_rows.layers(tx, row.seq))

    try:
        runs, diff = files.catalog.read(look)
        view = files.store.view(runs)
        if view.size_bytes != row.size_bytes:
            yield f"I-3: {row.commit} is said to have {row.size_bytes} bytes, and has {view.size_bytes}"
        for layer in diff:
            rows = files.store.rows(layer)
            paths = pc.unique(rows.filter(pc.equal(rows.column("op"), ADD)).column("path"))
            for start in range(0, len(paths), SLICE):
                for path in _both(view, paths.slice(start, SLICE)):
                    yield f"I-5: {path} in {row.commit}, which has no error, is both a file and a directory"
    except TrunklineError:
        return  # it has gone, or is damaged, which is said of its file sets


def _both(view: View, paths: pa.Array) -> list[str]:
    """Files among these, or above them, that are directories too."""
    mine = view.at(_ascending(paths))
    mine = keep(mine, ops(mine) == ADD).column("path")
    inside = view.at(_ascending(pc.binary_join_element_wise(mine, "/", "")))
    inside = keep(inside, (ops(inside) == DIR) & (column(inside, "files") > 0)).column("path")
    folders = ancestors(mine)
    names = pc.utf8_slice_codeunits(folders.filter(pc.not_equal(folders, "/")), 0, -1)
    above = view.at(_ascending(names))
    above = keep(above, ops(above) == ADD).column("path")
    return sorted({*pc.utf8_rtrim(inside, "/").to_pylist(), *above.to_pylist()})


def _ascending(paths: pa.Array) -> pa.Array:
    names = pc.unique(paths)
    return names.take(pc.sort_indices(names))
