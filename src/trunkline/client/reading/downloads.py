"""Getting files: the bytes of one, one into a file on disk, or a whole tree."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from trunkline.ambient import Ambient
from trunkline.client import handover
from trunkline.client.connection import Client
from trunkline.client.tar import unpack
from trunkline.errors import FailedPrecondition, NotFound, TrunklineError, Unavailable, Unimplemented
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own

RETRIES = 10
RETRY_WAIT_S = 1.0

Progress = Callable[[int], None]
"""Told how many more bytes have arrived."""


def read_file(client: Client, file: pfs.File, offset: int = 0) -> Iterator[bytes]:
    """The bytes of one file from `offset` on. Raises what the server refuses, before the first piece."""
    for piece in client.pfs.GetFile(pfs.GetFileRequest(file=file, offset=offset)):
        yield piece.value


def send_to(client: Client, file: pfs.File, url: str) -> None:
    """Have the server write what `file` names to `url`. Raises what the server refuses."""
    for _ in client.pfs.GetFile(pfs.GetFileRequest(file=file, URL=url)):
        pass


def read_again(client: Client, file: pfs.File, offset: int, ambient: Ambient) -> Iterator[bytes]:
    """`read_file` that goes on where it was when the connection broke. Raises Unavailable after ten tries."""
    tries = 0
    while True:
        try:
            for piece in read_file(client, file, offset):
                offset += len(piece)
                tries = 0
                yield piece
            return
        except Unavailable:
            tries += 1
            if tries == RETRIES:
                raise
            ambient.sleep(RETRY_WAIT_S)


def get_file(
    client: Client, file: pfs.File, target: Path, offset: int = 0, progress: Progress = lambda count: None
) -> int:
    """Write the bytes of one file from `offset` on to `target`, as `save_file` does; returns how many.

    A server on the same machine writes them itself. Raises what the server refuses, and FailedPrecondition.
    """
    if client.address.is_local and _is_regular(target):
        with handover.reach(client) or nullcontext() as hands:
            if hands is not None:
                with suppress(Unimplemented):
                    return _fetched(client, hands, file, target, offset, progress)
    return save_file(read_file(client, file, offset), target, progress)


def _fetched(
    client: Client, hands: handover.Hands, file: pfs.File, target: Path, offset: int, progress: Progress
) -> int:
    """Raises Unimplemented where the server does not do that, now or ever."""
    with _replacing(target) as part, part.open("wb", buffering=0) as opened:
        ticket = hands.give(opened.fileno())
        if ticket is None:
            raise Unimplemented("the server takes no more open files at the moment")
        with handover.watched(opened.fileno(), progress):
            request = own.FetchFileRequest(file=file, offset=offset, ticket=ticket)
            return client.own_files.FetchFile(request).size_bytes


def save_file(pieces: Iterator[bytes], target: Path, progress: Progress = lambda count: None) -> int:
    """Write `pieces` to `target`, whole or not at all; returns the bytes written. Raises FailedPrecondition.

    What is no regular file (a pipe, a device) is written to as it is.
    """
    if not _is_regular(target):
        return _write(pieces, target, "wb", progress)
    with _replacing(target) as part:
        return _write(pieces, part, "wb", progress)


def _is_regular(target: Path) -> bool:
    """Whether it is a plain file, or will be one."""
    return target.is_file() or not target.exists()


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """A file beside `target` that takes its place in the end, if nothing goes wrong."""
    handle, name = _part_of(target)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        part.chmod(target.stat().st_mode & 0o7777 if target.exists() else 0o666 & ~_umask())
        part.replace(os.path.realpath(target))
    finally:
        part.unlink(missing_ok=True)


def append_file(pieces: Iterator[bytes], target: Path, progress: Progress = lambda count: None) -> int:
    """Write `pieces` behind what `target` holds; returns the bytes written. Raises FailedPrecondition."""
    return _write(pieces, target, "ab", progress)


def save_tree(client: Client, file: pfs.File, target: Path, progress: Progress = lambda count: None) -> int:
    """Write everything that `file` names (a directory, a file or a glob) under `target`; returns how many files.

    Paths under `target` are what comes after the directory named, or after the last directory before the first glob
    character. Raises NotFound if nothing matches, and what `unpack` raises.
    """
    answers = client.pfs.GetFileTAR(pfs.GetFileRequest(file=file))
    base = _base(client, file)
    count = unpack((piece.value for piece in answers), target, lambda name: _below(base, name), progress)
    if count == 0 and file.path.strip("/"):
        raise NotFound(f"no file matches {file.path}")
    return count


def _base(client: Client, file: pfs.File) -> str:
    """The directory that the paths of a tree are relative to: `/` or one that ends in a slash."""
    elements = [element for element in file.path.split("/") if element]
    for at, element in enumerate(elements):
        if any(char in element for char in "*?[{(!@+\\"):
            elements = elements[:at]
            break
    else:
        if elements and _is_file(client, file):
            elements = elements[:-1]
    return "/".join(["", *elements, ""])


def _is_file(client: Client, file: pfs.File) -> bool:
    try:
        return client.pfs.InspectFile(pfs.InspectFileRequest(file=file)).file_type == pfs.FILE
    except TrunklineError:
        return False  # absent, or not to be inspected: reading it says so in better words


def _below(base: str, name: str) -> str | None:
    path = "/" + name.lstrip("/")
    if path.rstrip("/") + "/" == base:
        return ""
    return path.removeprefix(base)


def _write(pieces: Iterator[bytes], place: Path, mode: str, progress: Progress) -> int:
    size_bytes = 0
    try:
        with place.open(mode) as file:
            for piece in pieces:
                file.write(piece)
                size_bytes += len(piece)
                progress(len(piece))
    except OSError as error:
        raise FailedPrecondition(f"cannot write {place}: {error.strerror}") from error
    return size_bytes


def _part_of(target: Path) -> tuple[int, str]:
    folder = Path(os.path.realpath(target)).parent
    try:
        return tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=folder)
    except OSError as error:
        raise FailedPrecondition(f"cannot write to {folder}: {error.strerror}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
