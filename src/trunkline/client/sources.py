"""What goes up: files, streams and URLs, each with the path it gets in the commit."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from trunkline.errors import InvalidArgument, NotFound
from trunkline.model.paths import validate

Skipped = Callable[[str], None]
"""Told, in words, of each thing in a folder that cannot be put."""


class Inode(NamedTuple):
    """What changes with a file: bytes, nanoseconds since the epoch of content and of inode, the inode's number."""

    size: int
    mtime_ns: int
    ctime_ns: int
    number: int


def inode_of(found: os.stat_result) -> Inode:
    """What the `stat` of a file says of it."""
    return Inode(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A regular file on this machine. `size_bytes` is what it had when it was found.

    inode: what its inode said then; None where nobody asked, as for a file that was named and not found in a folder.
    """

    path: str
    local: str
    size_bytes: int
    inode: Inode | None = None


@dataclass(frozen=True, slots=True)
class OpenStream:
    """Bytes that can be read once, such as standard input."""

    path: str
    stream: BinaryIO


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A URL that the server is asked to fetch."""

    path: str
    url: str
    recursive: bool


Source = LocalFile | OpenStream | RemoteFile


def local_file(local: str, path: str) -> LocalFile | OpenStream:
    """One file; a pipe or a device is read as a stream. Raises NotFound if absent, InvalidArgument for a folder."""
    try:
        found = Path(local).stat()
        if stat.S_ISDIR(found.st_mode):
            raise InvalidArgument(f"{local} is a directory; add -r to put all that is in it")
        if not stat.S_ISREG(found.st_mode):
            return OpenStream(path, Path(local).open("rb"))
    except OSError as error:
        raise NotFound(f"cannot read {local}: {error.strerror}") from error
    if not os.access(local, os.R_OK):
        raise InvalidArgument(f"cannot read {local}: Permission denied")
    return LocalFile(path, local, found.st_size)


def local_tree(folder: str, prefix: str, skipped: Skipped) -> Iterator[LocalFile]:
    """Every regular file below `folder`, in path order, under `prefix` (which ends in no slash).

    Links to files are followed, links to folders are not: they could lead back up. Those and everything that is no
    regular file are named to `skipped`. Raises NotFound if `folder` cannot be read, InvalidArgument for a name that is
    no UTF-8.
    """
    for entry in _entries(folder):
        local, path = entry.path, f"{prefix}/{entry.name}"
        if not entry.name.isascii():
            validate(path)  # a name that is no UTF-8 could not even be sent
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from local_tree(local, path, skipped)
                continue
            if entry.is_dir():
                skipped(f"{local} is a link to a directory")
                continue
            found = entry.stat()
        except OSError as error:
            skipped(f"{local}: {error.strerror}")
            continue
        if stat.S_ISREG(found.st_mode):
            yield LocalFile(path, local, found.st_size, inode_of(found))
        else:
            skipped(f"{local} is neither a file nor a directory")


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """What lies in `folder`, in the order in which paths sort: a directory's name counts with its slash."""
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda one: os.fsencode(one.name) + (b"/" if _is_folder(one) else b""))
    except OSError as error:
        raise NotFound(f"cannot read {folder}: {error.strerror}") from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)
