"""Commits as they come: wait for one, watch a branch, search history."""

from __future__ import annotations

import click

from trunkline.cli import complete, places
from trunkline.cli.commands.data.origins import origin_kind, origin_option
from trunkline.cli.late import commit_view, names, pfs, progress
from trunkline.cli.options import command, full_timestamps_option, project_option, raw_options, timeout_option
from trunkline.cli.session import Session, pass_session
from trunkline.model.names import is_id


@command()
@click.argument("commit", metavar="REPO@REF | ID", shell_complete=complete.repos)
@project_option
@raw_options
@full_timestamps_option
@pass_session
def wait_commit(session: Session, commit: str, project: str | None, raw: str, full: bool) -> None:
    """Wait until a commit, or every commit of a set, is finished; then show it."""
    infos: list[pfs.CommitInfo]
    if is_id(commit):
        asked = pfs.InspectCommitSetRequest(commit_set=pfs.CommitSet(id=commit), wait=True)
        with progress.waiting(f"commit set {commit}"):
            infos = list(session.client.pfs.InspectCommitSet(asked))
    else:
        place = places.commit(commit, session.project(project))
        at = names.commit(place.repo, place.target)
        with progress.waiting(f"commit {commit}"):
            infos = [session.client.pfs.InspectCommit(pfs.InspectCommitRequest(commit=at, wait=pfs.FINISHED))]
    if raw:
        session.raw(infos, raw)
        return
    for count, info in enumerate(infos):
        if count:
            click.echo()
        session.details(commit_view.commit_details(info, session.when(full)))


@command()
@click.argument("branch", metavar="REPO[@BRANCH]", shell_complete=complete.repos)
@click.option("--from", "since", metavar="REF", help="Only what comes after this commit.")
@click.option("--new", is_flag=True, help="Only what comes from now on.")
@click.option("--all", "every", is_flag=True, help="Also the commits that the system makes.")
@origin_option
@project_option
@raw_options
@full_timestamps_option
@pass_session
def subscribe(
    session: Session, branch: str, since: str | None, new: bool, every: bool, origin: str | None,
    project: str | None, raw: str, full: bool,
) -> None:  # fmt: skip
    """Print commits as they finish, until Ctrl-C."""
    if new and since:
        raise click.UsageError("give either --new or --from")
    place = places.anything(branch, session.project(project))
    request = pfs.SubscribeCommitRequest(
        repo=names.repo(place.repo),
        branch=place.target,
        state=pfs.FINISHED,
        all=every,
        origin_kind=origin_kind(origin),
    )
    if since or (new and place.target):
        getattr(request, "from").CopyFrom(names.commit(place.repo, since or place.target))
    infos = session.client.pfs.SubscribeCommit(request)
    if raw:
        session.raw(infos, raw)
        return
    when = session.when(full)
    session.stream(commit_view.COMMIT_HEADER, (commit_view.commit_row(info, when) for info in infos))


@command()
@click.argument("file", metavar="REPO@REF:PATH", shell_complete=complete.repos)
@click.option("--limit", metavar="N", type=click.IntRange(min=0), default=0, help="Stop after this many; 0: do not.")
@timeout_option("Stop after this long.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole answers.")
@project_option
@pass_session
def find(session: Session, file: str, limit: int, timeout: float | None, as_json: bool, project: str | None) -> None:
    """Find the commits that added, changed or deleted a path, newest first."""
    place = places.file(file, session.project(project), path_needed=True)
    request = pfs.FindCommitsRequest(
        start=names.commit(place.repo, place.target), file_path=place.path or "/", limit=limit
    )
    for answer in session.client.pfs.FindCommits(request, timeout=timeout):
        if as_json:
            session.raw([answer], "json")
        elif answer.HasField("found_commit"):
            click.echo(f"{place.repo.name}@{answer.found_commit.id}")
        elif answer.HasField("last_searched_commit"):
            commits = "1 commit" if answer.commits_searched == 1 else f"{answer.commits_searched} commits"
            session.note(f"searched {commits}, back to {answer.last_searched_commit.id}")
