"""Entries: files and directories as a commit shows them, one by one and as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from trunkline.storage.filesets.schema import DIR, column, ops

ENTRY = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("is_dir", pa.bool_(), nullable=False),
        pa.field("datum", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("hash", pa.binary(32), nullable=False),
        pa.field("files", pa.int64(), nullable=False),
        pa.field("since", pa.int64(), nullable=False),
    ]
)
"""A table of entries, as `View.list` gives it."""

Pick = Callable[[pa.RecordBatch], pa.Array | None]
"""Which rows of a run are wanted: true for these, None for all. Decides by path alone, so that every run agrees."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or directory as it stands. A directory's path ends in "/", its size and files are sums of all below."""

    path: str
    is_dir: bool
    datum: str
    size_bytes: int
    hash: bytes
    files: int
    since: int


def entries(tables: Iterable[pa.Table]) -> Iterator[Entry]:
    """The rows of tables of entries, one by one."""
    for table in tables:
        yield from map(Entry, *(table.column(name).to_pylist() for name in ENTRY.names))


ENTRY_COLUMNS = ("path", "op", "datum", "size", "hash", "since", "files", "depth")


def as_entries(rows: pa.RecordBatch) -> pa.Table:
    """Rows of contents and directories, as a table of entries."""
    arrays = [
        rows.column("path"),
        pa.array(ops(rows) == DIR),
        pc.fill_null(rows.column("datum"), ""),
        rows.column("size"),
        rows.column("hash"),
        rows.column("files"),
        rows.column("since"),
    ]
    return pa.Table.from_arrays(arrays, schema=ENTRY)


def every(rows: pa.RecordBatch) -> None:
    """Picks all rows."""
    return None


def no_directories(rows: pa.RecordBatch) -> pa.Array:
    """Picks rows that are no directories'."""
    return pc.invert(pc.ends_with(rows.column("path"), "/"))


def at_depth(depth: int) -> Pick:
    """Picks rows whose paths have so many elements."""

    def pick(rows: pa.RecordBatch) -> pa.Array:
        return pa.array(column(rows, "depth") == depth)

    return pick
