"""Repos that come or go with their history."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trunkline.cli import complete, places
from trunkline.cli.late import bundles, names, pfs, progress
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
    told = f"{_counted(figures.commits, figures.branches, figures.tags)}, {figures.chunks} chunks"
    if since:
        told += f", {figures.known_chunks} more are in {since}"
    click.echo(f"{target}: {units.size(Path(target).stat().st_size)}, {told}")
    for note in figures.notes:
        session.note(note)


@command()
@click.argument("sources", metavar="[FILE...]", nargs=-1)
@click.option("--repo", "name", metavar="NAME", help="What the repo is to be called; as in the bundle if not given.")
@click.option("--project", metavar="NAME", help="The project to put it in; as in the bundle if not given.")
@click.option("--progress/--no-progress", "bar", default=None, help="Show a progress bar, or none.")
@pass_session
def import_(
    session: Session, sources: tuple[str, ...], name: str | None, project: str | None, bar: bool | None
) -> None:
    """Make a repo of a bundle that `pachctl export` wrote.

    After an export with --since, name the bundle it followed too, and so on back to a whole one. The repo is there when
    all of it is, or not at all.
    """
    if not sources:
        raise InvalidArgument("name the bundle to import, a file that `pachctl export` wrote")
    total = sum(Path(source).stat().st_size for source in sources if Path(source).is_file())
    wanted = pfs.Repo(name=name or "", project=pfs.Project(name=project or ""))
    with progress.bytes_bar("import", total, bar) as told:
        done = bundles.import_files(session.client_outside, wanted, sources, told)
    known = f", {done.known_chunks} were here" if done.known_chunks else ""
    click.echo(
        f"{done.repo.project.name}/{done.repo.name}: {_counted(done.commits, done.branches, done.tags)}, "
        f"{done.chunks} chunks ({units.size(done.chunk_bytes)}){known}"
    )
    for note in done.notes:
        session.note(note)


def _counted(commits: int, branches: int, tags: int) -> str:
    return f"{commits} commits, {branches} branches, {tags} tags"
