"""Commits and commit sets: open, close, show, remove."""

from __future__ import annotations

import click

from trunkline.cli import complete, places
from trunkline.cli.commands.data.origins import message_option, origin_kind, origin_option
from trunkline.cli.late import commit_view, names, own, pfs
from trunkline.cli.options import command, full_timestamps_option, no_pager_option, project_option, raw_options
from trunkline.cli.session import Session, pass_session
from trunkline.errors import InvalidArgument, Unimplemented
from trunkline.model.addresses import Ref
from trunkline.model.names import is_id


@command()
@click.argument("branch", metavar="REPO@BRANCH", shell_complete=complete.repos)
@click.option("-p", "--parent", metavar="REF", help="The commit to start from; the branch's head if not given.")
@message_option
@project_option
@pass_session
def start(session: Session, branch: str, parent: str | None, message: str, project: str | None) -> None:
    """Open a commit and print its id.

    What is put into the branch goes into this commit until `pachctl finish commit`.
    """
    place = places.branch(branch, session.project(project))
    request = pfs.StartCommitRequest(branch=names.branch(place), description=message)
    if parent:
        request.parent.CopyFrom(names.commit(place.repo, parent))
    commit = session.client.pfs.StartCommit(request)
    session.added_to_transaction()
    click.echo(commit.id)


@command()
@click.argument("commit", metavar="REPO@REF", shell_complete=complete.repos)
@message_option
@click.option("-f", "--force", is_flag=True, help="Also an output commit, whose job is then left without one.")
@project_option
@pass_session
def finish(session: Session, commit: str, message: str, force: bool, project: str | None) -> None:
    """Close a commit."""
    place = places.commit(commit, session.project(project))
    at = names.commit(place.repo, place.target)
    session.client.pfs.FinishCommit(pfs.FinishCommitRequest(commit=at, description=message, force=force))
    session.added_to_transaction()


@command()
@click.argument("commit", metavar="REPO@REF", shell_complete=complete.repos)
@project_option
@raw_options
@full_timestamps_option
@pass_session
def inspect(session: Session, commit: str, project: str | None, raw: str, full: bool) -> None:
    """Show a commit in full."""
    place = places.commit(commit, session.project(project))
    at = names.commit(place.repo, place.target)
    info = session.client.pfs.InspectCommit(pfs.InspectCommitRequest(commit=at))
    if raw:
        session.raw([info], raw)
    else:
        pairs = commit_view.commit_details(info, session.when(full))
        more = [*_waits(session, info), *_tags(session, info.commit), *_purges(session, info.commit, full)]
        session.details([*pairs, *more])


def _waits(session: Session, info: pfs.CommitInfo) -> list[tuple[str, str]]:
    """What keeps a commit from being finished: its parent, as long as that is not."""
    if not info.HasField("finishing") or info.HasField("finished") or not info.HasField("parent_commit"):
        return []
    above = session.client.pfs.InspectCommit(pfs.InspectCommitRequest(commit=info.parent_commit))
    if above.HasField("finished"):
        return []
    state = "is being finished" if above.HasField("finishing") else "is open"
    return [("Waits For", f"its parent {above.commit.id}, which {state}")]


def _tags(session: Session, commit: pfs.Commit) -> list[tuple[str, str]]:
    """The tags of a commit; none where the server has no such thing."""
    try:
        found = [one.tag.name for one in session.client.tags.ListTag(own.ListTagRequest(commit=commit))]
    except Unimplemented:
        return []
    return [("Tags", " ".join(found))] if found else []


def _purges(session: Session, commit: pfs.Commit, full: bool) -> list[tuple[str, str]]:
    """What was taken out of a commit; nothing where the server has no such thing."""
    try:
        marks = list(session.client.purges.ListPurgedCommit(own.ListPurgedCommitRequest(commit=commit)))
    except Unimplemented:
        return []
    when = session.when(full)
    return [("Purged", f"{one.purged_path}, {when(one.purged)} ({one.purge})") for one in marks]


