"""Tags: names that stay with a commit."""

from __future__ import annotations

import click

from trunkline.cli import complete, places
from trunkline.cli.late import names, own
from trunkline.cli.options import command, full_timestamps_option, no_pager_option, project_option, raw_options
from trunkline.cli.session import Session, pass_session
from trunkline.errors import InvalidArgument
from trunkline.model.addresses import parse_branch
from trunkline.model.names import Branch

HEADER = ("PROJECT", "REPO", "TAG", "COMMIT", "CREATED", "DESCRIPTION")


@command()
@click.argument("tag", metavar="REPO@TAG", shell_complete=complete.repos)
@click.option("--commit", metavar="REF", required=True, help="The commit to name: a branch, a tag or an id.")
@click.option("-m", "--message", default="", help="A description of the tag.")
@click.option("-f", "--force", is_flag=True, help="Move a tag that is there.")
@project_option
@pass_session
def create(session: Session, tag: str, commit: str, message: str, force: bool, project: str | None) -> None:
    """Name a commit.

    The name can be used wherever a commit is asked for. A commit with a tag cannot be squashed or deleted.
    """
    in_project = session.project(project)
    place = _place(tag, in_project)
    at = places.commit(commit if "@" in commit else f"{place.repo}@{commit}", in_project)
    request = own.CreateTagRequest(
        tag=_tag(place), commit=names.commit(at.repo, at.target), description=message, force=force
    )
    click.echo(session.client.tags.CreateTag(request).commit.id)


@command()
@click.argument("place", metavar="[REPO[@REF]]", required=False, shell_complete=complete.repos)
@click.option("-n", "--number", metavar="N", type=click.IntRange(min=1), help="At most this many.")
@click.option("--after", metavar="TAG", help="Only those after this one, by name; needs REPO.")
@click.option("--reverse", is_flag=True, help="Last name first; --after then means before.")
@project_option
@raw_options
@full_timestamps_option
@no_pager_option
@pass_session
def list_(
    session: Session, place: str | None, number: int | None, after: str | None, reverse: bool, project: str | None,
    raw: str, full: bool, no_pager: bool,
) -> None:  # fmt: skip
    """List the tags of all repos, of one repo, or of one commit."""
    request = own.ListTagRequest(number=number or 0, reverse=reverse)
    if place is not None:
        found = places.anything(place, session.project(project))
        if found.path is not None:
            raise InvalidArgument("list tag takes a repo or a commit, no file")
        request.repo.CopyFrom(names.repo(found.repo))
        if found.target:
            request.commit.CopyFrom(names.commit(found.repo, found.target))
        if after:
            request.marker.CopyFrom(own.Tag(repo=names.repo(found.repo), name=after))
    elif after:
        raise click.UsageError("--after is about the tags of one repo; name the repo")
    infos = session.client.tags.ListTag(request)
    if raw:
        session.raw(infos, raw)
        return
    when = session.when(full)
    rows = (
        (
            info.tag.repo.project.name, info.tag.repo.name, info.tag.name, info.commit.id, when(info.created),
            info.description,
        )
        for info in infos
    )  # fmt: skip
    session.table(HEADER, rows, pager=not no_pager)


@command()
@click.argument("tag", metavar="REPO@TAG", shell_complete=complete.repos)
@project_option
@pass_session
def delete(session: Session, tag: str, project: str | None) -> None:
    """Delete a tag; its commit stays."""
    session.client.tags.DeleteTag(own.DeleteTagRequest(tag=_tag(_place(tag, session.project(project)))))


def _place(text: str, project: str) -> Branch:
    """A tag is written as a branch is."""
    try:
        return parse_branch(text, project)
    except InvalidArgument as error:
        raise InvalidArgument(f'"{text}" names no tag; write REPO@TAG, as in images@v1 ({error})') from error


def _tag(place: Branch) -> own.Tag:
    return own.Tag(repo=names.repo(place.repo), name=place.name)
