"""Put files into a repo."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from trunkline.cli import complete, places
from trunkline.cli.commands.data import targets
from trunkline.cli.late import names, progress, put_cache, sources, uploads
from trunkline.cli.options import command, project_option
from trunkline.cli.session import Session, pass_session
from trunkline.cli.texts import read_text
from trunkline.errors import InvalidArgument

if TYPE_CHECKING:
    from trunkline.client.known.cache import PutCache


@command()
@click.argument("target", metavar="REPO@REF[:PATH]", shell_complete=complete.repos)
@click.option(
    "-f", "--file", "files", metavar="SOURCE", multiple=True,
    help="A file, a directory (with -r), a URL, or - for standard input; may be repeated. Standard input if not given.",
)  # fmt: skip
@click.option("-i", "--input-file", metavar="LIST", help="A file, a URL or - that names one source a line.")
@click.option("-r", "--recursive", is_flag=True, help="Put directories with all that is in them.")
@click.option("-a", "--append", is_flag=True, help="Append to files that are there, instead of replacing them.")
@click.option("--full-path", is_flag=True, help="Keep the directories of the sources, not only their names.")
@click.option("--untar", is_flag=True, help="Put what is in .tar, .tar.gz and .tgz files, not the files themselves.")
@click.option("-c", "--compress", is_flag=True, help="Compress on the way; worth it on slow networks only.")
@click.option(
    "-p", "--parallelism", metavar="N", type=click.IntRange(1, 100), default=10, help="Files read at a time; 10."
)
@click.option(
    "--cache/--no-cache",
    "cached",
    default=True,
    help="With -r, leave out files that are as they were when they were last put, if the branch has them; the usual.",
)
@click.option("--progress/--no-progress", "bars", default=None, help="Show progress; on a terminal if not given.")
@project_option
@pass_session
def put(
    session: Session, target: str, files: tuple[str, ...], input_file: str | None, recursive: bool, append: bool,
    full_path: bool, untar: bool, compress: bool, parallelism: int, cached: bool, bars: bool | None,
    project: str | None,
) -> None:  # fmt: skip
    """Put files into a repo.

    Everything goes into one commit: the branch's open one, or a new one that is finished at once. A file that is there
    is replaced.

    \b
    Where things go:
      repo@branch       /NAME              -r: /DIRECTORY/...
      repo@branch:/     /NAME              -r: /...
      repo@branch:/x    /x                 -r: /x/...
      repo@branch:/x/   /x/NAME            -r: /x/DIRECTORY/...

    A URL (http, https, s3, gs, az) is fetched by the server, with -r everything below it; pfs://HOST/REPO/BRANCH/PATH
    is copied without moving any bytes.
    """
    place = places.file(target, session.project(project))
    given = _sources(files, input_file)
    found = list(
        targets.plan(
            given,
            place.path,
            recursive=recursive,
            full_path=full_path,
            stdin=sys.stdin.buffer,
            skipped=lambda what: session.note(f"skipped: {what}"),
            untar=untar,
        )
    )
    if append and any(isinstance(one, sources.RemoteFile) and one.recursive for one in found):
        raise InvalidArgument("-a cannot append what -r fetches from a URL; leave out one of them")
    if not found:
        session.note("nothing to put: the directory holds no files")
        return
    total = sum(one.size_bytes for one in found if isinstance(one, sources.LocalFile))
    known = all(isinstance(one, sources.LocalFile) for one in found)
    with progress.bytes_bar(_title(found), total if known else None, bars) as advance:
        uploads.put_files(
            session.client_outside,
            names.commit(place.repo, place.target),
            found,
            append=append,
            parallelism=parallelism,
            progress=advance,
            compress=compress,
            cache=_cache(session, given) if cached and recursive and not append else None,
        )


def _cache(session: Session, given: Sequence[str]) -> PutCache:
    """What is known of these folders. Of other sources nothing is kept."""
    return put_cache.PutCache(put_cache.cache_folder(session.environ), given, 1000 * session.ambient.now_us())


def _sources(files: Sequence[str], input_file: str | None) -> list[str]:
    given = list(files)
    if input_file is not None:
        given += [line.strip() for line in read_text(input_file).split("\n") if line.strip()]
        if targets.STDIN in given and input_file == targets.STDIN:
            raise InvalidArgument("standard input is the list of sources; it cannot be a source too")
    return given or [targets.STDIN]


def _title(found: Sequence[object]) -> str:
    return f"{len(found)} files" if len(found) > 1 else "1 file"
