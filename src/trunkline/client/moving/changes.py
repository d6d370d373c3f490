"""What a commit elsewhere changed, and the bytes of that: by public calls only."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from google.protobuf.wrappers_pb2 import BytesValue

from trunkline.client import tar
from trunkline.client.connection import Client
from trunkline.client.reading.downloads import read_file
from trunkline.errors import NotFound
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own

SMALL_BYTES = 1 << 20
"""Files up to this size travel together."""
BATCH_BYTES = 2 << 20
BATCH_FILES = 1000
PIECE_BYTES = 4 << 20
AT_ONCE = 8
"""Small files that are fetched at once, each by a call of its own."""
FEW = 64
"""With more calls than this, a commit of which a good part changed is read whole."""
GLOBBED = frozenset("*?[]{}!@+()|\\")
"""Paths with these mean patterns to the calls that read files."""

Told = Callable[[int], None]


@dataclass(slots=True)
class Changes:
    """A commit against its base. Folders end in a slash; what is new or gone with one is not named again."""

    gone: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    files: list[tuple[str, int]] = field(default_factory=list)
    size_bytes: int = 0


def at(commit: pfs.Commit, path: str) -> pfs.File:
    """A path in a commit."""
    return pfs.File(commit=commit, path=path)


def changes_between(client: Client, commit: pfs.Commit, base: pfs.Commit) -> Changes:
    """What differs between two commits of a repo."""
    found = Changes()
    request = pfs.DiffFileRequest(new_file=at(commit, "/"), old_file=at(base, "/"))
    new_folder = gone_folder = "\0"
    for pair in client.pfs.DiffFile(request):
        new, old = pair.new_file, pair.old_file
        is_new, is_old = bool(new.file.path), bool(old.file.path)
        path = (new if is_new else old).file.path
        folder = (new if is_new else old).file_type == pfs.DIR
        path = f"{path.rstrip('/')}/" if folder else path
        if is_new and not is_old:
            if path.startswith(new_folder):
                continue
            if folder:
                new_folder = path
                found.folders.append(path)
                found.size_bytes += new.size_bytes
                continue
        if is_old and not is_new:
            if path.startswith(gone_folder):
                continue
            gone_folder = path if folder else gone_folder
            found.gone.append(path)
        elif not folder:
            found.files.append((path, new.size_bytes))
            found.size_bytes += new.size_bytes
    return found


def edits_of(client: Client, info: pfs.CommitInfo, base: pfs.Commit | None, told: Told) -> Iterator[own.BulkPutRequest]:
    """The edits that lead from `base` (None: nothing) to a commit. told: each further count of bytes."""
    if base is None:
        yield from _packed(_whole(client, info.commit, "/"), told)
        return
    changes = changes_between(client, info.commit, base)
    gone = iter(changes.gone)
    while some := list(islice(gone, BATCH_FILES)):
        yield own.BulkPutRequest(delete=own.DeletePaths(paths=some))
    yield from _packed(_changed(client, info, changes), told)


def _changed(client: Client, info: pfs.CommitInfo, changes: Changes) -> Iterator[tuple[str, int, Iterator[bytes]]]:
    calls = len(changes.files) + len(changes.folders)
    patterns = any(GLOBBED & set(path) for path in changes.folders) or any(
        GLOBBED & set(path) for path, _ in changes.files
    )
    much = calls > FEW and changes.size_bytes * 4 >= info.details.size_bytes
    if not calls:
        return
    if patterns or much:
        wanted = {path for path, _ in changes.files}
        folders = tuple(changes.folders)
        for path, size, data in _whole(client, info.commit, "/"):
            if path in wanted or path.startswith(folders):
                yield path, size, data
        return
    for folder in changes.folders:
        yield from _whole(client, info.commit, folder.rstrip("/"))
    yield from _each(client, info.commit, changes.files)


def _whole(client: Client, commit: pfs.Commit, path: str) -> Iterator[tuple[str, int, Iterator[bytes]]]:
    """All files at and below a path, in one call."""
    answers = client.pfs.GetFileTAR(pfs.GetFileRequest(file=at(commit, path)))
    try:
        first = next(answers, None)
    except NotFound:  # an empty commit has no top
        return
    if first is not None:
        yield from tar.contents(_values(first, answers))


def _values(first: BytesValue, rest: Iterable[BytesValue]) -> Iterator[bytes]:
    yield first.value
    for piece in rest:
        yield piece.value


def _each(
    client: Client, commit: pfs.Commit, files: Sequence[tuple[str, int]]
) -> Iterator[tuple[str, int, Iterator[bytes]]]:
    """Files by a call each, small ones ahead and several at once."""
    with ThreadPoolExecutor(AT_ONCE, "fetch") as pool:
        waiting: deque[tuple[str, int, Future[bytes] | None]] = deque()
        for path, size in files:
            small = size <= SMALL_BYTES
            waiting.append((path, size, pool.submit(_fetched, client, commit, path) if small else None))
            if len(waiting) > AT_ONCE:
                yield _taken(client, commit, *waiting.popleft())
        while waiting:
            yield _taken(client, commit, *waiting.popleft())


def _fetched(client: Client, commit: pfs.Commit, path: str) -> bytes:
    return b"".join(read_file(client, at(commit, path)))


def _taken(
    client: Client, commit: pfs.Commit, path: str, size: int, future: Future[bytes] | None
) -> tuple[str, int, Iterator[bytes]]:
    if future is None:
        return path, size, read_file(client, at(commit, path))
    data = future.result()
    return path, len(data), iter([data])


def _packed(files: Iterable[tuple[str, int, Iterator[bytes]]], told: Told) -> Iterator[own.BulkPutRequest]:
    """Messages that put these files, each in the place of what is there."""
    small = own.SmallFiles()
    held: list[bytes] = []
    size_bytes = 0
    for path, size, data in files:
        if size > SMALL_BYTES:
            yield from _pieces(path, data, told)
            continue
        content = b"".join(data)
        small.paths.append(path)
        small.sizes.append(len(content))
        held.append(content)
        size_bytes += len(content)
        if size_bytes >= BATCH_BYTES or len(held) >= BATCH_FILES:
            yield _small(small, held, told)
            small, held, size_bytes = own.SmallFiles(), [], 0
    if held:
        yield _small(small, held, told)


def _small(small: own.SmallFiles, held: list[bytes], told: Told) -> own.BulkPutRequest:
    small.data = b"".join(held)
    told(len(small.data))
    return own.BulkPutRequest(small=small)


def _pieces(path: str, data: Iterator[bytes], told: Told) -> Iterator[own.BulkPutRequest]:
    named = path
    for portion in data:
        for start in range(0, len(portion), PIECE_BYTES):
            piece = portion[start : start + PIECE_BYTES]
            yield own.BulkPutRequest(piece=own.FilePiece(path=named, data=piece))
            told(len(piece))
            named = ""
    if named:
        yield own.BulkPutRequest(piece=own.FilePiece(path=named))
