"""Repos."""

from __future__ import annotations

import click

from trunkline.cli import complete, places
from trunkline.cli.late import names, pfs, repo_view, transactions
from trunkline.cli.options import (
    all_projects_option,
    command,
    description_option,
    full_timestamps_option,
    no_pager_option,
    project_option,
    raw_options,
)
from trunkline.cli.pages import page, page_options
from trunkline.cli.session import Session, pass_session
from trunkline.model.names import REPO_TYPES, USER_REPO, Repo


@command()
@click.argument("repo")
@description_option
@project_option
@pass_session
def create(session: Session, repo: str, description: str, project: str | None) -> None:
    """Create a repo.

    A repo is a versioned tree of files. `pachctl put file REPO@master -f FILE` puts the first one into it.
    """
    place = names.repo(places.repo(repo, session.project(project)))
    session.client.pfs.CreateRepo(pfs.CreateRepoRequest(repo=place, description=description))
    session.added_to_transaction()


@command()
@click.argument("repo", shell_complete=complete.repos)
@description_option
@project_option
@pass_session
def update(session: Session, repo: str, description: str, project: str | None) -> None:
    """Change a repo's description."""
    place = names.repo(places.repo(repo, session.project(project)))
    session.client.pfs.CreateRepo(pfs.CreateRepoRequest(repo=place, description=description, update=True))
    session.added_to_transaction()


@command()
@click.argument("repo", shell_complete=complete.repos)
@project_option
@raw_options
@full_timestamps_option
@pass_session
def inspect(session: Session, repo: str, project: str | None, raw: str, full: bool) -> None:
    """Show a repo in full."""
    place = names.repo(places.repo(repo, session.project(project)))
    info = session.client.pfs.InspectRepo(pfs.InspectRepoRequest(repo=place))
    if raw:
        session.raw([info], raw)
    else:
        session.details(repo_view.repo_details(info, session.when(full)))


@command()
@click.option("--all", "every", is_flag=True, help="System repos too.")
@click.option("--type", "kind", type=click.Choice(REPO_TYPES), default="user", help="Repos of this type only.")
@page_options
@all_projects_option
@project_option
@raw_options
@full_timestamps_option
@no_pager_option
@pass_session
def list_(
    session: Session, every: bool, kind: str, number: int | None, after: str | None, all_projects: bool,
    project: str | None, raw: str, full: bool, no_pager: bool,
) -> None:  # fmt: skip
    """List the repos of a project, newest first."""
    projects = [] if all_projects else [names.project(session.project(project))]
    request = pfs.ListRepoRequest(type="" if every else kind, projects=projects)
    mark = None if after is None else str(places.repo(after, session.project(project)))
    infos = page(session.client.pfs.ListRepo(request), number, mark, _named)
    if raw:
        session.raw(infos, raw)
        return
    when = session.when(full)
    rows = (repo_view.repo_row(info, when) for info in infos)
    session.table(repo_view.REPO_HEADER, rows, pager=not no_pager)


def _named(info: pfs.RepoInfo) -> str:
    return str(Repo(info.repo.project.name, info.repo.name, info.repo.type))


@command()
@click.argument("repo", required=False, shell_complete=complete.repos)
@click.option("-f", "--force", is_flag=True, help="Also where branches of other repos depend on it.")
@click.option("--all", "every", is_flag=True, help="All repos of the project.")
@all_projects_option
@click.option("--type", "kind", type=click.Choice(REPO_TYPES), help="The repo's type; user if not given.")
@project_option
@pass_session
def delete(
    session: Session, repo: str | None, force: bool, every: bool, all_projects: bool, kind: str | None,
    project: str | None,
) -> None:  # fmt: skip
    """Delete a repo, or all repos."""
    if (repo is not None) is (every or all_projects):
        raise click.UsageError("give either a repo or --all")
    if repo is None:
        projects = [] if all_projects else [names.project(session.project(project))]
        if kind in (None, USER_REPO):
            asked = pfs.DeleteReposRequest(projects=projects, force=force, all=all_projects)
            gone = list(session.client.pfs.DeleteRepos(asked).repos)
        else:
            gone = _delete_of_type(session, pfs.ListRepoRequest(projects=projects, type=kind), force)
        some = "Repo deleted." if len(gone) == 1 else f"{len(gone)} repos deleted."
        session.note(some if gone else "No repo deleted.")
        return
    place = names.repo(places.repo(repo, session.project(project)))
    if kind is not None:
        place.type = kind
    answer = session.client.pfs.DeleteRepo(pfs.DeleteRepoRequest(repo=place, force=force))
    if not session.added_to_transaction():
        session.note("Repo deleted." if answer.deleted else "No repo deleted.")


def _delete_of_type(session: Session, asked: pfs.ListRepoRequest, force: bool) -> list[pfs.Repo]:
    # DeleteRepos is about user repos alone; one batch, so that all go or none.
    found = [info.repo for info in session.client_outside.pfs.ListRepo(asked)]
    requests = [
        transactions.TransactionRequest(delete_repo=pfs.DeleteRepoRequest(repo=one, force=force)) for one in found
    ]
    if requests:
        session.client_outside.transactions.BatchTransaction(transactions.BatchTransactionRequest(requests=requests))
    return found