@command()
@click.argument("place", metavar="[ID | REPO[@REF]]", required=False, shell_complete=complete.repos)
@click.option("-x", "--expand", is_flag=True, help="Show the commits of the sets, not the sets.")
@click.option("-n", "--number", metavar="N", type=click.IntRange(min=1), help="At most this many.")
@click.option("-f", "--from", "since", metavar="REF", help="Only what came after this commit.")
@click.option("--all", "every", is_flag=True, help="Also the commits that the system made.")
@origin_option
@project_option
@raw_options
@full_timestamps_option
@no_pager_option
@pass_session
def list_(
    session: Session, place: str | None, expand: bool, number: int | None, since: str | None, every: bool,
    origin: str | None, project: str | None, raw: str, full: bool, no_pager: bool,
) -> None:  # fmt: skip
    """List commit sets, the commits of one set, or the commits of a repo.

    Without an argument: all sets, newest first. With an id: the commits of that set. With a repo or a commit of one:
    its history.
    """
    if place is None or is_id(place):
        if every or origin or since:
            raise click.UsageError("--all, --origin and --from are about the commits of a repo; name the repo")
        if place is None and not expand:
            _list_sets(session, number, project, raw, full, no_pager)
            return
        infos = _sets_expanded(session, place, number, project)
    else:
        ref = places.anything(place, session.project(project))
        infos = _history(session, ref, number, since, every, origin)
        if not (infos or every or origin) and _history(session, ref, 1, since, True, None):
            session.note("Nobody made a commit here by hand; --all shows the system's own, such as output.")
    if raw:
        session.raw(infos, raw)
        return
    when = session.when(full)
    rows = (commit_view.commit_row(info, when) for info in infos)
    session.table(commit_view.COMMIT_HEADER, rows, pager=not no_pager)


def _list_sets(session: Session, number: int | None, project: str | None, raw: str, full: bool, no_pager: bool) -> None:
    sets = _sets(session, number, project)
    if raw:
        session.raw(sets, raw)
        return
    when = session.when(full)
    session.table(commit_view.SET_HEADER, (commit_view.set_row(one, when) for one in sets), pager=not no_pager)


def _sets(session: Session, number: int | None, project: str | None) -> list[pfs.CommitSetInfo]:
    found = []
    answers = session.client.pfs.ListCommitSet(
        pfs.ListCommitSetRequest(project=names.project(session.project(project)))
    )
    for one in answers:
        found.append(one)
        if len(found) == number:
            break
    return found


def _sets_expanded(session: Session, id: str | None, number: int | None, project: str | None) -> list[pfs.CommitInfo]:
    if id is not None:
        answers = session.client.pfs.InspectCommitSet(pfs.InspectCommitSetRequest(commit_set=pfs.CommitSet(id=id)))
        return list(answers)[:number]
    return [info for one in _sets(session, number, project) for info in one.commits]


def _history(
    session: Session, place: Ref, number: int | None, since: str | None, every: bool, origin: str | None
) -> list[pfs.CommitInfo]:
    if place.path is not None:
        raise InvalidArgument("list commit takes a repo or a commit, no file; `pachctl find commit` looks for a file")
    request = pfs.ListCommitRequest(
        repo=names.repo(place.repo),
        number=number or 0,
        all=every,
        origin_kind=origin_kind(origin),
    )
    if place.target:
        request.to.CopyFrom(names.commit(place.repo, place.target))
    if since:
        getattr(request, "from").CopyFrom(names.commit(place.repo, since))
    return list(session.client.pfs.ListCommit(request))


@command()
@click.argument("id")
@pass_session
def squash(session: Session, id: str) -> None:
    """Remove a commit set, keeping its data in the commits that follow."""
    _check_set(id)
    session.client.pfs.SquashCommitSet(pfs.SquashCommitSetRequest(commit_set=pfs.CommitSet(id=id)))
    session.added_to_transaction()


@command()
@click.argument("commit", metavar="REPO@REF", shell_complete=complete.repos)
@click.option("-r", "--recursive", is_flag=True, help="Also what was made from it.")
@project_option
@pass_session
def squash_one(session: Session, commit: str, recursive: bool, project: str | None) -> None:
    """Remove one commit, keeping its data in the commits that follow."""
    place = places.commit(commit, session.project(project))
    at = names.commit(place.repo, place.target)
    session.client.pfs.SquashCommit(pfs.SquashCommitRequest(commit=at, recursive=recursive))


@command()
@click.argument("id")
@pass_session
def delete(session: Session, id: str) -> None:
    """Remove a commit set with its data; the branches fall back to the commits before."""
    _check_set(id)
    session.client.pfs.DropCommitSet(pfs.DropCommitSetRequest(commit_set=pfs.CommitSet(id=id)))


@command()
@click.argument("commit", metavar="REPO@REF", shell_complete=complete.repos)
@click.option("-r", "--recursive", is_flag=True, help="Also what was made from it.")
@project_option
@pass_session
def delete_one(session: Session, commit: str, recursive: bool, project: str | None) -> None:
    """Remove one commit with its data."""
    place = places.commit(commit, session.project(project))
    at = names.commit(place.repo, place.target)
    session.client.pfs.DropCommit(pfs.DropCommitRequest(commit=at, recursive=recursive))


def _check_set(id: str) -> None:
    if not is_id(id):
        raise InvalidArgument(f'"{id}" is not the id of a commit set (32 hex digits); see `pachctl list commit`')
