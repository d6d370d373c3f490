"""Projects."""

from __future__ import annotations

import click

from trunkline.cli import complete
from trunkline.cli.late import names, pfs, pps, repo_view
from trunkline.cli.options import command, description_option, raw_options
from trunkline.cli.pages import page, page_options
from trunkline.cli.session import Session, pass_session
from trunkline.model.names import check_project


@command()
@click.argument("name")
@description_option
@pass_session
def create(session: Session, name: str, description: str) -> None:
    """Create a project.

    Repos and pipelines live in projects. `pachctl config update context --project NAME` makes it the one to work in.
    """
    project = names.project(check_project(name))
    session.client.pfs.CreateProject(pfs.CreateProjectRequest(project=project, description=description))


@command()
@click.argument("name", shell_complete=complete.projects)
@description_option
@pass_session
def update(session: Session, name: str, description: str) -> None:
    """Change a project's description."""
    project = names.project(check_project(name))
    session.client.pfs.CreateProject(pfs.CreateProjectRequest(project=project, description=description, update=True))


@command()
@click.argument("name", shell_complete=complete.projects)
@raw_options
@pass_session
def inspect(session: Session, name: str, raw: str) -> None:
    """Show a project in full."""
    project = names.project(check_project(name))
    info = session.client.pfs.InspectProject(pfs.InspectProjectRequest(project=project))
    if raw:
        session.raw([info], raw)
    else:
        session.details(repo_view.project_details(info, session.when(False)))


@command()
@page_options
@raw_options
@pass_session
def list_(session: Session, number: int | None, after: str | None, raw: str) -> None:
    """List the projects; the one to work in has a star."""
    found = session.client.pfs.ListProject(pfs.ListProjectRequest())
    infos = page(found, number, after, lambda info: info.project.name)
    if raw:
        session.raw(infos, raw)
        return
    active, when = session.context.project, session.when(False)
    session.table(repo_view.PROJECT_HEADER, (repo_view.project_row(info, active, when) for info in infos))


@command()
@click.argument("name", shell_complete=complete.projects)
@click.option("-f", "--force", is_flag=True, help="Also where other things depend on what goes; asks nothing.")
@pass_session
def delete(session: Session, name: str, force: bool) -> None:
    """Delete a project, with its pipelines and repos.

    They are listed and you are asked first.
    """
    project = names.project(check_project(name))
    session.client.pfs.InspectProject(pfs.InspectProjectRequest(project=project))
    pipelines = list(session.client.pps.ListPipeline(pps.ListPipelineRequest(projects=[project], history=0)))
    repos = list(session.client.pfs.ListRepo(pfs.ListRepoRequest(projects=[project], type="user")))
    outputs = {info.pipeline.name for info in pipelines}
    _ask("pipelines", [info.pipeline.name for info in pipelines], force)
    if pipelines:
        session.client.pps.DeletePipelines(pps.DeletePipelinesRequest(projects=[project], force=force))
    _ask("repos", [info.repo.name for info in repos if info.repo.name not in outputs], force)
    if repos:
        session.client.pfs.DeleteRepos(pfs.DeleteReposRequest(projects=[project], force=force))
    session.client.pfs.DeleteProject(pfs.DeleteProjectRequest(project=project, force=force))
    if session.context.project == name:
        session.note(
            f'"{name}" was the project to work in; choose another with `pachctl config update context --project NAME`'
        )


def _ask(noun: str, found: list[str], force: bool) -> None:
    if not found or force:
        return
    click.echo(f"These {noun} would be deleted:")
    for one in found:
        click.echo(f"  {one}")
    click.confirm("Delete them?", abort=True)
