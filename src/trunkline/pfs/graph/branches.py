"""Branches: made, moved, given provenance, listed, deleted."""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.catalog import branches as branch_rows
from trunkline.catalog import commits as commit_rows
from trunkline.catalog.branches import BranchRow
from trunkline.catalog.engine import Tx
from trunkline.errors import FailedPrecondition, InvalidArgument
from trunkline.model import provenance as graphs
from trunkline.model.infos import BranchInfo, Origin, Trigger
from trunkline.model.names import Branch, Commit, Repo, check_branch
from trunkline.pfs.graph import triggers
from trunkline.pfs.graph.changes import BRANCH_TOPIC, Change, downstream_order
from trunkline.pfs.graph.refs import (
    need_branch,
    need_commit,
    need_repo,
    refuse_forgotten,
    refuse_tag_name,
    refuse_versions,
)


def create_branch(
    change: Change,
    branch: Branch,
    *,
    head: tuple[Repo, str] | None = None,
    provenance: Sequence[Branch] = (),
    trigger: Trigger | None = None,
    never: Sequence[Branch] = (),
) -> None:
    """Make a branch, or move it (`head`), or change what it depends on (`provenance`, direct only).

    head: repo and reference. never: members of provenance whose commits alone start nothing. An existing branch whose
    provenance is cleared keeps its head; without `trigger` it keeps the one it has.
    Raises InvalidArgument, NotFound, FailedPrecondition.
    """
    tx = change.tx
    check_branch(branch.name)
    repo = need_repo(tx, branch.repo)
    refuse_versions(tx, branch.repo)
    target = _head(tx, branch, head)
    known = branch_rows.find_branch(tx, branch)
    if known is None:
        refuse_tag_name(tx, branch)
    if trigger is not None:
        triggers.check(tx, repo.key, branch, trigger)
    _refuse_both(tx, branch, known, trigger, provenance)
    upstream = [_upstream(change, branch, up) for up in dict.fromkeys(provenance)]
    if known is None:
        seq = target
        if seq is None:
            seq = (
                change.new_commit(repo, branch.name, origin=Origin.AUTO, parent=None)
                if upstream
                else change.empty_head(repo, branch.name)
            )
        key = branch_rows.insert_branch(tx, repo.key, branch.name, seq)
    else:
        key = known.key
        if target is not None:
            branch_rows.set_head(tx, key, target)
        branch_rows.clear_provenance(tx, key)
    _add_provenance(change, branch, key, [(row.key, row.branch in set(never)) for row in upstream])
    if trigger is not None:
        triggers.put(tx, key, trigger)
    change.touch(key)


def _refuse_both(
    tx: Tx, branch: Branch, known: BranchRow | None, trigger: Trigger | None, provenance: Sequence[Branch]
) -> None:
    """What has provenance is written by a pipeline, what has a trigger follows a branch: no branch is both."""
    if provenance and (trigger is not None or (known is not None and known.trigger is not None)):
        raise InvalidArgument(
            f"branch {branch} cannot have provenance and a trigger; use two branches, or delete it first"
        )
    if trigger is not None and known is not None and branch_rows.depends(tx, known.key):
        raise FailedPrecondition(
            f"branch {branch} has provenance, so its commits come from a pipeline, and it cannot have a trigger; "
            "let another branch follow it"
        )


def _head(tx: Tx, branch: Branch, head: tuple[Repo, str] | None) -> int | None:
    if head is None:
        return None
    repo, ref = head
    if repo != branch.repo:
        raise InvalidArgument(f"branch {branch} cannot point to a commit of {repo}: the head must be of its own repo")
    row = need_commit(tx, repo, ref)
    refuse_forgotten(row)
    return row.seq


