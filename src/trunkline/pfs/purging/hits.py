"""What of one commit goes, for asking which datums saw it; and the port that answers that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.catalog.commits import CommitRow
from trunkline.catalog.engine import Tx
from trunkline.model.names import Commit
from trunkline.pfs.sessions import Session
from trunkline.storage.filesets.schema import Mask, search, subtree_end, truths


@dataclass(frozen=True, slots=True)
class Hits:
    """Files of a commit that go. paths: ascending. folders: all below these goes, whatever it is; none in another."""

    paths: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))
    folders: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(len(self.paths) or self.folders)

    def touch(self, paths: pa.Array, is_dir: Mask) -> Mask:
        """Which of these elements (cleaned paths) are among what goes, or are a directory with some of it."""
        bare = pc.utf8_rtrim(paths, characters="/")
        starts = pc.binary_join_element_wise(bare, pa.array(np.where(is_dir, "/", "")), "")
        found = truths(pc.is_in(starts, value_set=self.paths))
        folders = pa.array(sorted(self.folders), pa.string())
        ends = pa.array([subtree_end(one) for one in folders.to_pylist()], pa.string())
        if len(folders):
            found |= search(folders, _after(starts)) > search(ends, _after(starts))
        points = pc.unique(pa.concat_arrays([self.paths, folders]))
        points = points.take(pc.sort_indices(points))
        below = search(points, pc.binary_join_element_wise(bare, "0", "")) > search(points, starts)
        return found | (below & is_dir)


def _after(texts: pa.Array) -> pa.Array:
    """The least text above each."""
    return pc.binary_join_element_wise(texts, "\0", "")


class Used(Protocol):
    """The datums of one job that saw what goes, or whose results were taken away before."""

    @property
    def datums(self) -> pa.Array:
        """Their IDs, as hex digits."""
        ...

    @property
    def fresh(self) -> int:
        """How many of them are not marked yet."""
        ...

    def mark(self, session: Session, note: str) -> Callable[[Tx], Sequence[str]]:
        """Make ready a datum table with `note` at each of them, by which none is taken for done any more.

        Run what it gives in the session's transaction: it answers the file sets of the old table, which it let go.
        """
        ...


class LineagePort(Protocol):
    """Knows which datums of the job that made a commit saw which files."""

    def __call__(self, commit: CommitRow, hits_of: Callable[[Commit], Hits]) -> Used | None:
        """See `Used`. hits_of: what goes of an input commit. None: no job with datums made the commit."""
        ...


def no_lineage(commit: CommitRow, hits_of: Callable[[Commit], Hits]) -> None:
    """Fills the port where no pipeline system is attached: commits are made by nobody."""
