"""From what a person wrote to the row it means: repos, branches and commits looked up, or refused with words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from trunkline.catalog import branches as branch_rows
from trunkline.catalog import commits as commit_rows
from trunkline.catalog import history as history_rows
from trunkline.catalog import repos as repo_rows
from trunkline.catalog.branches import BranchRow
from trunkline.catalog.commits import CommitRow
from trunkline.catalog.engine import Tx
from trunkline.catalog.purging import purges as purge_rows
from trunkline.catalog.repos import RepoRow
from trunkline.catalog.transactions import has_transaction
from trunkline.catalog.versions import tags as tag_rows
from trunkline.catalog.work import pipelines as pipeline_rows
from trunkline.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound
from trunkline.model.addresses import Ancestry, parse_ancestry
from trunkline.model.names import (
    SPEC_REPO,
    Branch,
    Commit,
    Pipeline,
    Repo,
    Tag,
    check_project,
    check_repo,
    check_repo_type,
    is_id,
)

SHOWN = 120
"""How much of a reference an error repeats."""


def need_project(tx: Tx, name: str) -> None:
    """Raises NotFound if there is no such project."""
    check_project(name)
    if repo_rows.find_project(tx, name) is None:
        raise NotFound(f'project "{name}" not found; create it with `pachctl create project {name}`')


def need_repo(tx: Tx, repo: Repo) -> RepoRow:
    """The row of a repo. Raises NotFound with the nearest names."""
    check_project(repo.project)
    check_repo(repo.name)
    check_repo_type(repo.type)
    row = repo_rows.find_repo(tx, repo)
    if row is None:
        raise NotFound(f"repo {repo} not found{_near(tx, repo)}")
    return row


def has_pipeline(tx: Tx, repo: Repo) -> bool:
    """Whether a repo belongs to a pipeline. System repos alone say nothing: people may make them beside a repo."""
    return pipeline_rows.find_pipeline(tx, Pipeline(repo.project, repo.name)) is not None


def refuse_versions(tx: Tx, repo: Repo) -> None:
    """Raises FailedPrecondition for a repo whose commits are a pipeline's versions: an open one would halt its jobs."""
    if repo.type == SPEC_REPO and has_pipeline(tx, repo):
        raise FailedPrecondition(
            f"{repo} holds the versions of the pipeline {repo.project}/{repo.name}, and only they are written there; "
            "change the pipeline with `pachctl update pipeline`"
        )


def _near(tx: Tx, repo: Repo) -> str:
    names = repo_rows.similar_names(tx, repo)
    near = difflib.get_close_matches(repo.name, names, n=3)
    near += [name for name in names if name.endswith(f"/{repo.name}") and name not in near]
    return f"; did you mean {' or '.join(near[:3])}?" if near else ""


def need_branch(tx: Tx, branch: Branch) -> BranchRow:
    """The row of a branch. Raises NotFound."""
    row = branch_rows.find_branch(tx, branch)
    if row is None:
        repo = need_repo(tx, branch.repo)
        if tag_rows.find_tag(tx, Tag(branch.repo, branch.name)) is not None:
            raise NotFound(f"{branch} is a tag, not a branch: it stands for one commit and never moves by itself")
        names = [b.branch.name for b in branch_rows.list_branches(tx, repo.key)]
        known = f"; it has {', '.join(sorted(names)[:10])}" if names else "; it has no branches yet"
        raise NotFound(f"branch {branch} not found in repo {branch.repo}{known}")
    return row


def need_commit(tx: Tx, repo: Repo, ref: str) -> CommitRow:
    """The commit that `ref` means in `repo`: a branch, a tag, an id, or one with ancestry as in `master^2` or `b.1`.

    An id that names a commit set without a commit in this repo means the repo's commit in the set's provenance.
    Raises NotFound, InvalidArgument.
    """
    need_repo(tx, repo)
    ancestry = parse_ancestry(ref)
    if not ancestry.base:
        raise InvalidArgument(f'"{ref}" names no commit of {repo}: give a branch, a tag or a commit id')
    start = _base(tx, repo, ancestry.base)
    return _walk(tx, start, ancestry, f"{repo}@{ref if len(ref) <= SHOWN else ref[:SHOWN] + '…'}")


