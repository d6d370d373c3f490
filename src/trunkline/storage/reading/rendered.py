"""Views of what is not stored: rows made part by part when they are read, and forgotten again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock

import numpy as np
import pyarrow as pa
from blake3 import blake3

from trunkline.storage.filesets.cache import with_depth
from trunkline.storage.filesets.runs import NOTHING, Run
from trunkline.storage.filesets.schema import ADD, DIR, PIECES, SCHEMA, column, in_order, joined, keep, same_as_before
from trunkline.storage.reading.view import View
from trunkline.storage.writing.directories import Changes, directory_rows

KEPT = 4

Span = tuple[str, str]
"""The first path of a part, and a text that is not below its last one."""


class RenderedRun(Run):
    """A run whose parts are made by `render`, from their numbers. name: equal names, equal content.

    spans: of each part, ascending. depths: of the rows in each part that lie least deep, where that is known. The last
    few parts are kept.
    """

    def __init__(
        self,
        name: str,
        spans: Sequence[Span],
        render: Callable[[int], pa.RecordBatch],
        depths: Sequence[int] | None = None,
    ) -> None:
        super().__init__(name, len(spans))
        self._depths = depths or [0] * len(spans)
        self._spans = spans
        self._render = render
        self._kept: OrderedDict[int, pa.RecordBatch] = OrderedDict()
        self._lock = Lock()

    @property
    def parts(self) -> Sequence[tuple[str, str, int]]:
        """See `Run`."""
        return [(first, last, 1) for first, last in self._spans]

    def part(self, number: int) -> pa.RecordBatch:
        """See `Run`."""
        with self._lock:
            known = self._kept.get(number)
        if known is None:
            known = with_depth(self._render(number))
            with self._lock:
                self._kept[number] = known
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        return known

    def upto(self, depth: int) -> Run:
        """See `Run`."""
        numbers = [number for number, least in enumerate(self._depths) if least <= depth]
        if len(numbers) == len(self._spans):
            return self
        spans = [self._spans[number] for number in numbers]
        return RenderedRun(f"{self.name} to {depth}", spans, lambda number: self._render(numbers[number]))

    def has_trees(self, number: int) -> bool:
        """See `Run`: nothing is hidden."""
        return False


def text_rows(paths: Sequence[str], texts: Sequence[bytes], datums: Sequence[str]) -> pa.RecordBatch:
    """Rows of small files with these contents."""
    count = len(paths)
    pieces = [
        [{"digest": None, "length": len(text), "chunk": None, "gen": 0, "offset": 0, "inline": text}] for text in texts
    ]
    columns = {
        "path": pa.array(paths, pa.string()),
        "datum": pa.array(datums, pa.string()),
        "size": pa.array([len(text) for text in texts], pa.int64()),
        "hash": pa.array([blake3(text).digest() for text in texts], SCHEMA.field("hash").type),
        "pieces": pa.array(pieces, PIECES),
    }
    return _filled(columns, ADD, np.ones(count, np.int64))


def directory_row(path: str, files: int, size_bytes: int, digest: bytes) -> pa.RecordBatch:
    """The row of one directory whose sums are known."""
    columns = {
        "path": pa.array([path]),
        "datum": pa.nulls(1, pa.string()),
        "size": pa.array([size_bytes], pa.int64()),
        "hash": pa.array([digest], SCHEMA.field("hash").type),
        "pieces": pa.array([[]], PIECES),
    }
    return _filled(columns, DIR, np.array([files], np.int64))


def _filled(columns: dict[str, pa.Array], op: int, files: np.ndarray) -> pa.RecordBatch:
    columns["op"] = pa.array(np.full(len(files), op, np.uint8))
    columns["since"] = pa.array(np.zeros(len(files), np.int64))
    columns["files"] = pa.array(files)
    return pa.RecordBatch.from_arrays([columns[each.name] for each in SCHEMA], schema=SCHEMA)


def with_directories(batches: Sequence[pa.RecordBatch], depth: int) -> pa.RecordBatch:
    """Files in any order as a part: in order, each path once, with the directories that lie at least so deep."""
    rows = in_order(joined(batches))
    rows = with_depth(keep(rows, ~same_as_before(rows.column("path"))))
    if not rows.num_rows:
        return joined([])
    folders = directory_rows(View(lambda: [], None), Changes(NOTHING, rows, pa.array([], pa.string())))  # type: ignore[arg-type]
    deep = keep(folders, column(with_depth(folders), "depth") >= depth)
    plain = pa.RecordBatch.from_arrays(rows.columns[: len(SCHEMA)], schema=SCHEMA)
    return in_order(joined([plain, deep]))
