"""What a purge takes from each commit: the files it was asked for, and below them what was made by datums that saw any.

An answer comes from content and datum tables as they are, so that history has to be written anew from its far end:
what was made from a commit before the commit.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from trunkline.catalog import commits as commit_rows
from trunkline.catalog.commits import CommitRow
from trunkline.catalog.engine import Tx
from trunkline.model.globs import Glob
from trunkline.model.names import META_REPO, USER_REPO, Commit, Repo
from trunkline.pfs.files import Files, load
from trunkline.pfs.purging.hits import Hits, LineagePort, Used
from trunkline.storage import View
from trunkline.storage.repacking.losses import Loss, LossOfDatums, LossOfPaths, lost_rows

_KEPT = 64


@dataclass(frozen=True, slots=True)
class Taken:
    """What goes of one commit. used: the datums of its job that saw something; None: it has no job."""

    loss: Loss
    used: Used | None


@dataclass
class Scope:
    """Answers for one purge. repo, pattern: what was asked for."""

    files: Files
    lineage: LineagePort
    repo: Repo
    pattern: Glob
    _hits: OrderedDict[Commit, Hits] = field(default_factory=OrderedDict)

    def taken(self, row: CommitRow) -> Taken | None:
        """What goes of a commit; None: nothing can."""
        if row.commit.repo == self.repo:
            return Taken(LossOfPaths(self.pattern), None)
        used = self.lineage(row, self.hits_of) if row.commit.repo.type == USER_REPO else None
        return None if used is None else Taken(LossOfDatums(used.datums), used)

    def hits_of(self, commit: Commit) -> Hits:
        """What goes of a commit that was read as input."""
        known = self._hits.get(commit)
        if known is None:
            known = self._hits[commit] = self._found(commit)
            while len(self._hits) > _KEPT:
                self._hits.popitem(last=False)
        return known

    def _found(self, commit: Commit) -> Hits:
        repo = commit.repo
        if repo.type == META_REPO:
            return self._records(Commit(Repo(repo.project, repo.name), commit.id))
        row = self.files.catalog.read(lambda tx: commit_rows.find_commit(tx, commit))
        taken = self.taken(row) if row is not None else None
        if row is None or taken is None:
            return Hits()
        if taken.used is not None and not len(taken.used.datums):
            return Hits()
        if row.forgotten:
            return Hits(folders=("/",))  # nobody can say any more which of its files it was
        names = [rows.column("path") for rows in lost_rows(self.content(row.seq), taken.loss)]
        paths = pc.unique(pa.concat_arrays([pa.array([], pa.string()), *names]))
        return Hits(paths.take(pc.sort_indices(paths)))

    def _records(self, output: Commit) -> Hits:
        """Of a meta repo's commit: all that was recorded of these datums."""
        row = self.files.catalog.read(lambda tx: commit_rows.find_commit(tx, output))
        taken = self.taken(row) if row is not None else None
        if taken is None or taken.used is None:
            return Hits()
        datums = taken.used.datums.to_pylist()
        return Hits(folders=[f"/{folder}/{one}/" for folder in ("meta", "pfs") for one in sorted(datums)])

    def content(self, seq: int) -> View:
        """What a finished commit holds now. Something must keep it from collection."""

        def work(tx: Tx) -> View:
            return self.files.store.view(load(tx, commit_rows.runs(tx, seq)))

        return self.files.catalog.read(work)