def _base(tx: Tx, repo: Repo, name: str) -> CommitRow:
    if not is_id(name):
        branch = branch_rows.find_branch(tx, Branch(repo, name))
        tag = tag_rows.find_tag(tx, Tag(repo, name)) if branch is None else None
        if tag is not None:
            return need_row(tx, tag.commit_seq)
        head = commit_rows.get_commit(tx, (branch or need_branch(tx, Branch(repo, name))).head)
        if head is None:
            raise NotFound(f"branch {repo}@{name} has no commit")
        return head
    row = commit_rows.find_commit(tx, Commit(repo, name)) or _through_provenance(tx, repo, name)
    if row is None:
        waits = f": transaction {name} is not finished yet" if has_transaction(tx, name) else ""
        raise NotFound(f"commit {repo}@{name} not found{waits}")
    return row


def _through_provenance(tx: Tx, repo: Repo, set_id: str) -> CommitRow | None:
    members = commit_rows.commits_of_set(tx, set_id)
    for row in provenance_of(tx, [member.seq for member in members]):
        if row.commit.repo == repo:
            return row
    return None


def provenance_of(tx: Tx, seqs: list[int]) -> list[CommitRow]:
    """All commits that some commits are derived from, transitively, without themselves, newest first."""
    found: dict[int, CommitRow] = {}
    layer = set(seqs)
    while layer:
        ups = commit_rows.upstream_of(tx, layer)
        layer = {up for group in ups.values() for up in group} - found.keys() - set(seqs)
        found.update(commit_rows.get_commits(tx, layer))
    return sorted(found.values(), key=lambda row: -row.seq)


def _walk(tx: Tx, start: CommitRow, ancestry: Ancestry, text: str) -> CommitRow:
    steps = ancestry.back
    if ancestry.nth is not None:
        steps = history_rows.generation(tx, start.seq) - (ancestry.nth - 1)
    if not steps:
        return start
    seq = history_rows.ancestor(tx, start.seq, steps) if steps > 0 else None
    row = commit_rows.get_commit(tx, seq) if seq is not None else None
    if row is None:
        older = history_rows.generation(tx, start.seq)
        raise NotFound(f"commit {text} not found: {start.commit} has {older} ancestor{'' if older == 1 else 's'}")
    return row


def refuse_tag_name(tx: Tx, branch: Branch) -> None:
    """Raises FailedPrecondition where a branch would be made that has the name of a tag."""
    tag = tag_rows.find_tag(tx, Tag(branch.repo, branch.name))
    if tag is not None:
        raise FailedPrecondition(
            f"{branch} is a tag of commit {need_row(tx, tag.commit_seq).commit.id}, and no branch can have its name; "
            f"choose another name, or delete it first with `pachctl delete tag {branch.repo.typed}@{branch.name}`"
        )


def refuse_forgotten(row: CommitRow) -> None:
    """Raises FailedPrecondition for a commit whose files were given up."""
    if row.forgotten:
        raise FailedPrecondition(
            f"commit {row.commit} was forgotten: its record is kept, its files are not; run the pipeline "
            f"{row.commit.repo.name} on its inputs to have them again"
        )


def refuse_purging(tx: Tx, repo_keys: Iterable[int], seqs: Iterable[int] = ()) -> None:
    """Refuse to add commits to repos, or to take some away, whose history is just being written anew."""
    purge = purge_rows.locked(tx, repo_keys, seqs)
    if purge is not None:
        raise Aborted(
            f"{purge.repo}:{purge.shown} is being purged, and with it what was made from it; try again when its "
            f"history is written anew (`pachctl inspect purge {purge.id}` shows how far that is)"
        )


def need_row(tx: Tx, seq: int) -> CommitRow:
    """A commit by seq. Raises Aborted if it was deleted meanwhile."""
    row = commit_rows.get_commit(tx, seq)
    if row is None:
        raise Aborted("a commit was deleted while work on it was under way")
    return row
