"""Projects and repos."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trunkline.catalog import branches as branch_rows
from trunkline.catalog import commits as commit_rows
from trunkline.catalog import repos as repo_rows
from trunkline.catalog.engine import Tx
from trunkline.catalog.repos import RepoRow
from trunkline.catalog.versions import tags as tag_rows
from trunkline.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from trunkline.model.infos import ProjectInfo, RepoInfo
from trunkline.model.names import (
    DEFAULT_PROJECT,
    LENT_REPO,
    MASTER,
    PARTS_REPO,
    USER_REPO,
    Repo,
    check_project,
    check_repo,
    check_repo_type,
)
from trunkline.model.provenance import downstream_first
from trunkline.pfs.graph import history
from trunkline.pfs.graph.changes import BRANCH_TOPIC, Change
from trunkline.pfs.graph.refs import has_pipeline, need_project, need_repo, refuse_purging


def create_project(tx: Tx, name: str, description: str = "", *, update: bool = False, by: str = "") -> None:
    """Make a project, or with `update` change its description."""
    check_project(name)
    known = repo_rows.find_project(tx, name)
    if known and not update:
        raise AlreadyExists(f'project "{name}" already exists')
    if known:
        repo_rows.set_project_description(tx, name, description)
    elif update:
        raise NotFound(f'project "{name}" not found: there is nothing to update')
    else:
        repo_rows.insert_project(tx, name, description, by)


def ensure_default_project(tx: Tx) -> None:
    """Make the project that is always there, at the first start."""
    if repo_rows.find_project(tx, DEFAULT_PROJECT) is None:
        repo_rows.insert_project(tx, DEFAULT_PROJECT, "", "")


def inspect_project(tx: Tx, name: str) -> ProjectInfo:
    """One project. Raises NotFound."""
    need_project(tx, name)
    info = repo_rows.find_project(tx, name)
    if info is None:
        raise NotFound(f'project "{name}" not found')
    return info


def list_projects(tx: Tx) -> list[ProjectInfo]:
    """All projects, by name."""
    return repo_rows.list_projects(tx)


def delete_project(tx: Tx, name: str) -> None:
    """Remove an empty project. Raises FailedPrecondition while it has repos."""
    need_project(tx, name)
    rows = repo_rows.list_repos(tx, [name], "")
    if rows:
        names = ", ".join(sorted({row.repo.name for row in rows})[:5])
        raise FailedPrecondition(f'project "{name}" is not empty: it has repos ({names}); delete them first')
    repo_rows.delete_project(tx, name)


def create_repo(tx: Tx, repo: Repo, description: str = "", *, update: bool = False) -> RepoRow:
    """Make a repo, or with `update` make it or change its description. It has no branches yet."""
    check_repo(repo.name)
    check_repo_type(repo.type)
    if repo.name == LENT_REPO:
        raise InvalidArgument(f'repo name "{LENT_REPO}" is taken: file sets are read through it; choose another name')
    need_project(tx, repo.project)
    known = repo_rows.find_repo(tx, repo)
    if known and not update:
        raise AlreadyExists(f"repo {repo} already exists")
    if known:
        repo_rows.set_repo_description(tx, known.key, description)
        return known
    if repo.type != USER_REPO and repo_rows.find_repo(tx, Repo(repo.project, repo.name)) is None:
        raise FailedPrecondition(f"cannot create the system repo {repo}: there is no user repo of that name")
    return repo_rows.insert_repo(tx, repo, description)


def inspect_repo(tx: Tx, repo: Repo) -> RepoInfo:
    """One repo. Raises NotFound."""
    return _info(tx, need_repo(tx, repo))


def list_repos(tx: Tx, projects: Sequence[str], type_: str = USER_REPO) -> list[RepoInfo]:
    """Repos of some projects (none: all), of one type ("": all), newest first; not the one that holds parts."""
    for project in projects:
        check_project(project)
    rows = repo_rows.list_repos(tx, projects, type_)
    return [_info(tx, row) for row in rows if row.repo.name != PARTS_REPO]


def _info(tx: Tx, row: RepoRow) -> RepoInfo:
    rows = branch_rows.list_branches(tx, row.key)
    master = next((branch for branch in rows if branch.branch.name == MASTER), None)
    head = commit_rows.get_commit(tx, master.head) if master else None
    return RepoInfo(
        repo=row.repo,
        description=row.description,
        created_us=row.created_us,
        branches=tuple(branch.branch.name for branch in rows),
        size_upper_bytes=head.size_upper_bytes if head else 0,
        size_bytes=head.size_bytes if head else 0,
        metadata=row.metadata,
    )


def delete_repo(change: Change, repo: Repo, *, force: bool = False, called: str = "") -> bool:
    """Remove a repo with its system repos, branches and commits; whether there was one.

    called: what people know it by who delete it, where that is not "repo NAME".
    Raises FailedPrecondition if the repo belongs to a pipeline, or, without `force`, if branches of other repos
    depend on it. A pipeline that goes with its repos goes first.
    """
    check_repo(repo.name)
    tx = change.tx
    rows = repo_rows.repos_named(tx, repo.project, repo.name)
    if repo.type != USER_REPO:
        rows = [row for row in rows if row.repo == repo]
    if not any(row.repo == repo for row in rows):
        return False
    refuse_purging(tx, [row.key for row in rows])
    if has_pipeline(tx, repo):
        raise FailedPrecondition(
            f"cannot delete repo {repo}: it belongs to the pipeline {repo.project}/{repo.name}; "
            f"delete it with `pachctl delete pipeline {repo.name} --project {repo.project}`"
        )
    keys = {row.key for row in rows}
    if not force:
        for row in rows:
            _refuse_dependents(tx, row, keys, called or f"repo {row.repo}")
    for row in reversed(rows):  # system repos before the user repo they hang on
        _drop(change, row)
    return True


def _refuse_dependents(tx: Tx, row: RepoRow, together: Iterable[int], called: str) -> None:
    mine = {branch.key for branch in branch_rows.list_branches(tx, row.key)}
    down = {edge.branch for edge in branch_rows.all_edges(tx) if edge.upstream in mine} - mine
    rows = branch_rows.get_branches(tx, down).values()
    outside = [branch.branch for branch in rows if branch.repo_key not in set(together)]
    others = sorted(str(one) for one in outside if one.repo.type == USER_REPO) or sorted(map(str, outside))
    if others:
        verb = "depends" if len(others) == 1 else "depend"
        raise FailedPrecondition(
            f"cannot delete {called}: {', '.join(others[:5])} {verb} on it; delete what depends on it first, "
            "or use --force"
        )


def _drop(change: Change, row: RepoRow) -> None:
    tx = change.tx
    for branch in branch_rows.list_branches(tx, row.key):
        branch_rows.delete_branch(tx, branch.key)
    tx.emit(BRANCH_TOPIC, {"repo_key": row.key})
    tag_rows.delete_tags_of_repo(tx, row.key)
    history.drop_repo_commits(tx, row.key)
    repo_rows.delete_repo(tx, row.key)


def delete_repos(change: Change, projects: Sequence[str], *, force: bool = False) -> list[Repo]:
    """Remove all user repos of some projects (none: all) that no pipeline owns; what was removed."""
    tx = change.tx
    found = {row.key: row.repo for row in repo_rows.list_repos(tx, projects, USER_REPO)}
    alone = [key for key, repo in found.items() if not has_pipeline(tx, repo)]
    gone = [found[key] for key in downstream_first(_reads(tx), alone)]
    return [repo for repo in gone if delete_repo(change, repo, force=force)]


def _reads(tx: Tx) -> dict[int, set[int]]:
    """For each repo by its key, those that its branches depend on directly."""
    edges = branch_rows.all_edges(tx)
    rows = branch_rows.get_branches(tx, {key for edge in edges for key in (edge.branch, edge.upstream)})
    reads: dict[int, set[int]] = {}
    for edge in edges:
        reads.setdefault(rows[edge.branch].repo_key, set()).add(rows[edge.upstream].repo_key)
    return reads
