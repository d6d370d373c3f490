"""Get files out of a repo."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from trunkline.cli import complete, places
from trunkline.cli.late import downloads, names, pfs, progress
from trunkline.cli.options import command, project_option
from trunkline.cli.session import Session, pass_session


@command()
@click.argument("file", metavar="REPO@REF:PATH", shell_complete=complete.repos)
@click.option(
    "-o",
    "--output",
    metavar="TO",
    help="A file, a directory, or a URL for the server to write to.",
)
@click.option("-r", "--recursive", is_flag=True, help="Get a directory, or all that a pattern matches; needs -o.")
@click.option("--offset", metavar="BYTES", type=click.IntRange(min=0), default=0, help="Leave this many bytes out.")
@click.option("--retry", is_flag=True, help="Append what -o lacks, and try again when the connection breaks.")
@click.option("--progress/--no-progress", "bars", default=None, help="Show progress; on a terminal if not given.")
@project_option
@pass_session
def get(
    session: Session, file: str, output: str | None, recursive: bool, offset: int, retry: bool, bars: bool | None,
    project: str | None,
) -> None:  # fmt: skip
    """Get a file, or with -r everything below a directory.

    PATH may be a pattern, which must match one file unless -r is given. With -r, the directory named by -o receives
    what lies below PATH.
    """
    place = places.file(file, session.project(project), path_needed=not recursive)
    at = names.file(place.repo, place.target, place.path or "/")
    if output is not None and "://" in output:
        downloads.send_to(session.client, at, output)
    elif recursive:
        _get_tree(session, at, output, offset, retry, bars)
    elif output is None:
        _print(session, at, offset, retry)
    else:
        _get_file(session, at, output, offset, retry, bars)


def _get_tree(session: Session, at: pfs.File, output: str | None, offset: int, retry: bool, bars: bool | None) -> None:
    if output is None:
        raise click.UsageError("-r writes many files; add -o DIRECTORY")
    if offset or retry:
        raise click.UsageError("--offset and --retry are about one file; they do not go with -r")
    with progress.bytes_bar(at.path, None, bars) as advance:
        downloads.save_tree(session.client, at, Path(output), advance)


def _print(session: Session, at: pfs.File, offset: int, retry: bool) -> None:
    pieces = _pieces(session, at, offset, retry)
    stdout = sys.stdout.buffer
    for piece in pieces:
        stdout.write(piece)
    stdout.flush()


def _get_file(session: Session, at: pfs.File, output: str, offset: int, retry: bool, bars: bool | None) -> None:
    target = Path(output)
    if target.is_dir() or output.endswith("/"):
        target = target / Path(at.path).name
    if retry and target.is_file():
        offset += target.stat().st_size
    with progress.bytes_bar(at.path, None, bars) as advance:
        if retry:
            downloads.append_file(_pieces(session, at, offset, retry), target, advance)
        else:
            downloads.get_file(session.client, at, target, offset, advance)


def _pieces(session: Session, at: pfs.File, offset: int, retry: bool) -> Iterator[bytes]:
    if retry:
        return downloads.read_again(session.client, at, offset, session.ambient)
    return downloads.read_file(session.client, at, offset)
