"""Work under way in the file system: commits that are being finished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trunkline.catalog import commits as commit_rows
from trunkline.catalog.engine import Tx

FINISHING = "storage/finish"
"""The namespace of these tasks; the group is the commit's set."""


@dataclass(frozen=True, slots=True)
class Task:
    """A piece of work that is due or in hand. claimed: somebody is at it now. data: what it is about, for people."""

    id: str
    namespace: str
    group: str
    claimed: bool
    what: str
    data: Mapping[str, object]


def page(tx: Tx, after: int, limit: int = 500) -> list[tuple[int, Task]]:
    """Commits that wait to be finished or are being finished, oldest first, each with the seq to go on from."""
    rows = commit_rows.next_finishing(tx, after, limit)
    return [
        (row.seq, Task(str(row.seq), FINISHING, row.commit.id, False, "finish commit", {"commit": str(row.commit)}))
        for row in rows
    ]
