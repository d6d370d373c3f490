"""Runs on top of each other: the newest one with rows at a path decides that path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from trunkline.storage.filesets.runs import NOTHING, Run, slice_of
from trunkline.storage.filesets.schema import (
    ADD,
    DELTREE,
    DIR,
    among,
    column,
    in_order,
    interleaved,
    keep,
    ops,
    under,
)

WINDOW = 65_536
FIRST_WINDOW = 8192


def newest(found: Sequence[pa.RecordBatch], trees: Sequence[pa.Array], *, hides: bool = False) -> pa.RecordBatch:
    """What counts of the rows found in each run, newest run first; `trees`: each run's subtree hides.

    Ascending. Contents and directories that are not empty; with `hides` also what still hides something further below.
    """
    left: list[pa.RecordBatch] = []
    hidden = pa.array([], pa.string())
    for rows, own in zip(found, trees, strict=True):
        if rows.num_rows:
            left.append(keep(rows, ~under(rows.column("path"), hidden)) if len(hidden) else rows)
        if len(own):
            hidden = pa.concat_arrays([hidden, own])
    left = [rows for rows in left if rows.num_rows]
    if not left:
        return found[0].slice(0, 0) if found else NOTHING
    rows = left[0] if len(left) == 1 else _topmost(left, hides)
    op = ops(rows)
    if hides:
        return rows
    return keep(rows, (op == ADD) | ((op == DIR) & (column(rows, "files") > 0)))


def _topmost(runs: Sequence[pa.RecordBatch], hides: bool) -> pa.RecordBatch:
    """Rows of the newest run for each path, newest run first."""
    rows = runs[0]
    for older in runs[1:]:
        lower = ~among(older.column("path"), rows.column("path"))
        if hides:
            # Rows for a path say nothing about its older subtree: only a newer subtree hide replaces one.
            lower |= ops(older) == DELTREE
        rows = interleaved(rows, keep(older, lower))
    return in_order(rows) if hides else rows


def windows(
    runs: Sequence[Run], low: str, high: str | None, *, reverse: bool = False, rows: int = WINDOW
) -> Iterator[tuple[str, str | None]]:
    """Ranges of paths that cover low..high (None: to the end) in order, with about so many rows in each.

    The first is smaller, for who wants only a few.
    """
    biggest = max(runs, key=lambda run: run.count, default=None)
    edge: str | None = high if reverse else low
    for cut in _cuts(biggest, low, high, reverse, rows) if biggest is not None else ():
        if cut != edge:
            yield (cut, edge) if reverse else (edge or "", cut)
            edge = cut
    if reverse:
        yield low, edge
    else:
        yield edge or "", high


def _cuts(run: Run, low: str, high: str | None, reverse: bool, rows: int) -> Iterator[str]:
    """Paths between low and high at which to begin a new window, in order of travel."""
    step = min(rows, FIRST_WINDOW) if rows <= WINDOW else rows
    parts = list(enumerate(run.parts))
    for number, (first, last, _) in reversed(parts) if reverse else parts:
        if last < low or (high is not None and first >= high):
            continue
        paths = slice_of(run.brief(number), low, high).column("path")
        marks = range(len(paths) - step, 0, -rows) if reverse else range(step, len(paths), rows)
        edges = [paths[at].as_py() for at in marks]
        outer = [paths[0].as_py()] if len(paths) else []
        yield from [*edges, *outer] if reverse else [*outer, *edges]
        step = rows
