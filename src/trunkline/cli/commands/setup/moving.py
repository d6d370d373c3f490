"""Repos that come or go with their history."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trunkline.cli import complete, places
from trunkline.cli.late import bundles, copying, names, pfs, progress
from trunkline.cli.options import command, project_option
from trunkline.cli.session import Session, pass_session
from trunkline.cli.show import units
from trunkline.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable

    from trunkline.wire.gen import trunkline_pb2 as own


@command()
@click.argument("repo", shell_complete=complete.repos)
@click.option("-o", "--output", "target", metavar="FILE", required=True, help="The new file to write.")
@click.option("--since", metavar="FILE", default="", help="An earlier bundle: leave out the content that it has.")
@click.option("--progress/--no-progress", "bar", default=None, help="Show a progress bar, or none.")
@project_option
@pass_session
def export(session: Session, repo: str, target: str, since: str, bar: bool | None, project: str | None) -> None:
    """Write a repo with its whole history to one file, a bundle.

    All finished commits come with their ids, times, descriptions, errors and metadata; branches and tags too. What
    commits are derived from in other repos is kept as a note, `provenance` in their metadata.
    """
    named = names.repo(places.repo(repo, session.project(project)))
    with ExitStack() as stack:

        def begun(figures: own.ExportFigures) -> Callable[[int], None]:
            return stack.enter_context(progress.bytes_bar("export", figures.size_bytes, bar))

        figures = bundles.export(session.client_outside, named, Path(target), since, begun)
    told = f"{_counted(figures.commits, figures.branches, figures.tags)}, {_some(figures.chunks, 'chunk')}"
    if since:
        told += f", {figures.known_chunks} more are in {since}"
    click.echo(f"{target}: {units.size(Path(target).stat().st_size)}, {told}")
    for note in figures.notes:
        session.note(note)


@command()
@click.argument("sources", metavar="[FILE...]", nargs=-1)
@click.option("--from", "place", metavar="ADDRESS", help="Copy from the server there, such as grpc://HOST:30650.")
@click.option("--token", metavar="TOKEN", default="", help="With --from: who is asking there, if it wants to know.")
@click.option(
    "--repo",
    "named",
    metavar="NAME",
    multiple=True,
    help="What the repo is to be called; as in the bundle if not given. With --from: the repos to copy; may be "
    "repeated, all if not given.",
)
@click.option(
    "--project",
    metavar="NAME",
    help="The project to put it in; as in the bundle if not given. With --from: the project to copy; all if not given.",
)
@click.option("--progress/--no-progress", "bar", default=None, help="Show a progress bar, or none.")
@pass_session
def import_(
    session: Session, sources: tuple[str, ...], place: str | None, token: str, named: tuple[str, ...],
    project: str | None, bar: bool | None,
) -> None:  # fmt: skip
    """Make a repo of a bundle that `pachctl export` wrote, or copy repos from another server.

    After an export with --since, name the bundle it followed too, and so on back to a whole one. The repo is there when
    all of it is, or not at all.

    With --from, repos are copied out of a Pachyderm that runs, or a server like this one: commits under their own ids,
    with their times and errors, and branches. Outputs of pipelines are copied as plain repos, without the pipelines.
    A copy that was cut off goes on when it is begun again; repeated later it brings what is new.
    """
    if bool(sources) == bool(place):
        raise InvalidArgument(
            "name either bundles to import, files that `pachctl export` wrote, or a server with --from"
        )
    if place:
        _copy(session, place, token, project or "", named, bar)
    elif len(named) > 1:
        raise InvalidArgument("a bundle holds one repo: give --repo once")
    else:
        _read(session, sources, pfs.Repo(name="".join(named), project=pfs.Project(name=project or "")), bar)


def _read(session: Session, sources: tuple[str, ...], wanted: pfs.Repo, bar: bool | None) -> None:
    total = sum(Path(source).stat().st_size for source in sources if Path(source).is_file())
    with progress.bytes_bar("import", total, bar) as told:
        done = bundles.import_files(session.client_outside, wanted, sources, told)
    known = f", {done.known_chunks} were here" if done.known_chunks else ""
    click.echo(
        f"{done.repo.project.name}/{done.repo.name}: {_counted(done.commits, done.branches, done.tags)}, "
        f"{_some(done.chunks, 'chunk')} ({units.size(done.chunk_bytes)}){known}"
    )
    for note in done.notes:
        session.note(note)


def _copy(session: Session, place: str, token: str, project: str, named: tuple[str, ...], bar: bool | None) -> None:
    from trunkline.client import connect

    with connect(place, token=token, root_certificates=session.trusted) as source:
        for info in copying.repos_of(source, project, named):
            with progress.bytes_bar(f"{info.repo.project.name}/{info.repo.name}", None, bar) as told:
                done = copying.Copying(source, session.client_outside, told).copy(info)
            had = f" ({done.had} were here)" if done.had else ""
            click.echo(
                f"{info.repo.project.name}/{info.repo.name}: {_some(done.commits, 'commit')}{had}, "
                f"{_some(done.branches, 'branch')}, "
                f"{units.size(done.size_bytes)}"
            )
            for note in done.notes:
                session.note(note)


def _counted(commits: int, branches: int, tags: int) -> str:
    return f"{_some(commits, 'commit')}, {_some(branches, 'branch')}, {_some(tags, 'tag')}"


def _some(count: int, noun: str) -> str:
    many = f"{noun}es" if noun.endswith("ch") else f"{noun}s"
    return f"{count} {noun if count == 1 else many}"
