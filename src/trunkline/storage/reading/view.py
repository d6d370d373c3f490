"""The content of a commit, or of any stack of file sets: find, list, walk, glob, compare, read. All by columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa

from trunkline.model.globs import Glob
from trunkline.storage.chunks import ChunkReader
from trunkline.storage.filesets.live import WINDOW, newest, windows
from trunkline.storage.filesets.runs import Run, plain
from trunkline.storage.filesets.schema import ADD, keep, ops, stem_end, subtree_end, truths
from trunkline.storage.reading.compare import diff
from trunkline.storage.reading.content import Content, content_of, contents_of
from trunkline.storage.reading.entries import (
    ENTRY_COLUMNS,
    Entry,
    Pick,
    as_entries,
    at_depth,
    entries,
    every,
    no_directories,
)

_LOOSE_A_FILE = 8
"""Storing a file takes about as long as merging so many rows."""


class View:
    """Runs on top of each other, oldest first, opened for reading. Safe between threads. Never changes.

    keeper: whatever has to live as long as the view does, since it keeps the file sets. below: the same without its
    layers, which have so many `loose` rows; None: there are none.

    Paths given may have a slash at the end or not; one that is both (in a commit with an error) means the file.
    """

    def __init__(
        self,
        runs: Callable[[], Sequence[Run]],
        reader: ChunkReader,
        keeper: object = None,
        *,
        below: View | None = None,
        loose: int = 0,
    ) -> None:
        self._keeper = keeper
        self._open = runs
        self._reader = reader
        self._below, self._loose = below, loose

    def worth(self, files: int) -> View:
        """This, or what lies below its layers, where merging these costs more than storing so many files once more."""
        return self if self._below is None or self._loose <= files * _LOOSE_A_FILE else self._below

    @cached_property
    def runs(self) -> Sequence[Run]:
        """The runs with any rows, newest first. Opened when first needed, which for layers means merging them."""
        return tuple(reversed([run for run in self._open() if run.count]))

    def upto(self, depth: int) -> View:
        """The same, for who wants only what lies no deeper: that may save reading most of the rest."""
        runs = [run.upto(depth) for run in self.runs]
        same = all(one is other for one, other in zip(runs, self.runs, strict=True))
        return self if same else View(lambda: runs[::-1], self._reader, self)

    # --- single paths

    def find(self, path: str) -> Entry | None:
        """The file or directory at a path; None if nothing is there. The root is there when any file is."""
        bare = path.rstrip("/")
        names = [f"{bare}/"] if path.endswith("/") else [bare, f"{bare}/"]
        rows = self.at(pa.array([name for name in names if name]), pieces=False)
        return next(entries([as_entries(rows.slice(0, 1))]), None)

    def at(self, paths: pa.Array, *, pieces: bool = True) -> pa.RecordBatch:
        """Rows of the contents and directories at these paths, which ascend and differ; the columns of the cache.

        pieces: whether the column is wanted that says where bytes lie; it is more than half of what is to be read.
        """
        return newest([run.at(paths, pieces=pieces) for run in self.runs], self._trees)

    def file(self, path: str) -> Content | None:
        """The content of the file at a path; None if none is there. Of several, the first datum's."""
        rows = self.at(pa.array([path]))
        rows = keep(rows, ops(rows) == ADD)
        return content_of(rows, 0, self._reader) if rows.num_rows else None

    @property
    def size_bytes(self) -> int:
        """Plain bytes of all files."""
        return self._root.size_bytes if self._root else 0

    @property
    def count(self) -> int:
        """How many files there are."""
        return self._root.files if self._root else 0

    @property
    def hash(self) -> bytes:
        """The hash of the root directory; b"" when there are no files. Equal content has equal hashes."""
        return self._root.hash if self._root else b""

    # --- many paths, as pages of entries in path order

    def list(
        self, directory: str, after: str | None = None, limit: int | None = None, reverse: bool = False
    ) -> Iterator[pa.Table]:
        """What lies directly in a directory. after: begin beyond this entry (before it when in reverse)."""
        folder = _folder(directory)
        level = folder.count("/") if folder != "/" else 1
        span = folder, subtree_end(folder)
        return self.upto(level)._pages(span, at_depth(level), after, limit, reverse)

    def walk(
        self,
        directory: str,
        after: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
        lower: str | None = None,
        upper: str | None = None,
    ) -> Iterator[pa.Table]:
        """A directory and all below it; of a file, itself. Of a directory only paths from `lower` to before `upper`."""
        found = self.find(directory)
        if found is not None and not found.is_dir:
            return iter([as_entries(self.at(pa.array([directory]), pieces=False))])
        folder = _folder(directory)
        return self._pages((folder, subtree_end(folder)), every, after, limit, reverse, lower, upper)

    def glob(
        self,
        pattern: Glob,
        lower: str | None = None,
        upper: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Iterator[pa.Table]:
        """What matches. Only paths from `lower` (inclusive) to `upper` (exclusive), where given.

        Reads the paths that start as the pattern does.
        """

        def pick(rows: pa.RecordBatch) -> pa.Array:
            return pattern.mask(rows.column("path"))

        span = (pattern.stem or "/", stem_end(pattern.stem or "/"))
        view = self if pattern.depth is None else self.upto(pattern.depth)
        return view._pages(span, pick, after, limit, lower=lower, upper=upper)

    def stems(self, stem: str, folders: bool, after: str | None = None, limit: int | None = None) -> Iterator[pa.Table]:
        """Files whose paths start with `stem`, which need not end where an element does, and come after `after`.

        folders: what lies in a directory that starts so is the directory's entry.
        """
        depth = stem.count("/")
        view, pick = (self.upto(depth), at_depth(depth)) if folders else (self, no_directories)
        lower = None if after is None else f"{after}\0"
        return view._pages((stem, stem_end(stem)), pick, None, limit, lower=lower)

    def files(self, prefix: str = "/") -> Iterator[pa.Table]:
        """The file at `prefix`, or all below that directory: rows of `SCHEMA`, with pieces and datum tags, to copy or
        to read by `contents`."""
        for rows in self.rows(prefix):
            yield pa.Table.from_batches([plain(rows)])

    def rows(self, prefix: str = "/", lower: str = "", upper: str = "") -> Iterator[pa.RecordBatch]:
        """As `files`, in batches with the cache's columns; a path that several datums wrote has several rows.

        Of a directory only paths from `lower` to before `upper`, "" being no bound.
        """
        if not prefix.endswith("/"):
            rows = self.at(pa.array([prefix]))
            rows = keep(rows, ops(rows) == ADD)
            if rows.num_rows:
                yield rows
                return
        folder = _folder(prefix)
        low, high = max(folder, lower), min(subtree_end(folder), upper or subtree_end(folder))
        if low >= high:
            return
        for batch in self.scan(low, high, every):
            files = keep(batch, ops(batch) == ADD)
            if files.num_rows:
                yield files

    def contents(self, prefix: str = "/", lower: str = "", upper: str = "") -> Iterator[Content]:
        """The file at `prefix`, or all below that directory, each to be read; lower, upper: as `rows`.

        Read them in this order: neighbours are fetched together.
        """
        return contents_of(self.rows(prefix, lower, upper), self._reader)

    def scan(
        self,
        low: str,
        high: str | None,
        pick: Pick,
        *,
        reverse: bool = False,
        columns: Sequence[str] | None = None,
        window: int = WINDOW,
    ) -> Iterator[pa.RecordBatch]:
        """Rows of contents and directories whose path is in low..high and picked, from `window` rows at a time."""
        for start, end in windows(self.runs, low, high, reverse=reverse, rows=window):
            found = []
            for run in self.runs:
                rows = run.between(start, end, pieces=columns is None or "pieces" in columns)
                if rows.num_rows:
                    wanted = pick(rows)
                    rows = rows if columns is None else rows.select(list(columns))
                    rows = rows if wanted is None else _picked(rows, wanted)
                elif columns is not None:
                    rows = rows.select(list(columns))
                found.append(rows)
            rows = newest(found, self._trees)
            if rows.num_rows:
                yield rows.take(pa.array(np.arange(rows.num_rows)[::-1])) if reverse else rows

    def diff(
        self, old: View, path: str = "/", shallow: bool = False, after: str | None = None, limit: int | None = None
    ) -> Iterator[pa.Table]:
        """Files and directories that differ from those of `old`, in path order: pages of `CHANGE`, see `changes`.

        path: only this file, or this directory with all below; shallow: without what lies deeper in it. after: begin
        beyond this path, a directory's with its slash.
        """
        return diff(self, old, path, shallow=shallow, after=after, limit=limit)

    # --- inside

    @cached_property
    def _root(self) -> Entry | None:
        return self.find("/")

    @cached_property
    def _trees(self) -> Sequence[pa.Array]:
        # The oldest run's hides have nothing under them.
        return [run.trees for run in self.runs[:-1]] + [pa.array([], pa.string())] * len(self.runs[-1:])

    def _pages(
        self,
        span: tuple[str, str],
        pick: Pick,
        after: str | None,
        limit: int | None,
        reverse: bool = False,
        lower: str | None = None,
        upper: str | None = None,
    ) -> Iterator[pa.Table]:
        low, high = max(span[0], lower or ""), min(span[1], upper or span[1])
        if after is not None:
            marker = self._marker(after)
            low, high = (low, min(high, marker)) if reverse else (max(low, f"{marker}\0"), high)
        left = limit
        if low >= high or left == 0:
            return
        for rows in self.scan(low, high, pick, reverse=reverse, columns=ENTRY_COLUMNS):
            table = as_entries(rows if left is None else rows.slice(0, left))
            yield table
            left = None if left is None else left - table.num_rows
            if left == 0:
                return

    def _marker(self, after: str) -> str:
        """A place in the order of paths: "/a" may be the name of a directory, whose rows say "/a/"."""
        if after.endswith("/"):
            return after
        found = self.find(after)
        return found.path if found is not None else after


def _folder(path: str) -> str:
    return path if path.endswith("/") else f"{path}/"


def _picked(rows: pa.RecordBatch, wanted: pa.Array) -> pa.RecordBatch:
    return rows.take(pa.array(np.flatnonzero(truths(wanted))))
