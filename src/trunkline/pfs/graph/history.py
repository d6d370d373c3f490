"""Taking commits away: what hung on them is let go, what stood on them is mended first."""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.catalog import commits as commit_rows
from trunkline.catalog import history as history_rows
from trunkline.catalog.collection import exchange, filesets
from trunkline.catalog.engine import Tx
from trunkline.catalog.versions import merges as merge_rows
from trunkline.pfs.graph.changes import COMMIT_TOPIC, tell

DIFF_HOLDER = exchange.DIFF_HOLDER
"""Holds the file sets of a commit's diff; the holder's key is the commit's seq."""
RUNS_HOLDER = exchange.RUNS_HOLDER
"""Holds the runs of a finished commit's content; the key is the commit's seq."""

GONE = "gone"
"""The state in the event of a commit that was removed."""


def drop_repo_commits(tx: Tx, repo_key: int) -> None:
    """Remove every commit of a repo whose branches are gone."""
    while True:
        page = commit_rows.list_commits(tx, repo_key, limit=500)
        if not page:
            return
        drop_commits(tx, [row.seq for row in page])


def drop_commits(tx: Tx, seqs: Sequence[int]) -> None:
    """Remove commits and let their file sets go. Children lose their parent; who composed on them loses the base.

    Who waits for one of them hears of it, and so does who makes an open commit from one, which waits for it no more.
    """
    rows = commit_rows.get_commits(tx, seqs)
    below = commit_rows.downstream_of(tx, seqs)
    for seq in (seq for seq, row in rows.items() if not row.finished):
        commit_rows.input_finished(tx, seq)
    for seq in seqs:
        filesets.drop_holder(tx, DIFF_HOLDER, str(seq))
        filesets.drop_holder(tx, RUNS_HOLDER, str(seq))
    merge_rows.relink(tx, seqs)
    history_rows.forget_parents(tx, seqs)
    history_rows.delete_commits(tx, seqs)
    for seq, row in rows.items():
        if not row.finished or seq == seqs[-1]:  # one event wakes all who wait
            tx.emit(COMMIT_TOPIC, {"seq": seq, "id": row.commit.id, "repo_key": row.repo_key, "state": GONE})
    lost = {down: rows[seq].commit for seq, downs in below.items() for down in downs}
    for down, row in commit_rows.get_commits(tx, lost).items():
        if row.open:
            tell(tx, row, lost=lost[down])
