"""Files: show, find, copy, delete."""

from __future__ import annotations

from collections.abc import Iterable

import click

from trunkline.cli import complete, places
from trunkline.cli.late import commit_view, listing, names, pfs
from trunkline.cli.options import (
    command,
    full_timestamps_option,
    no_pager_option,
    number_option,
    project_option,
    raw_options,
)
from trunkline.cli.session import Session, pass_session
from trunkline.errors import FailedPrecondition, InvalidArgument, NotFound
from trunkline.model import paths
from trunkline.model.names import META_REPO, Repo


@command()
@click.argument("directory", metavar="REPO@REF[:PATH]", shell_complete=complete.repos)
@number_option
@click.option("--after", metavar="PATH", help="Only those after this one, by name.")
@click.option("--reverse", is_flag=True, help="Last name first, with -n; --after then means before.")
@project_option
@raw_options
@full_timestamps_option
@no_pager_option
@pass_session
def list_(
    session: Session, directory: str, number: int | None, after: str | None, reverse: bool, project: str | None,
    raw: str, full: bool, no_pager: bool,
) -> None:  # fmt: skip
    """List what lies in a directory; a file gives itself."""
    if reverse and number is None:
        raise click.UsageError("--reverse gives the last so many; say how many with -n")
    place = places.file(directory, session.project(project))
    at = names.file(place.repo, place.target, paths.clean(place.path or "/"))
    marker = names.file(place.repo, place.target, after) if after else None
    request = pfs.ListFileRequest(file=at, number=number or 0, paginationMarker=marker, reverse=reverse)
    infos = listing.list_files(session.client, request)
    _show(session, infos, place.repo, raw, full, not no_pager)


@command()
@click.argument("pattern", metavar="REPO@REF:PATTERN", shell_complete=complete.repos)
@project_option
@raw_options
@full_timestamps_option
@no_pager_option
@pass_session
def glob(session: Session, pattern: str, project: str | None, raw: str, full: bool, no_pager: bool) -> None:
    """List the files and directories that match a pattern.

    \b
    *  any run of characters but /       **     any run of characters
    ?  one character but /               {a,b}  either
    [a-z] one of these                   !(x)   anything but x
    Quote the argument, or the shell reads it first.
    """
    place = places.file(pattern, session.project(project), path_needed=True)
    at = names.commit(place.repo, place.target)
    infos = listing.glob_files(session.client, pfs.GlobFileRequest(commit=at, pattern=place.path or "/"))
    _show(session, infos, place.repo, raw, full, not no_pager)


def _show(session: Session, infos: Iterable[pfs.FileInfo], repo: Repo, raw: str, full: bool, pager: bool) -> None:
    if raw:
        session.raw(infos, raw)
        return
    tagged = repo.type == META_REPO
    if full:
        when = session.when(True)
        rows = (commit_view.timed_file_row(info, tagged, when) for info in infos)
        session.table(commit_view.timed_file_header(tagged), rows, pager=pager)
    else:
        plain = (commit_view.file_row(info, tagged) for info in infos)
        session.table(commit_view.file_header(tagged), plain, pager=pager)


@command()
@click.argument("file", metavar="REPO@REF:PATH", shell_complete=complete.repos)
@project_option
@raw_options
@pass_session
def inspect(session: Session, file: str, project: str | None, raw: str) -> None:
    """Show a file or directory in full."""
    place = places.file(file, session.project(project), path_needed=True)
    at = names.file(place.repo, place.target, place.path or "/")
    info = session.client.pfs.InspectFile(pfs.InspectFileRequest(file=at))
    if raw:
        session.raw([info], raw)
    else:
        session.details(commit_view.file_details(info))


@command()
@click.argument("source", metavar="REPO@REF:PATH", shell_complete=complete.repos)
@click.argument("target", metavar="REPO@REF[:PATH]", shell_complete=complete.repos)
@click.option("-a", "--append", is_flag=True, help="Append to the files that are there.")
@click.option("--src-project", metavar="NAME", help="The source's project.")
@click.option("--dest-project", metavar="NAME", help="The target's project.")
@project_option
@pass_session
def copy(
    session: Session, source: str, target: str, append: bool, src_project: str | None, dest_project: str | None,
    project: str | None,
) -> None:  # fmt: skip
    """Copy a file or directory inside or between repos; no bytes are moved."""
    origin = places.file(source, session.project(src_project or project), path_needed=True)
    goal = places.file(target, session.project(dest_project or project))
    path = paths.clean(origin.path or "/")
    edit = pfs.CopyFile(src=names.file(origin.repo, origin.target, path), dst=_goal(goal.path, path), append=append)
    messages = (
        pfs.ModifyFileRequest(set_commit=names.commit(goal.repo, goal.target)),
        pfs.ModifyFileRequest(copy_file=edit),
    )
    session.client_outside.pfs.ModifyFile(iter(messages))


def _goal(path: str | None, source: str) -> str:
    """Where a copy of `source` goes: its own path if none is given, below one that ends in a slash, else to it."""
    if not path:
        return source
    return paths.clean(f"{path}{paths.name(source)}" if path.endswith("/") else path)


@command()
@click.argument("file", metavar="REPO@REF:PATH", shell_complete=complete.repos)
@click.option("-r", "--recursive", is_flag=True, help="A directory, with all that is in it.")
@project_option
@pass_session
def delete(session: Session, file: str, recursive: bool, project: str | None) -> None:
    """Delete a file from a branch or an open commit; older commits keep it."""
    place = places.file(file, session.project(project), path_needed=True)
    path = paths.clean(place.path or "/")
    at = names.commit(place.repo, place.target)
    if not recursive and _is_directory(session, pfs.File(commit=at, path=path)):
        raise InvalidArgument(f'"{file}" is a directory; add -r to delete all that is in it')
    gone = [path] if path != "/" else []
    if recursive:
        gone.append(paths.directory(path))
    edits = [pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=one)) for one in gone]
    session.client_outside.pfs.ModifyFile(iter([pfs.ModifyFileRequest(set_commit=at), *edits]))


def _is_directory(session: Session, file: pfs.File) -> bool:
    if file.path == "/":
        return True
    try:
        return session.client_outside.pfs.InspectFile(pfs.InspectFileRequest(file=file)).file_type == pfs.DIR
    except (NotFound, FailedPrecondition):
        return False  # absent, or in a commit that cannot be read yet: deleting it says so, or is no harm
