"""Walks along provenance: from commits or branches to what they were made from, or to what was made from them.

Nearest first; each is met once, and the start is not among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from trunkline.catalog import branches as branch_rows
from trunkline.catalog import commits as commit_rows
from trunkline.catalog import history as history_rows
from trunkline.catalog.engine import Tx
from trunkline.model.infos import BranchInfo, CommitInfo
from trunkline.model.names import Branch, Repo
from trunkline.pfs.files import Files
from trunkline.pfs.graph import branches, commits
from trunkline.pfs.graph.refs import need_branch, need_commit

PAGE = 200


def walk_commits(
    files: Files, repo: Repo, ref: str, *, up: bool, most: int = 0, depth: int = 0
) -> Iterator[CommitInfo]:
    """Provenance of a commit, or with up=False its subvenance. most, depth: how many, how far; 0: all.

    Raises NotFound, InvalidArgument.
    """
    start = files.catalog.read(lambda tx: need_commit(tx, repo, ref)).seq
    walked = _commits(files, start, up, depth)
    return islice(walked, most) if most else walked


def _commits(files: Files, start: int, up: bool, depth: int) -> Iterator[CommitInfo]:
    seen, layer, far = {start}, {start}, 0
    while layer and (not depth or far < depth):
        here = layer
        layer = files.catalog.read(lambda tx: history_rows.next_layer(tx, here, up=up)) - seen  # noqa: B023
        seen |= layer
        far += 1
        order = sorted(layer, reverse=up)
        for at in range(0, len(order), PAGE):
            yield from files.catalog.read(lambda tx: _infos(tx, order[at : at + PAGE]))  # noqa: B023


def _infos(tx: Tx, seqs: list[int]) -> list[CommitInfo]:
    rows = commit_rows.get_commits(tx, seqs)
    return commits.infos(tx, [rows[seq] for seq in seqs if seq in rows])


def walk_branches(tx: Tx, branch: Branch, *, up: bool, most: int = 0, depth: int = 0) -> list[BranchInfo]:
    """Provenance of a branch, or with up=False its subvenance. most, depth: how many, how far; 0: all.

    Raises NotFound.
    """
    start = need_branch(tx, branch).key
    graph: dict[int, list[int]] = {}
    for edge in branch_rows.all_edges(tx):
        here, there = (edge.branch, edge.upstream) if up else (edge.upstream, edge.branch)
        graph.setdefault(here, []).append(there)
    order: list[int] = []
    seen, layer, far = {start}, [start], 0
    while layer and (not depth or far < depth):
        near = dict.fromkeys(there for here in layer for there in graph.get(here, []))
        layer = [key for key in near if key not in seen]
        seen.update(layer)
        order += layer
        far += 1
    order = order[:most] if most else order
    rows = branch_rows.get_branches(tx, order)
    return branches.infos(tx, [rows[key] for key in order])
