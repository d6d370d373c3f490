"""What fsck mends by itself: only what follows from other rows, so that nothing is guessed and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from trunkline.catalog import branches as branch_rows
from trunkline.catalog import commits as commit_rows
from trunkline.catalog.branches import Edge
from trunkline.catalog.collection import checks
from trunkline.catalog.engine import Tx
from trunkline.model.infos import Origin
from trunkline.model.names import SPEC_REPO
from trunkline.pfs.files import Files
from trunkline.pfs.graph.changes import Change

PAGE = 200


def repaired(files: Files) -> Iterator[str]:
    """Mend what can be mended; a sentence for each thing mended."""
    yield from files.catalog.transact(checks.let_go_of_ended_sessions)
    above: int | None = 0
    while above is not None:
        found, above = files.catalog.transact(partial(_counts, above=above))
        yield from found
    for key in files.catalog.read(stale_outputs):
        yield files.change(partial(_new_head, key=key))


def _counts(tx: Tx, above: int) -> tuple[list[str], int | None]:
    """Count again which inputs of open commits are unfinished (I-6)."""
    rows = commit_rows.all_commits(tx, above, PAGE)
    ups = commit_rows.upstream_of(tx, [row.seq for row in rows])
    known = commit_rows.get_commits(tx, {up for group in ups.values() for up in group})
    found = []
    for row in rows:
        mine = ups.get(row.seq, [])
        unfinished = sum(not known[up].finished for up in mine)
        if row.open and (row.open_inputs != unfinished or (row.state.value == "READY") != (unfinished == 0)):
            commit_rows.replace_provenance(tx, row.seq, mine)
            found.append(f"{row.commit} waits for {unfinished} unfinished inputs, as there are")
    return found, rows[-1].seq if rows else None


def stale_outputs(tx: Tx) -> list[int]:
    """Keys of branches whose head was not made from the heads of what they depend on."""
    edges = branch_rows.all_edges(tx)
    rows = branch_rows.get_branches(tx, {key for edge in edges for key in (edge.branch, edge.upstream)})
    ups: dict[int, list[Edge]] = {}
    for edge in edges:
        ups.setdefault(edge.branch, []).append(edge)
    made_from = commit_rows.upstream_of(tx, [rows[key].head for key in ups])
    found = []
    for key, mine in sorted(ups.items()):
        if all(rows[edge.upstream].branch.repo.type == SPEC_REPO for edge in mine):
            continue  # a spout: its code makes its commits
        current = made_from.get(rows[key].head, [])
        if not current or any(not edge.never and rows[edge.upstream].head not in current for edge in mine):
            found.append(key)
    return found


def _new_head(change: Change, key: int) -> str:
    """Give an output branch the head that it lacks; nothing to do if that came with another one's (I-6)."""
    row = branch_rows.get_branches(change.tx, [key])[key]
    change.origin = Origin.FSCK
    change.touch(key)
    change.close()
    now = branch_rows.get_branches(change.tx, [key])[key]
    commit = commit_rows.get_commit(change.tx, now.head)
    return f"branch {row.branch} has the head {commit.commit if commit else now.head}, made from what it depends on"
