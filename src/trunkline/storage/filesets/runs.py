"""One sealed file set, opened for reading: ranges of its rows, its subtree hides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.storage.filesets.cache import PartCache, brief, with_depth
from trunkline.storage.filesets.schema import DELTREE, SCHEMA, Ints, joined, no_rows, ops, search
from trunkline.storage.filesets.seal import rows_of_body
from trunkline.storage.ports import Part, Sealed


class Run:
    """Rows of one file set, ascending. Parts are read when they are needed, and not before."""

    def __init__(self, name: str, rows: int) -> None:
        self.name = name
        self.count = rows

    @property
    def parts(self) -> Sequence[tuple[str, str, int]]:
        """First path, last path and number of rows of each part, ascending."""
        raise NotImplementedError

    def part(self, number: int) -> pa.RecordBatch:
        """The rows of one part."""
        raise NotImplementedError

    def brief(self, number: int) -> pa.RecordBatch:
        """The rows of one part without their pieces, which are not read."""
        return brief(self.part(number))

    @cached_property
    def tree_rows(self) -> pa.RecordBatch:
        """The subtree hides; columns of `CACHED`."""
        found = []
        for number in range(len(self.parts)):
            if self.has_trees(number):
                hides = ops(self.brief(number)) == DELTREE
                found += [self.part(number).filter(pa.array(hides))] if hides.any() else []
        return _cached(found)

    @property
    def trees(self) -> pa.Array:
        """Paths of the subtree hides, ascending."""
        return self.tree_rows.column("path")

    def has_trees(self, number: int) -> bool:
        """Whether a part may have subtree hides."""
        return True

    def upto(self, depth: int) -> Run:
        """A run with all rows that lie no deeper, and perhaps others: where that saves reading parts."""
        return self

    def between(self, low: str, high: str | None, *, pieces: bool = True) -> pa.RecordBatch:
        """Rows from path `low` to before `high` (None: to the end); columns of `CACHED`, or without `pieces` of
        `BRIEF`."""
        found = []
        for number, (first, last, _) in enumerate(self.parts):
            if last < low or (high is not None and first >= high):
                continue
            found.append(slice_of(self._rows(number, pieces), low, high))
        return _cached(found, pieces)

    def at(self, paths: pa.Array, *, pieces: bool = True) -> pa.RecordBatch:
        """All rows at these paths (ascending, distinct), ascending; columns as `between`."""
        found = []
        firsts = pa.array([part[0] for part in self.parts], pa.string())
        ends = [*search(paths, firsts)[1:], len(paths)] if len(firsts) else []
        start = 0
        for number, end in enumerate(ends):
            wanted = paths.slice(start, int(end) - start)
            start = int(end)
            if len(wanted) and wanted[0].as_py() <= self.parts[number][1]:
                found.append(_rows_at(self._rows(number, pieces), wanted))
        return _cached(found, pieces)

    def _rows(self, number: int, pieces: bool) -> pa.RecordBatch:
        return self.part(number) if pieces else self.brief(number)


class SealedRun(Run):
    """A run in the store."""

    def __init__(self, sealed: Sealed, cache: PartCache) -> None:
        super().__init__(sealed.id, sealed.rows)
        self._sealed, self._cache = sealed, cache
        self._body = with_depth(rows_of_body(sealed)) if sealed.body else None

    @cached_property
    def parts(self) -> Sequence[tuple[str, str, int]]:
        """See `Run`."""
        if self._body is not None:
            return _one_part(self._body)
        return [(part.first, part.last, part.rows) for part in self._sealed.parts]

    def upto(self, depth: int) -> Run:
        """See `Run`."""
        return self if self._body is not None else _Shallow(self, self._sealed, self._cache, depth)

    def part(self, number: int) -> pa.RecordBatch:
        """See `Run`."""
        return self._body if self._body is not None else self._cache.rows(self._sealed.parts[number])

    def brief(self, number: int) -> pa.RecordBatch:
        """See `Run`."""
        return brief(self._body) if self._body is not None else self._cache.brief(self._sealed.parts[number])

    def has_trees(self, number: int) -> bool:
        """See `Run`."""
        return self._body is not None or self._sealed.parts[number].trees > 0


class _Shallow(Run):
    """A run in the store, for who wants only what lies no deeper than `depth`."""

    def __init__(self, whole: SealedRun, sealed: Sealed, cache: PartCache, depth: int) -> None:
        super().__init__(f"{whole.name} to {depth}", whole.count)
        self._whole, self._sealed, self._cache, self._depth = whole, sealed, cache, depth

    @property
    def parts(self) -> Sequence[tuple[str, str, int]]:
        """See `Run`."""
        return self._whole.parts

    def part(self, number: int) -> pa.RecordBatch:
        """See `Run`; with what lies deeper."""
        return self._whole.part(number)

    def brief(self, number: int) -> pa.RecordBatch:
        """See `Run`."""
        return self._cache.shallow(self._sealed.parts[number], self._depth)

    @cached_property
    def tree_rows(self) -> pa.RecordBatch:
        """See `Run`."""
        return self._whole.tree_rows

    def has_trees(self, number: int) -> bool:
        """See `Run`."""
        return self._whole.has_trees(number)


class LooseRun(Run):
    """A run that is only in memory: what an open commit would become."""

    def __init__(self, name: str, batches: Iterable[pa.RecordBatch]) -> None:
        self._batches = [with_depth(batch) for batch in batches if batch.num_rows]
        super().__init__(name, sum(batch.num_rows for batch in self._batches))

    @cached_property
    def parts(self) -> Sequence[tuple[str, str, int]]:
        """See `Run`."""
        return [one for batch in self._batches for one in _one_part(batch)]

    def part(self, number: int) -> pa.RecordBatch:
        """See `Run`."""
        return self._batches[number]


def read_rows(sealed: Sealed, cache: PartCache) -> pa.RecordBatch:
    """All rows of a file set, as `SCHEMA`."""
    parts: Sequence[Part] = sealed.parts
    if sealed.body is not None or not parts:
        return rows_of_body(sealed) if sealed.body else no_rows()
    return plain(joined(cache.rows(part) for part in parts))


def plain(rows: pa.RecordBatch) -> pa.RecordBatch:
    """The rows without the cache's own column."""
    return pa.RecordBatch.from_arrays(rows.columns[: len(SCHEMA)], schema=SCHEMA)


