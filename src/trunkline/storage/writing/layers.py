"""The layers of a commit, merged a range of paths at a time, so that memory does not grow with their number of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc

from trunkline.errors import ResourceExhausted
from trunkline.storage.filesets.merge import merge_layers
from trunkline.storage.filesets.runs import Run, plain
from trunkline.storage.filesets.schema import SCHEMA, joined, search

SLICE_ROWS = 65_536
_SAMPLE = 10_000

Range = tuple[str, str | None]
"""Paths from the first to before the second; None: to the end."""


class Layers:
    """File sets, oldest first, seen as the one canonical file set they merge to. Rows for directories are left out."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = [run for run in runs if run.count]
        self.count = sum(run.count for run in self._runs)

    @cached_property
    def trees(self) -> pa.RecordBatch:
        """The subtree hides of all of them."""
        return merge_layers([plain(run.tree_rows) for run in self._runs])

    def ranges(self) -> list[Range]:
        """Ranges that cover all paths, with about SLICE_ROWS rows each."""
        return even_ranges(self._runs, SLICE_ROWS)

    def between(self, low: str, high: str | None) -> pa.RecordBatch:
        """The rows in a range."""
        merged = merge_layers([self._with_trees_above(run, low, high) for run in self._runs])
        return merged.slice(int(search(merged.column("path"), low)[0])) if merged.num_rows else merged

    def _with_trees_above(self, run: Run, low: str, high: str | None) -> pa.RecordBatch:
        """A run's rows in the range, and before them its hides of subtrees that the range lies in."""
        rows = plain(run.between(low, high))
        above = [low[: at + 1] for at in range(len(low) - 1) if low[at] == "/"]
        if not above or not run.tree_rows.num_rows:
            return rows
        covering = run.tree_rows.filter(pc.is_in(run.tree_rows.column("path"), value_set=pa.array(above)))
        return joined([plain(covering), rows])


def even_ranges(runs: Sequence[Run], rows: int) -> list[Range]:
    """Ranges that cover all paths, with about `rows` rows of all the runs together in each."""
    total = sum(run.count for run in runs)
    if total <= 2 * rows:
        return [("/", None)]
    step = min(_SAMPLE, rows)
    samples = [
        run.brief(number).column("path").take(pa.array(range(0, count, step), pa.int64()))
        for run in runs
        for number, (_, _, count) in enumerate(run.parts)
    ]
    paths = pa.concat_arrays(samples)
    cuts = pc.unique(paths.take(pc.sort_indices(paths))).to_pylist()[:: max(rows // step, 1)]
    edges = ["/", *[cut for cut in cuts if cut > "/"], None]
    return [(low, high) for low, high in pairwise(edges) if low is not None]


class Spool:
    """Batches put aside in order: in memory, or where there are several and a folder is given, in a file without a name
    there, which is gone when its process is."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._kept: list[pa.RecordBatch] = []
        self._file: IO[bytes] | None = None
        self._writer: pa.ipc.RecordBatchFileWriter | None = None

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *error: object) -> None:
        if self._writer is not None and self._file is not None:
            self._writer.close()
            self._file.close()

    def put(self, rows: pa.RecordBatch) -> None:
        """One more batch of `SCHEMA`. Raises ResourceExhausted when the disk is full."""
        self._kept.append(rows)
        try:
            self._write()
        except OSError as error:
            raise ResourceExhausted(f"rows of a commit could not be put aside in {self._folder}: {error}") from error

    def _write(self) -> None:
        if self._folder is not None and self._file is None and len(self._kept) > 1:
            self._file = TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed by __exit__
            self._writer = pa.ipc.new_file(self._path, SCHEMA)
        if self._writer is not None:
            for one in self._kept:
                self._writer.write_batch(one)
            self._kept = []

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All of them, once. Nothing is put afterwards."""
        if self._writer is not None:
            self._writer.close()
            # Read, not mapped: pages of a mapped file would count as memory of this process until it is closed.
            reader = pa.ipc.open_file(pa.OSFile(self._path))
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number)
        yield from self._kept

    @property
    def _path(self) -> str:
        return f"/proc/self/fd/{self._file.fileno()}" if self._file else ""
