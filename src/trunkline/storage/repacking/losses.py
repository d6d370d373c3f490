"""Contents taken out of what is stored: which rows go, and a commit made again without them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.model.globs import Glob
from trunkline.storage.filesets.runs import Run, plain
from trunkline.storage.filesets.schema import (
    ADD,
    DELTREE,
    DIR,
    Mask,
    interleaved,
    keep,
    ops,
    stem_end,
    subtree_end,
    truths,
    under,
)
from trunkline.storage.reading.entries import every
from trunkline.storage.reading.view import View
from trunkline.storage.writing.directories import ancestors
from trunkline.storage.writing.resolve import hide_rows
from trunkline.storage.writing.writer import Writer

_PAGE = 50_000


class Loss(Protocol):
    """Says which rows go. low, high: all of them have a path from `low` to before `high`."""

    low: str
    high: str

    def mask(self, rows: pa.RecordBatch) -> Mask:
        """Which of these rows, whose paths ascend, go; rows of directories never do."""
        ...


class LossOfPaths:
    """What a glob matches, a directory with all below it."""

    def __init__(self, pattern: Glob) -> None:
        self._pattern = pattern
        stem = pattern.stem or "/"
        self.low, self.high = stem, stem_end(stem)

    def mask(self, rows: pa.RecordBatch) -> Mask:
        """See `Loss`."""
        paths = rows.column("path")
        found = truths(self._pattern.mask(paths))
        above = ancestors(paths)
        folders = above.filter(self._pattern.mask(above)) if len(above) else above
        lost: Mask = (found | under(paths, _outermost(folders))) & (ops(rows) != DIR)
        return lost


class LossOfDatums:
    """What some datums (hex IDs) wrote."""

    low, high = "/", subtree_end("/")

    def __init__(self, datums: pa.Array) -> None:
        self._datums = datums

    def mask(self, rows: pa.RecordBatch) -> Mask:
        """See `Loss`."""
        lost: Mask = truths(pc.is_in(rows.column("datum"), value_set=self._datums)) & (ops(rows) == ADD)
        return lost


def _outermost(folders: pa.Array) -> pa.Array:
    found: list[str] = []
    for path in folders.to_pylist():
        if not found or not path.startswith(found[-1]):
            found.append(path)
    return pa.array(found, pa.string())


def lost_rows(view: View, loss: Loss) -> Iterator[pa.RecordBatch]:
    """The contents of a view that go; columns of the cache."""
    for batch in view.scan(loss.low, loss.high, every):
        found = keep(batch, loss.mask(batch) & (ops(batch) == ADD))
        if found.num_rows:
            yield found


def lost_of_run(run: Run, loss: Loss) -> pa.RecordBatch:
    """The rows of one file set that go, whether anything hides them or not; columns of the cache."""
    rows = run.between(loss.low, loss.high)
    return keep(rows, loss.mask(rows)) if rows.num_rows else rows


def without(parts: Iterable[pa.RecordBatch], loss: Loss) -> Iterator[pa.RecordBatch]:
    """The rows that stay."""
    for rows in parts:
        yield keep(rows, ~loss.mask(rows))


@dataclass(frozen=True, slots=True)
class Rebuilding:
    """A finished commit to be made again on other ground.

    old: its content as it was; diff: the file sets of its diff; ground: what it stands on now. more: paths to look at
    besides those of the diff, ascending.
    """

    old: View
    diff: Sequence[Run]
    ground: View
    loss: Loss
    more: pa.Array

    def write(self, writer: Writer) -> None:
        """Put the change from `ground` to what is left of `old` into a writer: a hide for each path, then its rows."""
        names = self._paths()
        for start in range(0, len(names), _PAGE):
            page = names.slice(start, _PAGE)
            here, there = self._at(self.old, page), self._at(self.ground, page)
            stays = keep(here, ~self.loss.mask(here)) if here.num_rows else here
            paths = _distinct([stays.column("path"), there.column("path")])
            if len(paths):
                writer.add_rows(interleaved(hide_rows(paths), plain(stays)))

    @staticmethod
    def _at(view: View, paths: pa.Array) -> pa.RecordBatch:
        rows = view.at(paths)
        return keep(rows, ops(rows) == ADD)

    def _paths(self) -> pa.Array:
        found = [self.more]
        for run in self.diff:
            for number in range(len(run.parts)):
                rows = run.brief(number)
                wanted = (ops(rows) != DIR) & (ops(rows) != DELTREE)
                found.append(rows.column("path").filter(pa.array(wanted)))
            for tree in run.trees.to_pylist():
                for view in (self.old, self.ground):
                    found += [keep(b, ops(b) == ADD).column("path") for b in view.scan(tree, subtree_end(tree), every)]
        return _distinct(found)


def everything_but(view: View, loss: Loss, writer: Writer) -> None:
    """Put all of a view that stays into a writer."""
    for batch in view.rows("/"):
        stays = keep(batch, ~loss.mask(batch))
        if stays.num_rows:
            writer.add_rows(plain(stays))


def digests_of(rows: pa.RecordBatch) -> set[bytes]:
    """The digest of every piece of these contents."""
    pieces = rows.column("pieces")
    owners = np.repeat(np.arange(rows.num_rows), pieces.value_lengths().to_numpy())
    own = pieces.flatten().field("digest")
    return set(pc.coalesce(own, rows.column("hash").take(pa.array(owners))).to_pylist()) - {None}


def with_digest(rows: pa.RecordBatch, digests: pa.Array) -> pa.RecordBatch:
    """The contents of which some piece has one of these digests."""
    rows = keep(rows, ops(rows) == ADD)
    pieces = rows.column("pieces")
    owners = np.repeat(np.arange(rows.num_rows), pieces.value_lengths().to_numpy())
    own = pc.coalesce(pieces.flatten().field("digest"), rows.column("hash").take(pa.array(owners)))
    found = np.zeros(rows.num_rows, dtype=np.bool_)
    found[owners[truths(pc.is_in(own, value_set=digests))]] = True
    return keep(rows, found)


def _distinct(paths: Sequence[pa.Array]) -> pa.Array:
    names = pc.unique(pa.concat_arrays(list(paths)))
    return names.take(pc.sort_indices(names))