def slice_of(rows: pa.RecordBatch, low: str, high: str | None) -> pa.RecordBatch:
    """The rows from path `low` to before `high`, not copied."""
    paths = rows.column("path")
    if high is None:
        start, end = int(search(paths, low)[0]), rows.num_rows
    else:
        start, end = (int(at) for at in search(paths, pa.array([low, high])))
    return rows.slice(start, max(end - start, 0))


def _rows_at(rows: pa.RecordBatch, paths: pa.Array) -> pa.RecordBatch:
    starts: Ints = search(rows.column("path"), paths)
    ends = pc.search_sorted(rows.column("path"), paths, side="right").to_numpy().astype(np.int64)
    counts = ends - starts
    total = int(counts.sum())
    if not total:
        return rows.slice(0, 0)
    steps = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    return rows.take(pa.array(np.repeat(starts, counts) + steps))


def _one_part(rows: pa.RecordBatch) -> Sequence[tuple[str, str, int]]:
    paths = rows.column("path")
    return [(paths[0].as_py(), paths[-1].as_py(), rows.num_rows)] if rows.num_rows else []


def _cached(found: list[pa.RecordBatch], pieces: bool = True) -> pa.RecordBatch:
    some = [batch for batch in found if batch.num_rows]
    if not some:
        return NOTHING if pieces else brief(NOTHING)
    return some[0] if len(some) == 1 else pa.concat_batches(some)


NOTHING = with_depth(no_rows())
