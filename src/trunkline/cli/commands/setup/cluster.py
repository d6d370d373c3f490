"""The server as a whole: its id, its check of itself, and the end of everything."""

from __future__ import annotations

import contextlib

import click

from trunkline.cli import places
from trunkline.cli.late import Empty, admin, names, own, pfs, pps, transactions
from trunkline.cli.options import command, project_option
from trunkline.cli.session import Session, pass_session
from trunkline.errors import DataLoss, Unimplemented


@command()
@pass_session
def inspect(session: Session) -> None:
    """Show the server's id."""
    info = session.client.admin.InspectCluster(admin.InspectClusterRequest())
    click.echo(info.id)
    for warning in info.warnings:
        session.note(f"warning: {warning}")


@command()
@click.option("-f", "--fix", is_flag=True, help="Mend what can be mended.")
@click.option("--zombie", metavar="REPO@REF", help="Look in this output commit for files of datums that are gone.")
@click.option("--zombie-all", is_flag=True, help="Look for such files in the newest output of every pipeline.")
@click.option("--data", is_flag=True, help="Read every byte too and compare it with its hash; takes long.")
@project_option
@pass_session
def fsck(session: Session, fix: bool, zombie: str | None, zombie_all: bool, data: bool, project: str | None) -> None:
    """Check that what the server stores holds together."""
    if zombie and zombie_all:
        raise click.UsageError("give either --zombie or --zombie-all")
    request = pfs.FsckRequest(fix=fix)
    if zombie_all:
        request.zombie_all = True
    if zombie:
        place = places.commit(zombie, session.project(project))
        request.zombie_target.CopyFrom(names.commit(place.repo, place.target))
    wrong: set[str] = set()
    for answer in session.client.pfs.Fsck(request):
        if answer.error:
            wrong.add(answer.error)
            click.echo(f"Error: {answer.error}")
        if answer.fix:
            click.echo(f"Fix applied: {answer.fix}")
    for found in session.client.space.CheckData(own.CheckDataRequest()) if data else ():
        if found.error not in wrong:
            wrong.add(found.error)
            click.echo(f"Error: {found.error}")
    if wrong:
        raise DataLoss(f"{len(wrong)} errors found" + ("" if fix else "; --fix mends what can be mended"))
    click.echo("No errors found.")


@command()
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@pass_session
def delete_all(session: Session, yes: bool) -> None:
    """Delete every project, repo, commit, pipeline and job of the server."""
    pipelines = list(session.client.pps.ListPipeline(pps.ListPipelineRequest()))
    repos = list(session.client.pfs.ListRepo(pfs.ListRepoRequest(type="user")))
    if not yes:
        _show("pipelines", [f"{one.pipeline.project.name}/{one.pipeline.name}" for one in pipelines])
        _show("repos", [f"{one.repo.project.name}/{one.repo.name}" for one in repos])
        click.confirm("Everything on this server will be lost. Delete it?", abort=True)
    session.client.pps.DeleteAll(Empty())
    session.client.pfs.DeleteAll(Empty())
    with contextlib.suppress(Unimplemented):  # a server without transactions holds none
        session.client.transactions.DeleteAll(transactions.DeleteAllRequest())


def _show(noun: str, found: list[str]) -> None:
    if found:
        click.echo(f"These {noun} would be deleted:")
        for one in found:
            click.echo(f"  {one}")
