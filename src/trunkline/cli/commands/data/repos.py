"""Repos."""

from __future__ import annotations

from itertools import islice

import click

from trunkline.cli import complete, places
from trunkline.cli.late import names, pfs, repo_view
from trunkline.cli.options import (
    all_projects_option,
    command,
    description_option,
    full_timestamps_option,
    no_pager_option,
    number_option,
    project_option,
    raw_options,
)
from trunkline.cli.session import Session, pass_session
from trunkline.model.names import REPO_TYPES


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
@number_option
@all_projects_option
@project_option
@raw_options
@full_timestamps_option
@no_pager_option
@pass_session
def list_(
    session: Session, every: bool, kind: str, number: int | None, all_projects: bool, project: str | None, raw: str,
    full: bool, no_pager: bool,
) -> None:  # fmt: skip
    """List the repos of a project, newest first."""
    projects = [] if all_projects else [names.project(session.project(project))]
    request = pfs.ListRepoRequest(type="" if every else kind, projects=projects)
    infos = islice(session.client.pfs.ListRepo(request), number)
    if raw:
        session.raw(infos, raw)
        return
    when = session.when(full)
    rows = (repo_view.repo_row(info, when) for info in infos)
    session.table(repo_view.REPO_HEADER, rows, pager=not no_pager)


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
        asked = pfs.DeleteReposRequest(projects=projects, force=force, all=all_projects)
        gone = session.client.pfs.DeleteRepos(asked)
        session.note(f"{len(gone.repos)} repos deleted." if gone.repos else "No repo deleted.")
        return
    place = names.repo(places.repo(repo, session.project(project)))
    if kind is not None:
        place.type = kind
    answer = session.client.pfs.DeleteRepo(pfs.DeleteRepoRequest(repo=place, force=force))
    if not session.added_to_transaction():
        session.note("Repo deleted." if answer.deleted else "No repo deleted.")
