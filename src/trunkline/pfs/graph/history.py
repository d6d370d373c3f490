"""Taking commits away: what hung on them is let go, what stood on them is mended first."""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.catalog import commits as commit_rows
from trunkline.catalog.collection import filesets
from trunkline.catalog.engine import Tx

DIFF_HOLDER = "commit diff"
"""Holds the file sets of a commit's diff; the holder's key is the commit's seq."""
RUNS_HOLDER = "manifest"
"""Holds the runs of a finished commit's content; the key is the commit's seq."""


def drop_repo_commits(tx: Tx, repo_key: int) -> None:
    """Remove every commit of a repo whose branches are gone."""
    while True:
        page = commit_rows.list_commits(tx, repo_key, limit=500)
        if not page:
            return
        drop_commits(tx, [row.seq for row in page])


def drop_commits(tx: Tx, seqs: Sequence[int]) -> None:
    """Remove commits and let their file sets go. Children lose their parent; who composed on them loses the base."""
    for seq in seqs:
        filesets.drop_holder(tx, DIFF_HOLDER, str(seq))
        filesets.drop_holder(tx, RUNS_HOLDER, str(seq))
    commit_rows.forget_parents(tx, seqs)
    commit_rows.delete_commits(tx, seqs)
