"""Compare files of two commits."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from trunkline.cli import complete, places
from trunkline.cli.late import commit_view, diffs, downloads, names, pfs
from trunkline.cli.options import command, full_timestamps_option, no_pager_option, project_option
from trunkline.cli.session import Session, pass_session
from trunkline.errors import FailedPrecondition


@command()
@click.argument("new", metavar="NEW@REF[:PATH]", shell_complete=complete.repos)
@click.argument("old", metavar="[OLD@REF[:PATH]]", required=False, shell_complete=complete.repos)
@click.option("-s", "--shallow", is_flag=True, help="Stop at directories that differ.")
@click.option("--name-only", is_flag=True, help="Only which files differ.")
@click.option("--diff-command", metavar="CMD", help="Run this with the old and the new file instead.")
@click.option("--old-project", metavar="NAME", help="The project of OLD.")
@project_option
@full_timestamps_option
@no_pager_option
@pass_session
def diff(
    session: Session, new: str, old: str | None, shallow: bool, name_only: bool, diff_command: str | None,
    old_project: str | None, project: str | None, full: bool, no_pager: bool,
) -> None:  # fmt: skip
    """Show how files differ between two commits.

    Without OLD, against the commit's parent. Directories are compared file by file.
    """
    after = places.file(new, session.project(project))
    request = pfs.DiffFileRequest(new_file=names.file(after.repo, after.target, after.path or "/"), shallow=shallow)
    if old is not None:
        before = places.file(old, session.project(old_project or project))
        request.old_file.CopyFrom(names.file(before.repo, before.target, before.path or "/"))
    answers = session.client.pfs.DiffFile(request)
    if name_only or shallow:
        _list(session, answers, name_only, full, not no_pager)
    elif diff_command:
        for answer in answers:
            _compare(session, answer, diff_command)
    else:
        session.print_lines([line for answer in answers for line in _lines(session, answer)], pager=not no_pager)


def _list(session: Session, answers: Iterator[pfs.DiffFileResponse], name_only: bool, full: bool, pager: bool) -> None:
    when = session.when(full)
    rows = []
    for answer in answers:
        for sign, info in (("-", answer.old_file), ("+", answer.new_file)):
            if not info.file.path:
                continue
            size, name = commit_view.file_row(info, False)
            rows.append((sign, name) if name_only else (sign, size, when(info.committed), name))
    header = ("OP", "PATH") if name_only else ("OP", "SIZE", "COMMITTED", "PATH")
    session.table(header, rows, pager=pager)


def _lines(session: Session, answer: pfs.DiffFileResponse) -> Iterator[str]:
    old = answer.old_file if answer.old_file.file.path else None
    new = answer.new_file if answer.new_file.file.path else None
    if any(info is not None and info.file_type == pfs.DIR for info in (old, new)):
        return
    path = (new or old or answer.new_file).file.path
    sizes = [None if info is None else info.size_bytes for info in (old, new)]
    if max(size or 0 for size in sizes) > diffs.LIMIT_BYTES:
        yield from diffs.too_large(path, sizes[0], sizes[1], colour=session.colour)
    else:
        yield from diffs.file_diff(path, _read(session, old), _read(session, new), colour=session.colour)


def _read(session: Session, info: pfs.FileInfo | None) -> bytes | None:
    return None if info is None else b"".join(downloads.read_file(session.client, _literal(info.file)))


def _literal(file: pfs.File) -> pfs.File:
    """The same file as GetFile wants it, where a path is a pattern."""
    from trunkline.model.globs import escape

    return pfs.File(commit=file.commit, path=escape(file.path), datum=file.datum)


def _compare(session: Session, answer: pfs.DiffFileResponse, diff_command: str) -> None:
    if pfs.DIR in (answer.new_file.file_type, answer.old_file.file_type):
        return
    with tempfile.TemporaryDirectory(prefix="pachctl-diff-") as folder:
        sides = []
        for side, info in (("old", answer.old_file), ("new", answer.new_file)):
            place = Path(folder, side, *info.file.path.strip("/").split("/"))
            place.parent.mkdir(parents=True, exist_ok=True)
            if info.file.path:
                downloads.save_file(downloads.read_file(session.client, _literal(info.file)), place)
            else:
                place = Path("/dev/null")
            sides.append(str(place))
        try:
            subprocess.run([*shlex.split(diff_command), *sides], check=False)
        except OSError as error:
            raise FailedPrecondition(f"cannot run `{diff_command}`: {error.strerror}") from error
