"""Branches."""

from __future__ import annotations

import click

from trunkline.cli import complete, places
from trunkline.cli.late import names, pfs, repo_view
from trunkline.cli.options import (
    command,
    full_timestamps_option,
    no_pager_option,
    project_option,
    raw_options,
)
from trunkline.cli.pages import page, page_options
from trunkline.cli.session import Session, pass_session
from trunkline.model.names import check_branch


@command()
@click.argument("branch", metavar="REPO@BRANCH", shell_complete=complete.repos)
@click.option("--head", metavar="REF", help="Where it points: a branch or a commit of the same repo.")
@click.option("-p", "--provenance", metavar="REPO@BRANCH", multiple=True, help="What it depends on; may be repeated.")
@click.option("-t", "--trigger", metavar="BRANCH", help="The branch that moves this one.")
@click.option("--trigger-cron", metavar="SPEC", help="Move it by this schedule.")
@click.option("--trigger-size", metavar="SIZE", help="Move it when this much has changed, such as 1MB.")
@click.option("--trigger-commits", metavar="N", type=click.IntRange(min=1), help="Move it after this many commits.")
@click.option("--trigger-all", is_flag=True, help="All of these conditions must hold, not any one.")
@project_option
@pass_session
def create(
    session: Session, branch: str, head: str | None, provenance: tuple[str, ...], trigger: str | None,
    trigger_cron: str | None, trigger_size: str | None, trigger_commits: int | None, trigger_all: bool,
    project: str | None,
) -> None:  # fmt: skip
    """Create a branch, or move one that is there."""
    in_project = session.project(project)
    place = places.branch(branch, in_project)
    request = pfs.CreateBranchRequest(branch=names.branch(place))
    if head:
        at = places.commit(head if "@" in head else f"{place.repo}@{head}", in_project)
        request.head.CopyFrom(names.commit(at.repo, at.target))
    for one in provenance:
        request.provenance.append(names.branch(places.branch(one, in_project)))
    if trigger:
        request.trigger.CopyFrom(
            pfs.Trigger(
                branch=check_branch(trigger),
                all=trigger_all,
                cron_spec=trigger_cron or "",
                size=trigger_size or "",
                commits=trigger_commits or 0,
            )
        )
    elif trigger_cron or trigger_size or trigger_commits or trigger_all:
        raise click.UsageError("conditions of a trigger need the branch that they are about; add --trigger BRANCH")
    session.client.pfs.CreateBranch(request)
    session.added_to_transaction()


@command()
@click.argument("branch", metavar="REPO@BRANCH", shell_complete=complete.repos)
@project_option
@raw_options
@full_timestamps_option
@pass_session
def inspect(session: Session, branch: str, project: str | None, raw: str, full: bool) -> None:
    """Show a branch in full."""
    place = names.branch(places.branch(branch, session.project(project)))
    info = session.client.pfs.InspectBranch(pfs.InspectBranchRequest(branch=place))
    if raw:
        session.raw([info], raw)
    else:
        session.details(repo_view.branch_details(info, session.when(full)))


@command()
@click.argument("repo", shell_complete=complete.repos)
@page_options
@click.option("--reverse", is_flag=True, help="Oldest first.")
@project_option
@raw_options
@full_timestamps_option
@no_pager_option
@pass_session
def list_(
    session: Session, repo: str, number: int | None, after: str | None, reverse: bool, project: str | None, raw: str,
    full: bool, no_pager: bool,
) -> None:  # fmt: skip
    """List the branches of a repo, newest first."""
    place = names.repo(places.repo(repo, session.project(project)))
    found = session.client.pfs.ListBranch(pfs.ListBranchRequest(repo=place, reverse=reverse))
    infos = page(found, number, after, lambda info: info.branch.name)
    if raw:
        session.raw(infos, raw)
        return
    when = session.when(full)
    rows = (repo_view.branch_row(info, when) for info in infos)
    session.table(repo_view.BRANCH_HEADER, rows, pager=not no_pager)


@command()
@click.argument("branch", metavar="REPO@BRANCH", shell_complete=complete.repos)
@click.option("-f", "--force", is_flag=True, help="Also where other branches depend on it.")
@project_option
@pass_session
def delete(session: Session, branch: str, force: bool, project: str | None) -> None:
    """Delete a branch; its commits stay."""
    place = names.branch(places.branch(branch, session.project(project)))
    session.client.pfs.DeleteBranch(pfs.DeleteBranchRequest(branch=place, force=force))
    session.added_to_transaction()
