"""Merges of branches."""

from __future__ import annotations

import click

from trunkline.cli import complete, places
from trunkline.cli.late import names, own
from trunkline.cli.options import command, project_option, raw_options
from trunkline.cli.session import Session, pass_session
from trunkline.errors import FailedPrecondition

HEADER = ("PATH", "OURS", "THEIRS")


@command()
@click.argument("words", metavar="REPO@REF [into] REPO@BRANCH", nargs=-1, required=True, shell_complete=complete.repos)
@click.option("--theirs", "choice", flag_value="MERGE_THEIRS", help="Where both changed a file, take that of REF.")
@click.option("--ours", "choice", flag_value="MERGE_OURS", help="Where both changed a file, keep that of BRANCH.")
@click.option("--union", "choice", flag_value="MERGE_UNION", help="Keep both contents, that of BRANCH first.")
@click.option("--dry-run", is_flag=True, help="Change nothing; say what would be done.")
@click.option("-m", "--message", default="", help="A description of the commit.")
@project_option
@raw_options
@pass_session
def merge(
    session: Session, words: tuple[str, ...], choice: str | None, dry_run: bool, message: str, project: str | None,
    raw: str,
) -> None:  # fmt: skip
    """Bring what REF changed since the two parted into BRANCH, as one new commit, and print its id.

    Files that both changed differently are listed, and nothing is written, unless an option says which to take.
    """
    given = [word for at, word in enumerate(words) if not (at == 1 and len(words) == 3 and word == "into")]
    if len(given) != 2:
        raise click.UsageError("two are merged; write for example: merge branch data@feature into data@master")
    in_project = session.project(project)
    source, target = places.commit(given[0], in_project), places.branch(given[1], in_project)
    request = own.MergeBranchRequest(
        source=names.commit(source.repo, source.target),
        target=names.branch(target),
        choice=own.MergeChoice.Value(choice or "MERGE_CHOICE_NONE"),
        dry_run=dry_run,
        description=message,
    )
    answer = session.client.tags.MergeBranch(request)
    if raw:
        session.raw([answer], raw)
    elif answer.conflicts:
        rows = ((one.path, _deed(one.ours), _deed(one.theirs)) for one in answer.conflicts)
        session.table(HEADER, rows, pager=False)
        more = answer.conflict_count - len(answer.conflicts)
        if more:
            click.echo(f"and {more} more")
    if answer.unsettled_count:
        raise FailedPrecondition(_left(answer, target.name))
    if not raw:
        _say(answer, given, dry_run)


def _say(answer: own.MergeBranchResponse, given: list[str], dry_run: bool) -> None:
    if answer.up_to_date:
        click.echo(f"{given[1]} has all of {given[0]} already; nothing to merge", err=True)
        return
    figures = f"{answer.added} files added, {answer.changed} changed, {answer.deleted} deleted"
    if dry_run:
        click.echo(f"Would merge: {figures}.")
        return
    click.echo(answer.commit.id)
    click.echo(f"Merged: {figures}.", err=True)


def _left(answer: own.MergeBranchResponse, branch: str) -> str:
    count = answer.unsettled_count
    what = "1 conflict is" if count == 1 else f"{count} conflicts are"
    return (
        f"{what} left, so that nothing was written: --theirs takes the other side's files, --ours keeps those of "
        f"{branch}, --union keeps both contents (not of a file and a directory of one name)"
    )


def _deed(deed: own.MergeDeed.ValueType) -> str:
    return own.MergeDeed.Name(deed).removeprefix("MERGE_").lower()
