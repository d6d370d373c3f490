"""Calls that change the graph of branches, as functions of a change: alone in a door, together in a transaction."""

from __future__ import annotations

from google.protobuf.empty_pb2 import Empty

from trunkline.pfs.graph import branches as pfs_branches
from trunkline.pfs.graph import commits as pfs_commits
from trunkline.pfs.graph import removal
from trunkline.pfs.graph import repos as pfs_repos
from trunkline.pfs.graph.changes import Change
from trunkline.wire import infos, nouns
from trunkline.wire.gen import pfs_v2_pb2 as pfs


def create_repo(change: Change, request: pfs.CreateRepoRequest) -> Empty:
    """Make a repo or change its description."""
    repo = nouns.repo_of(request.repo)
    pfs_repos.create_repo(change.tx, repo, request.description, update=request.update)
    return Empty()


def delete_repo(change: Change, request: pfs.DeleteRepoRequest) -> pfs.DeleteRepoResponse:
    """Remove a repo, if it is there."""
    repo = nouns.repo_of(request.repo)
    return pfs.DeleteRepoResponse(deleted=pfs_repos.delete_repo(change, repo, force=request.force))


def start_commit(change: Change, request: pfs.StartCommitRequest) -> pfs.Commit:
    """Open a commit on a branch."""
    branch = nouns.branch_of(request.branch)
    parent = request.parent.id or request.parent.branch.name
    commit = pfs_commits.start_commit(change, branch, parent=parent, description=request.description)
    return nouns.commit(commit, branch.name)


def finish_commit(change: Change, request: pfs.FinishCommitRequest) -> Empty:
    """Close a commit to writes."""
    commit = nouns.commit_of(request.commit)
    pfs_commits.finish_commit(
        change.tx,
        commit.repo,
        commit.ref,
        description=request.description,
        error=request.error,
        force=request.force,
    )
    return Empty()


def squash_commit_set(change: Change, request: pfs.SquashCommitSetRequest) -> Empty:
    """Remove a commit set, keeping its data in the commits that follow."""
    removal.squash_set(change, request.commit_set.id)
    return Empty()


def create_branch(change: Change, request: pfs.CreateBranchRequest) -> Empty:
    """Make a branch, move it, or change what it depends on."""
    branch = nouns.branch_of(request.branch)
    head = nouns.find_commit(request.head)
    target = (head.repo, head.ref) if head is not None and head.ref else None
    if target is None and request.head.id:  # an id alone: the branch's own repo is meant
        target = (branch.repo, request.head.id)
    provenance = [nouns.branch_of(up, "the provenance") for up in request.provenance]
    trigger = infos.trigger_of(request.trigger) if request.trigger.ByteSize() else None
    never = [
        nouns.branch_of(spec.branch, "a propagation spec")
        for spec in request.branch_propagation_specs
        if spec.propagation_spec.never
    ]
    pfs_branches.create_branch(change, branch, head=target, provenance=provenance, trigger=trigger, never=never)
    return Empty()


def delete_branch(change: Change, request: pfs.DeleteBranchRequest) -> Empty:
    """Remove a branch; its commits stay."""
    pfs_branches.delete_branch(change, nouns.branch_of(request.branch), force=request.force)
    return Empty()