def _upstream(change: Change, branch: Branch, up: Branch) -> BranchRow:
    """The row of a branch depended on; one that does not exist yet is made, with an empty head."""
    if up == branch:
        raise InvalidArgument(f"branch {branch} cannot be in its own provenance")
    check_branch(up.name)
    repo = need_repo(change.tx, up.repo)
    known = branch_rows.find_branch(change.tx, up)
    if known is not None:
        return known
    refuse_tag_name(change.tx, up)
    head = change.empty_head(repo, up.name)
    branch_rows.insert_branch(change.tx, repo.key, up.name, head)
    return need_branch(change.tx, up)


def _add_provenance(change: Change, branch: Branch, key: int, upstream: Sequence[tuple[int, bool]]) -> None:
    """Write down what a branch depends on, unless that makes a loop or ties two branches of one repo together."""
    tx = change.tx
    branch_rows.add_provenance(tx, key, upstream)
    if upstream and branch_rows.tangled(tx, key):
        edges = branch_rows.all_edges(tx)
        rows = branch_rows.get_branches(tx, {end for edge in edges for end in (edge.branch, edge.upstream)} | {key})
        names = {row_key: row.branch for row_key, row in rows.items()}
        graph: dict[Branch, list[Branch]] = {}
        for edge in edges:
            graph.setdefault(names[edge.branch], []).append(names[edge.upstream])
        graphs.check(graph, branch, lambda one: one.repo)  # which says in words what is wrong


def inspect_branch(tx: Tx, branch: Branch) -> BranchInfo:
    """One branch. Raises NotFound."""
    check_branch(branch.name)
    return infos(tx, [need_branch(tx, branch)])[0]


def list_branches(tx: Tx, repo: Repo, *, oldest_first: bool = False) -> list[BranchInfo]:
    """Branches of a repo, newest first."""
    return infos(tx, branch_rows.list_branches(tx, need_repo(tx, repo).key, oldest_first))


def infos(tx: Tx, rows: Sequence[BranchRow]) -> list[BranchInfo]:
    """What doors show of some branches, in the same order."""
    edges = branch_rows.all_edges(tx)
    graph: dict[int, list[int]] = {}
    for edge in edges:
        graph.setdefault(edge.branch, []).append(edge.upstream)
    above = {row.key: graphs.closure(graph, [row.key]) for row in rows}
    below = {row.key: downstream_order(edges, [row.key])[1:] for row in rows}
    keys = {key for group in (*above.values(), *below.values()) for key in group}
    names = {key: row.branch for key, row in branch_rows.get_branches(tx, keys).items()}
    heads = commit_rows.get_commits(tx, [row.head for row in rows])
    return [
        BranchInfo(
            branch=row.branch,
            head=heads[row.head].commit if row.head in heads else Commit(row.branch.repo, ""),
            direct_provenance=tuple(names[key] for key in graph.get(row.key, [])),
            provenance=tuple(sorted(names[key] for key in above[row.key])),
            subvenance=tuple(sorted(names[key] for key in below[row.key])),
            created_us=row.created_us,
            updated_us=row.updated_us,
            trigger=row.trigger,
            created_by=row.created_by,
            metadata=row.metadata,
        )
        for row in rows
    ]


def delete_branch(change: Change, branch: Branch, *, force: bool = False) -> bool:
    """Remove a branch, not its commits; whether there was one. Raises FailedPrecondition while others need it."""
    check_branch(branch.name)
    tx = change.tx
    need_repo(tx, branch.repo)
    row = branch_rows.find_branch(tx, branch)
    if row is None:
        return False
    refuse_versions(tx, branch.repo)
    down = [edge.branch for edge in branch_rows.all_edges(tx) if edge.upstream == row.key]
    if down and not force:
        names = sorted(str(other.branch) for other in branch_rows.get_branches(tx, down).values())
        verb = "depends" if len(names) == 1 else "depend"
        raise FailedPrecondition(
            f"cannot delete branch {branch}: {', '.join(names[:5])} {verb} on it; delete those first, or use --force"
        )
    triggers.let_go(tx, row, force=force)
    branch_rows.delete_branch(tx, row.key)
    if down:
        tx.emit(BRANCH_TOPIC, {"repo_key": row.repo_key})
    return True
