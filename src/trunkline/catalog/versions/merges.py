"""Queries on lines of history that meet: what both stem from, and what merges were made of."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from sqlalchemy import select, update

from trunkline.catalog.engine import Tx
from trunkline.catalog.tables_pfs import commits

PAGE = 500


def common_ancestor(tx: Tx, repo_key: int, one: int, other: int) -> int | None:
    """Seq of the newest commit that both stem from, through parents and merges; a commit stems from itself too.

    Looks at the repo's commits from the newer one back to the answer.
    """
    sides = {one: 1}
    sides[other] = sides.get(other, 0) | 2
    waiting = [-seq for seq in sides]
    heapq.heapify(waiting)
    above = _Parents(tx, repo_key)
    while waiting:
        seq = -heapq.heappop(waiting)
        if sides[seq] == 3:
            return seq
        for parent in above.of(seq):
            if parent not in sides:
                heapq.heappush(waiting, -parent)
            sides[parent] = sides.get(parent, 0) | sides[seq]
        side = sides.pop(seq)
        if side not in sides.values() and 3 not in sides.values():
            return None  # that side came to its beginning
    return None


class _Parents:
    """Parents of a repo's commits, asked for from new to old and read in pages."""

    def __init__(self, tx: Tx, repo_key: int) -> None:
        self._tx, self._repo_key = tx, repo_key
        self._page: dict[int, list[int]] = {}

    def of(self, seq: int) -> list[int]:
        if seq not in self._page:
            query = select(commits.c.seq, commits.c.parent, commits.c.merged_from)
            query = query.where(commits.c.repo == self._repo_key, commits.c.seq <= seq)
            rows = self._tx.execute(query.order_by(commits.c.seq.desc()).limit(PAGE)).all()
            self._page = {row[0]: [one for one in row[1:] if one is not None] for row in rows}
        return self._page.get(seq, [])


def set_merged_from(tx: Tx, seq: int, other: int) -> None:
    """Write down which commit a merge brought in."""
    tx.execute(update(commits).where(commits.c.seq == seq).values(merged_from=other))


def relink(tx: Tx, seqs: Sequence[int]) -> None:
    """Before commits are removed: what merged one has merged its parent."""
    for seq in sorted(seqs, reverse=True):  # a parent that goes too hands on in its turn
        parent = tx.execute(select(commits.c.parent).where(commits.c.seq == seq)).scalar()
        tx.execute(update(commits).where(commits.c.merged_from == seq).values(merged_from=parent))
