"""Purges asked for, shown and listed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from trunkline.catalog.engine import Tx
from trunkline.catalog.purging import purges as purge_rows
from trunkline.catalog.purging import remains as remain_rows
from trunkline.catalog.purging.purges import GONE, REWRITING, STOPPED, PurgeRow, TollRow
from trunkline.errors import FailedPrecondition, InvalidArgument, NotFound
from trunkline.model.names import Commit, Repo, is_id
from trunkline.pfs.files import Files
from trunkline.pfs.graph.refs import need_commit, need_repo
from trunkline.pfs.purging.hits import LineagePort
from trunkline.pfs.purging.purger import PURGE_TOPIC
from trunkline.pfs.purging.survey import Survey, Wish, check_again, survey

PAGE = 500

T = TypeVar("T")


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
        """Begin a purge; its id. It is done by the `Purger`, whatever becomes of the caller.

        Raises as `survey`, and Aborted where history changed while it was looked through.
        """
        found = survey(self.files, self.lineage, wish)
        return self.files.catalog.transact(partial(_insert, found=found))

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

    def tolls(
        self, id: str, number: int = 0, marker: Commit | None = None, *, reverse: bool = False
    ) -> Iterator[TollRow]:
        """What each commit lost by a purge, oldest commit first.

        number: at most so many; 0: all. marker: go on behind that commit. Raises InvalidArgument, NotFound.
        """
        check_number(number)
        catalog, key = self.files.catalog, self.inspect(id).row.key
        start = catalog.read(lambda tx: purge_rows.toll_of(tx, key, marker)) if marker else None
        if marker and start is None:
            raise NotFound(f"purge {id} took nothing from {marker}, so that nothing comes after it")
        yield from _pages(
            lambda after, limit: catalog.read(lambda tx: purge_rows.tolls(tx, key, after, limit, reverse=reverse)),
            lambda toll: toll.seq,
            start.seq if start else None,
            number,
        )

    def list_(
        self, repo: Repo | None, number: int = 0, marker: str = "", *, reverse: bool = False
    ) -> Iterator[PurgeInfo]:
        """Purges, newest first: all, or those of one repo.

        number: at most so many; 0: all. marker: go on behind that purge. Raises InvalidArgument, NotFound.
        """
        check_number(number)
        fetch = partial(purge_rows.list_purges, repo=repo, reverse=reverse)
        rows = _pages(
            lambda after, limit: self.files.catalog.read(partial(fetch, limit=limit, after=after)),
            lambda row: row.key,
            self.inspect(marker).row.key if marker else None,
            number,
        )
        for row in rows:
            yield self.inspect(row.id)

    def marks(
        self, repo: Repo, ref: str, number: int = 0, marker: str = "", *, reverse: bool = False
    ) -> list[tuple[PurgeInfo, TollRow]]:
        """The purges that one commit lost something by, oldest first.

        number: at most so many; 0: all. marker: go on behind that purge. Raises InvalidArgument, NotFound.
        """
        check_number(number)
        start = self.inspect(marker).row.key if marker else None

        def work(tx: Tx) -> list[tuple[PurgeInfo, TollRow]]:
            need_repo(tx, repo)
            row = need_commit(tx, repo, ref)
            found = purge_rows.marks(tx, row.seq)
            if start is not None:
                found = [one for one in found if (one[0].key < start if reverse else one[0].key > start)]
            found = (found[::-1] if reverse else found)[: number or None]
            return [(PurgeInfo(purge, purge_rows.count_remains(tx, purge.key)), toll) for purge, toll in found]

        return self.files.catalog.read(work)


def check_number(number: int) -> None:
    """Raises InvalidArgument for what is no number of entries."""
    if number < 0:
        raise InvalidArgument(f"number must be 0 (all) or more, not {number}")


def _pages(
    fetch: Callable[[int | None, int], list[T]], key: Callable[[T], int], after: int | None, number: int
) -> Iterator[T]:
    """At most `number` rows, page by page. fetch: given the key to go on behind, and how many."""
    left = number or None
    while left is None or left > 0:
        page = fetch(after, PAGE if left is None else min(PAGE, left))
        yield from page
        if not page:
            return
        after, left = key(page[-1]), None if left is None else left - len(page)


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
