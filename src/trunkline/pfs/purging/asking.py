"""Purges asked for, shown and listed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from trunkline.catalog.engine import Tx
from trunkline.catalog.purging import purges as purge_rows
from trunkline.catalog.purging import remains as remain_rows
from trunkline.catalog.purging.purges import GONE, REWRITING, STOPPED, PurgeRow, TollRow
from trunkline.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound
from trunkline.model.names import Repo, is_id
from trunkline.pfs.files import Files
from trunkline.pfs.graph.refs import need_commit, need_repo
from trunkline.pfs.purging.hits import LineagePort
from trunkline.pfs.purging.purger import PURGE_TOPIC
from trunkline.pfs.purging.survey import Survey, Wish, check_again, survey

PAGE = 500
TRIES = 5


@dataclass(frozen=True, slots=True)
class PurgeInfo:
    """A purge as it is shown. left: chunks, file sets and their blobs that were not seen to be gone yet."""

    row: PurgeRow
    left: int


@dataclass(frozen=True, slots=True)
class Purging:
    """What the doors ask for."""

    files: Files
    lineage: LineagePort

    def look(self, wish: Wish) -> Survey:
        """What a purge would take; see `survey` for what it raises."""
        return survey(self.files, self.lineage, wish)

    def begin(self, wish: Wish) -> str:
        """Begin a purge; its id. It is done by the `Purger`, whatever becomes of the caller. Raises as `survey`."""
        for left in range(TRIES, 0, -1):
            found = survey(self.files, self.lineage, wish)
            try:
                return self.files.catalog.transact(partial(_insert, found=found))
            except Aborted:
                if left == 1:
                    raise
        raise Aborted("history kept changing while it was looked through; try again")

    def inspect(self, id: str) -> PurgeInfo:
        """One purge. Raises InvalidArgument, NotFound."""
        if not is_id(id):
            raise InvalidArgument(f'"{id}" is not the id of a purge: 32 hex digits; `pachctl list purge` shows them')

        def work(tx: Tx) -> PurgeInfo:
            row = purge_rows.find_purge(tx, id)
            if row is None:
                raise NotFound(f"purge {id} not found; `pachctl list purge` shows all")
            left = purge_rows.count_remains(tx, row.key) if row.stage not in (GONE, STOPPED) else 0
            return PurgeInfo(row, left)

        return self.files.catalog.read(work)

    def stop(self, id: str) -> None:
        """End a purge that is writing history anew; what is done stays done. Raises NotFound, FailedPrecondition."""
        row = self.inspect(id).row

        def work(tx: Tx) -> None:
            now = purge_rows.get_purge(tx, row.key)
            if now is None or now.stage != REWRITING:
                raise FailedPrecondition(
                    f"cannot stop purge {id}: every commit is written anew already; it is {now.stage if now else GONE}"
                )
            purge_rows.unmark(tx, row.key)
            purge_rows.set_stage(tx, row.key, STOPPED)
            remain_rows.release_all(tx, row.key)
            tx.emit(PURGE_TOPIC, {"id": id, "stage": STOPPED})

        self.files.catalog.transact(work)

    def tolls(self, id: str) -> Iterator[TollRow]:
        """What each commit lost by a purge, oldest commit first. Raises NotFound."""
        key, after = self.inspect(id).row.key, -1
        while page := self.files.catalog.read(partial(purge_rows.tolls, key=key, after=after, limit=PAGE)):
            yield from page
            after = page[-1].seq

    def list_(self, repo: Repo | None, number: int) -> Iterator[PurgeInfo]:
        """Purges, newest first: all, or those of one repo; number 0: no limit."""
        below: int | None = None
        left = number
        while True:
            limit = min(PAGE, left) if number else PAGE
            if not limit:
                return
            page = self.files.catalog.read(partial(purge_rows.list_purges, limit=limit, repo=repo, below=below))
            if not page:
                return
            for row in page:
                yield self.inspect(row.id)
            below, left = page[-1].key, left - len(page)

    def marks(self, repo: Repo, ref: str) -> list[tuple[PurgeInfo, TollRow]]:
        """The purges that one commit lost something by, oldest first. Raises NotFound."""

        def work(tx: Tx) -> list[tuple[PurgeInfo, TollRow]]:
            need_repo(tx, repo)
            row = need_commit(tx, repo, ref)
            found = purge_rows.marks(tx, row.seq)
            return [(PurgeInfo(purge, purge_rows.count_remains(tx, purge.key)), toll) for purge, toll in found]

        return self.files.catalog.read(work)


def _insert(tx: Tx, found: Survey) -> str:
    check_again(tx, found)
    wish, id = found.wish, tx.new_id()
    values = {
        "id": id,
        "project": wish.repo.project,
        "repo": wish.repo.name,
        "pattern": wish.pattern.pattern,
        "shown": wish.path,
        "reason": wish.reason,
        "oldest": found.oldest,
        "commits": len(found.tolls),
        "files": len(found.names),
        "size_bytes": found.size_bytes,
        "datums": found.datums,
    }
    key = purge_rows.insert_purge(tx, values, b"".join(sorted(found.digests)), found.order)
    purge_rows.insert_tolls(tx, key, found.tolls)
    tx.emit(PURGE_TOPIC, {"id": id, "stage": purge_rows.REWRITING})
    return id
