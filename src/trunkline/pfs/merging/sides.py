"""What a merge does with each path, found by columns, a page of differences at a time.

Three contents are looked at: the base, ours and theirs. Only what theirs differs in from the base is gone through; what
only ours changed stays as it is by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.storage import View, changes
from trunkline.storage.filesets.schema import ADD, DIR, keep, ops


class Choice(Enum):
    """How conflicts are settled."""

    NONE = 0
    THEIRS = 1
    OURS = 2
    UNION = 3


class Deed(Enum):
    """What one side did to a path."""

    ADDED = 1
    CHANGED = 2
    DELETED = 3
    FILE = 4
    DIRECTORY = 5


@dataclass(frozen=True, slots=True)
class Conflict:
    """A path that both sides changed, each in its own way. settled: the choice says what becomes of it."""

    path: str
    ours: Deed
    theirs: Deed
    settled: bool


@dataclass(slots=True)
class Step:
    """What one page of differences comes to. All paths ascend."""

    take: pa.Array  # files of theirs that go in the place of what ours has
    add: pa.Array  # files of which both contents are wanted, ours first
    drop: pa.Array  # files of ours that go
    trees: list[str]  # directories of ours that go, with all below
    conflicts: list[Conflict]
    added: int = 0
    changed: int = 0
    deleted: int = 0


@dataclass(slots=True)
class Sides:
    """The three contents of a merge, and the choice."""

    base: View
    ours: View
    theirs: View
    choice: Choice
    _in_the_way: set[str] = field(default_factory=set)  # files of ours where theirs has a directory, met so far

    def steps(self) -> Iterator[Step]:
        """What is to be done, page by page."""
        for page in self.theirs.diff(self.base):
            yield self._step(page)

    def _step(self, page: pa.Table) -> Step:
        new, old = (page.column(name).combine_chunks() for name in ("new", "old"))
        paths = pc.coalesce(pc.struct_field(new, "path"), pc.struct_field(old, "path"))
        files = pc.invert(pc.ends_with(paths, "/"))
        paths = paths.filter(files)
        theirs, base = (pc.struct_field(side, "hash").filter(files) for side in (new, old))
        ours = _hashes(self.ours, paths)
        there = _there(theirs)
        in_the_way, below = self._files_above(paths, there)
        trees, onto_tree = self._trees_at(paths, there)
        conflicts = [*in_the_way, *trees]
        open_ = ~_same(ours, theirs) & ~below & ~onto_tree
        clean = open_ & _same(ours, base)
        both = open_ & ~clean
        both, replaced = self._replaced(paths, both, there)
        conflicts += replaced
        conflicts += self._listed(
            paths.filter(pa.array(both)), *(side.filter(pa.array(both)) for side in (ours, theirs, base))
        )
        return self._decide(paths, ours, there, clean, both, below | onto_tree, conflicts, trees)

    def _decide(
        self,
        paths: pa.Array,
        ours: pa.Array,
        there: np.ndarray,
        clean: np.ndarray,
        both: np.ndarray,
        blocked: np.ndarray,
        conflicts: list[Conflict],
        trees: list[Conflict],
    ) -> Step:
        here = _there(ours)
        win = clean.copy()
        if self.choice is Choice.THEIRS:
            win |= both | (blocked & there)
        elif self.choice is Choice.UNION:
            win |= both & there & ~here
        unite = both & there & here if self.choice is Choice.UNION else np.zeros(len(both), dtype=np.bool_)
        goes = {one.path for one in conflicts if one.ours is Deed.FILE and one.theirs is Deed.DIRECTORY}
        drop = paths.filter(pa.array(win & ~there))
        if self.choice is Choice.THEIRS and goes:
            drop = pc.unique(pa.concat_arrays([drop, pa.array(sorted(goes), pa.string())]))
            drop = drop.take(pc.sort_indices(drop))
        gone = [f"{one.path}/" for one in trees] if self.choice is Choice.THEIRS else []
        below = [entry.files for name in gone if (entry := self.ours.find(name)) is not None]
        return Step(
            take=paths.filter(pa.array(win & there)),
            add=paths.filter(pa.array(unite)),
            drop=drop,
            trees=gone,
            conflicts=conflicts,
            added=int((win & there & ~here).sum()),
            changed=int((win & there & here).sum() + unite.sum()),
            deleted=len(drop) + sum(below),
        )

    def _listed(self, paths: pa.Array, ours: pa.Array, theirs: pa.Array, base: pa.Array) -> list[Conflict]:
        known = _there(base)
        settled = self.choice is not Choice.NONE
        return [
            Conflict(path, _deed(mine, had), _deed(other, had), settled)
            for path, mine, other, had in zip(
                paths.to_pylist(), _there(ours).tolist(), _there(theirs).tolist(), known.tolist(), strict=True
            )
        ]

    # --- a file here, a directory there

    def _files_above(self, paths: pa.Array, there: np.ndarray) -> tuple[list[Conflict], np.ndarray]:
        """Files of ours, not as in the base, where theirs has a directory; and which paths lie below one."""
        found: list[str] = []
        below = np.zeros(len(paths), dtype=np.bool_)
        above = _parents(paths)
        while pc.any(pc.not_equal(above, "")).as_py():
            names = _ascending(above.filter(pa.array(there)))
            mine = _rows(self.ours, names).column("path")
            same = _same(_hashes(self.ours, mine), _hashes(self.base, mine))
            bad = mine.filter(pa.array(~same))
            found += bad.to_pylist()
            below |= there & pc.is_in(above, value_set=bad).to_numpy(zero_copy_only=False)
            above = _parents(above)
        return self._met(sorted(set(found))), below

    def _replaced(self, paths: pa.Array, both: np.ndarray, there: np.ndarray) -> tuple[np.ndarray, list[Conflict]]:
        """Of files that ours changed and theirs deleted, those that theirs made directories of."""
        lost = paths.filter(pa.array(both & ~there))
        folders = pc.binary_join_element_wise(lost, "", "/") if len(lost) else lost
        rows = self.theirs.at(folders) if len(lost) else None
        names = [] if rows is None else [name[:-1] for name in rows.column("path").to_pylist()]
        mask = pc.is_in(paths, value_set=pa.array(names, pa.string())).to_numpy(zero_copy_only=False)
        return both & ~mask, self._met(names)

    def _met(self, names: list[str]) -> list[Conflict]:
        fresh = [name for name in names if name not in self._in_the_way]
        self._in_the_way.update(fresh)
        return [Conflict(name, Deed.FILE, Deed.DIRECTORY, self._settles_kinds) for name in fresh]

    def _trees_at(self, paths: pa.Array, there: np.ndarray) -> tuple[list[Conflict], np.ndarray]:
        """Directories of ours where theirs has a file, and in which ours changed something since the base."""
        names = paths.filter(pa.array(there))
        folders = pc.binary_join_element_wise(names, "", "/") if len(names) else names
        rows = self.ours.at(folders) if len(names) else None
        found = [] if rows is None else keep(rows, ops(rows) == DIR).column("path").to_pylist()
        bad = [folder[:-1] for folder in found if self._ours_has_news(folder)]
        mask = pc.is_in(paths, value_set=pa.array(bad, pa.string())).to_numpy(zero_copy_only=False)
        return [Conflict(path, Deed.DIRECTORY, Deed.FILE, self._settles_kinds) for path in bad], mask

    def _ours_has_news(self, folder: str) -> bool:
        differing = changes(self.ours.diff(self.base, folder))
        return any(one.new is not None and not one.new.is_dir for one in differing)

    @property
    def _settles_kinds(self) -> bool:
        """A file and a directory of one name cannot be united."""
        return self.choice in (Choice.THEIRS, Choice.OURS)


def _deed(there: bool, had: bool) -> Deed:
    if not there:
        return Deed.DELETED
    return Deed.CHANGED if had else Deed.ADDED


def _rows(view: View, paths: pa.Array) -> pa.RecordBatch:
    """Rows of the files at paths, which ascend and differ."""
    rows = view.at(paths)
    return keep(rows, ops(rows) == ADD)


def _hashes(view: View, paths: pa.Array) -> pa.Array:
    """Of the file at each path; null where there is none."""
    rows = _rows(view, paths)
    return rows.column("hash").take(pc.index_in(paths, value_set=rows.column("path")))


def _there(hashes: pa.Array) -> np.ndarray:
    mask: np.ndarray = pc.is_valid(hashes).to_numpy(zero_copy_only=False)
    return mask


def _same(one: pa.Array, other: pa.Array) -> np.ndarray:
    """Whether the content is equal, or missing on both sides."""
    equal = pc.fill_null(pc.equal(one, other), False).to_numpy(zero_copy_only=False)
    mask: np.ndarray = equal | (~_there(one) & ~_there(other))
    return mask


def _parents(paths: pa.Array) -> pa.Array:
    """Of `/a/b` it is `/a`; of `/a` and of nothing it is nothing."""
    return pc.replace_substring_regex(paths, r"/[^/]*$", "")


def _ascending(paths: pa.Array) -> pa.Array:
    names = pc.unique(paths.filter(pc.not_equal(paths, "")))
    return names.take(pc.sort_indices(names))
