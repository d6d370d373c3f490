"""The engine of the versioned file system: its parts, and the ways into a transaction."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from trunkline.ambient import Ambient
from trunkline.catalog.branches import BranchRow
from trunkline.catalog.collection import filesets as fileset_rows
from trunkline.catalog.collection.chunks import mark_damaged
from trunkline.catalog.commits import CommitRow
from trunkline.catalog.engine import Catalog, Tx
from trunkline.errors import Aborted
from trunkline.pfs.graph.changes import Change, OutputCommitPort, RemovedCommitsPort, nobody_told
from trunkline.pfs.pins import Pins
from trunkline.pfs.sessions import Session, Sessions
from trunkline.storage import ChunkKey, Sealed, Store, View

T = TypeVar("T")

log = logging.getLogger(__name__)


def no_pipelines(tx: Tx, commit: CommitRow, branch: BranchRow) -> None:
    """Fills the port where no pipeline system is attached: output commits wait for whoever finishes them."""


class RecordsPort(Protocol):
    """Shows the commits of meta repos, which nobody writes: what jobs recorded of their datums."""

    def __call__(self, files: Files, tx: Tx, commit: CommitRow) -> tuple[tuple[str, ...], View] | None:
        """The file sets that must be held while it is read, and the content. None: not yet, wait for an event."""
        ...


def no_records(files: Files, tx: Tx, commit: CommitRow) -> tuple[tuple[str, ...], View]:
    """Fills the port where no pipeline system is attached: there are no records."""
    return (), files.store.view(())


@dataclass(frozen=True)
class Files:
    """What every function of this room works with."""

    catalog: Catalog
    store: Store
    ambient: Ambient
    on_output_commit: OutputCommitPort = field(default=no_pipelines)
    records: RecordsPort = field(default=no_records)
    on_removed_commits: RemovedCommitsPort = field(default=nobody_told)
    writing: Sessions = field(init=False)
    reading: Pins = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "writing", Sessions(self.catalog, self.ambient))
        object.__setattr__(self, "reading", Pins(self.catalog, self.ambient))

    def keep(self) -> None:
        """Call every few seconds: keeps alive what of this process is open, in the eyes of whoever collects."""
        self.reading.settle()
        self.writing.refresh_old()
        self.writing.renew()

    def change(self, function: Callable[[Change], T], *, set_id: str | None = None) -> T:
        """Run `function` on the graph of branches in one transaction, and propagate what it changed."""

        def work(tx: Tx) -> T:
            change = self.change_in(tx, set_id=set_id)
            answer = function(change)
            change.close()
            return answer

        return self.catalog.transact(work)

    def change_in(self, tx: Tx, *, set_id: str | None = None) -> Change:
        """A change within a transaction that runs already; the caller closes it."""
        return Change(tx, self.on_output_commit, set_id, on_removed_commits=self.on_removed_commits)

    def session(self, kind: str) -> Session:
        """A new write session."""
        return self.writing.open(kind)

    def session_on(self, kind: str, filesets: Sequence[str]) -> tuple[Session, list[Sealed]]:
        """A new write session that holds these file sets from the start, and what they are: one transaction.

        Raises Aborted if one of them has gone meanwhile.
        """
        found: list[Sealed] = []

        def first(tx: Tx, gen: int) -> None:
            fileset_rows.hold(tx, gen, filesets)
            found[:] = load(tx, filesets)

        return self.writing.open(kind, first), found

    def hold(self, session: Session, filesets: Sequence[str]) -> View:
        """A view of file sets that this session may copy from: they are held until it ends.

        Raises Aborted if one of them has gone meanwhile.
        """
        return self.store.view(self.held(session, filesets))

    def held(self, session: Session, filesets: Sequence[str]) -> list[Sealed]:
        """File sets, held by a session from now on. Raises Aborted if one of them has gone meanwhile."""
        ids = list(filesets)

        def work(tx: Tx) -> list[Sealed]:
            fileset_rows.hold(tx, session.gen, ids)
            return load(tx, ids)

        return self.catalog.transact(work) if ids else []

    def still_held(self, tx: Tx, filesets: Sequence[str]) -> bool:
        """Whether nobody deleted these file sets."""
        return len(fileset_rows.get_filesets(tx, list(dict.fromkeys(filesets)))) == len(set(filesets))

    def view(self, filesets: Sequence[str]) -> View:
        """A view of file sets that something else keeps alive: a session that holds them, or a read that has begun."""
        return self.store.view(self.catalog.read(lambda tx: load(tx, filesets)))


def load(tx: Tx, ids: Sequence[str]) -> list[Sealed]:
    """Sealed file sets by id, in that order. Raises Aborted if one is gone."""
    rows = fileset_rows.get_filesets(tx, list(dict.fromkeys(ids)))
    gone = [fileset for fileset in ids if fileset not in rows]
    if gone:
        raise Aborted(f"file set {gone[0]} was deleted while it was to be read; try again")
    return [Sealed.from_bytes(rows[fileset]) for fileset in ids]


def on_damage(catalog: Catalog) -> Callable[[ChunkKey], None]:
    """What a store is to tell of each chunk found bad: no look-up finds it any more, so the next put heals it."""

    def mark(key: ChunkKey) -> None:
        log.error("%s is damaged; put the files again that it is a part of", key)
        catalog.transact(lambda tx: mark_damaged(tx, [(key.hash, key.gen)]))

    return mark
