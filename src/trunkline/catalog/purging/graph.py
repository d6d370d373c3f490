"""Queries on which repos were made from which, by all their commits."""

from __future__ import annotations

from sqlalchemy import select

from trunkline.catalog.engine.tx import Tx
from trunkline.catalog.tables_pfs import branch_provenance, branches, commit_provenance, commits, repos


def made_from(tx: Tx, repo_keys: set[int]) -> dict[int, set[int]]:
    """For each of some repos, by key, the repos of which some commit or branch was made from one of its own."""
    up, down = commits.alias("up"), commits.alias("down")
    by_commit = (
        select(up.c.repo, down.c.repo)
        .select_from(commit_provenance.join(up, up.c.seq == commit_provenance.c.upstream))
        .join(down, down.c.seq == commit_provenance.c.commit_seq)
        .where(up.c.repo.in_(sorted(repo_keys)))
    )
    above, below = branches.alias("above"), branches.alias("below")
    by_branch = (
        select(above.c.repo, below.c.repo)
        .select_from(branch_provenance.join(above, above.c.id == branch_provenance.c.upstream))
        .join(below, below.c.id == branch_provenance.c.branch)
        .where(above.c.repo.in_(sorted(repo_keys)))
    )
    found: dict[int, set[int]] = {}
    for query in (by_commit, by_branch):
        for row in tx.execute(query.distinct()):
            found.setdefault(row[0], set()).add(row[1])
    return found


def is_output(tx: Tx, repo_key: int, spec_type: str) -> bool:
    """Whether a branch of this repo depends on another that is not one of a repo of type `spec_type`."""
    above, below = branches.alias("above"), branches.alias("below")
    query = (
        select(above.c.id)
        .select_from(branch_provenance.join(above, above.c.id == branch_provenance.c.upstream))
        .join(below, below.c.id == branch_provenance.c.branch)
        .join(repos, repos.c.id == above.c.repo)
        .where(below.c.repo == repo_key, repos.c.type != spec_type)
        .limit(1)
    )
    return tx.execute(query).first() is not None
