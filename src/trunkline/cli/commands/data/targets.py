"""Which path each thing put gets in the commit.

`put file` follows what is typed after the colon: nothing, a folder (ends in a slash), or a name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote, urlsplit

from trunkline.cli.late import sources, tars
from trunkline.errors import InvalidArgument
from trunkline.model import paths

if TYPE_CHECKING:
    from trunkline.client.sources import Source

STDIN = "-"
TAR_ENDS = (".tar", ".tar.gz", ".tgz")
"""By the end of its name `--untar` knows a tar file."""
_SCHEMES = (
    *("http", "https", "s3", "s3a", "gs", "gcs", "az", "azure", "as", "abfs", "abfss", "wasb", "wasbs"),
    "pfs",
)


def is_url(text: str) -> bool:
    """Whether a source is for the server to fetch."""
    scheme, mark, _ = text.partition("://")
    return bool(mark) and scheme.lower() in _SCHEMES


def file_target(source: str, path: str | None, many: bool, full_path: bool) -> str:
    """Where one file goes. Raises InvalidArgument for standard input without a name.

    source: as typed. path: what stood after the colon, None for no colon. many: whether other sources come along, so
    that the path is a folder for all. full_path: keep the source's folders.
    """
    name = _name(source, full_path)
    if path is None or path == "":
        if source == STDIN:
            raise InvalidArgument("what comes from standard input needs a name; write REPO@BRANCH:/path")
        return paths.clean(name)
    if path.endswith("/") or many:
        if source == STDIN:
            raise InvalidArgument(f'what comes from standard input needs a name, and "{path}" is a folder')
        return paths.clean(f"{path}/{name}")
    return paths.clean(path)


def tree_prefix(folder: str, path: str | None, full_path: bool) -> str:
    """Under what the contents of a folder go; ends in no slash, empty is the top.

    No path: under the folder's name. `/`: at the top. `/x`: under `/x`. `/x/`: under `/x` and the folder's name.
    """
    source = folder if full_path or is_url(folder) else os.path.abspath(folder)
    if path is None or path == "":
        prefix = _name(source, full_path)
    elif path.strip("/") == "":
        prefix = ""
    elif path.endswith("/"):
        prefix = f"{path}{_name(source, full_path)}"
    else:
        prefix = path
    return paths.clean(prefix).rstrip("/")


def plan(
    given: Sequence[str], path: str | None, *, recursive: bool, full_path: bool, stdin: BinaryIO,
    skipped: Callable[[str], None], untar: bool = False,
) -> Iterator[Source]:  # fmt: skip
    """Every file that `given` names, with its place in the commit. Raises InvalidArgument or NotFound.

    untar: local tar files count as the folders they hold, at the path itself.
    """
    many = len(given) > 1
    if given.count(STDIN) > 1:
        raise InvalidArgument("standard input can be put once only")
    for source in given:
        if source == STDIN:
            if recursive:
                raise InvalidArgument("-r puts directories; standard input is none")
            if untar:
                raise InvalidArgument("--untar knows tar files by name, and standard input has none; name a file")
            yield sources.OpenStream(file_target(source, path, many, full_path), stdin)
        elif is_url(source):
            target = tree_prefix(source, path, full_path) if recursive else file_target(source, path, many, full_path)
            yield sources.RemoteFile(target or paths.ROOT, source, recursive)
        elif untar and source.lower().endswith(TAR_ENDS) and not os.path.isdir(source):
            yield from tars.members(source, paths.clean(path or "").rstrip("/"), skipped)
        elif recursive and os.path.isdir(source):
            yield from sources.local_tree(source, tree_prefix(source, path, full_path), skipped)
        elif os.path.isdir(source):
            raise InvalidArgument(f"{source} is a directory; add -r to put all that is in it")
        else:
            yield sources.local_file(source, file_target(source, path, many, full_path))


def _name(source: str, full_path: bool) -> str:
    text = unquote(urlsplit(source).path) if is_url(source) else source
    if full_path:
        kept = os.path.normpath(text).lstrip("/")
        if kept.split("/")[0] == "..":
            raise InvalidArgument(f'--full-path cannot keep "{source}": it leads above this directory')
        return kept
    name = os.path.basename(text.rstrip("/"))
    if not name:
        raise InvalidArgument(f'"{source}" has no name of its own; write where it goes after a colon, as in :/path')
    return name
