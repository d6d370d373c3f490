"""Putting files: all of one call go into one commit, or none does.

Our own bulk call carries many small files in one message, read ahead by threads; a server that lacks it, a stream that
can be read but once, and URLs go by the public call, two messages a file.
"""

from __future__ import annotations

import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from trunkline.client import handover
from trunkline.client.connection import Client
from trunkline.client.known.asking import left_out
from trunkline.client.known.cache import HASH_BYTES, PutCache
from trunkline.client.sources import LocalFile, OpenStream, RemoteFile, Source, inode_of
from trunkline.errors import Aborted, InvalidArgument, TrunklineError, Unimplemented
from trunkline.wire import frames
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own

PIECE_BYTES = 4 * 1024 * 1024
"""How much of a big file goes into one message."""
SMALL_BYTES = 1024 * 1024
"""Files up to this size travel together."""
BATCH_BYTES = 2 * 1024 * 1024
"""Small files travel in messages of at most this much; one that grew meanwhile may add `PIECE_BYTES`."""
BATCH_FILES = 1024
HANDED_BYTES = 8 * 1024 * 1024
"""From this size on a file is handed over open to a server on the same machine, which reads it without our help."""
TRIES = 3
"""How often files are left out that the server has, when the branch changes meanwhile; then all are sent."""

Progress = Callable[[int], None]
"""Told how many more bytes have been handed to the connection; a negative number takes some back."""


COPIED = "pfs://"
"""Begins the URL of what lies in a commit already."""
BULK_PUT = "/trunkline.v1.Files/BulkPut"
MODIFY_FILE = "/pfs_v2.API/ModifyFile"


def put_files(
    client: Client,
    commit: pfs.Commit,
    sources: Sequence[Source],
    *,
    append: bool = False,
    parallelism: int = 10,
    progress: Progress = lambda count: None,
    compress: bool = False,
    cache: PutCache | None = None,
) -> None:
    """Write all `sources` into `commit`, in order, so that a later one wins. Raises what the server refuses.

    parallelism: how many threads read small files ahead. compress: gzip on the way. cache: what is known of files, so
    that those which the server has need not be read; not looked at with `append`.
    """
    files = [one for one in sources if isinstance(one, LocalFile)]
    work = _Upload(commit, append, max(1, parallelism), progress, cache if not append else None)
    if len(files) == len(sources):
        try:
            _bulk(client, work, files, compress)
            return
        except Unimplemented:
            work.forget()
    work.send(client, MODIFY_FILE, work.public(sources), compress)


def _bulk(client: Client, work: _Upload, files: Sequence[LocalFile], compress: bool) -> None:
    """By our own call, again where somebody else changed the branch meanwhile; in the end without leaving any out."""
    big = any(file.size_bytes >= HANDED_BYTES for file in files)
    with (handover.reach(client) if big else None) or nullcontext() as hands:
        for _ in range(TRIES if work.cache is not None else 0):
            try:
                sent, stamp = work.needed(client, files)
                work.noted(sent, work.send(client, BULK_PUT, work.bulk(sent, hands, stamp), compress))
                break
            except Aborted:
                if work.broken is not None:  # a file that changed, and not the branch
                    raise
                work.forget()
        else:
            work.noted(files, work.send(client, BULK_PUT, work.bulk(files, hands), compress))
    if work.cache is not None:
        work.cache.save()


class _Upload:
    """One stream of messages. What goes wrong while reading ends the stream and is raised by `send`."""

    def __init__(
        self, commit: pfs.Commit, append: bool, parallelism: int, progress: Progress, cache: PutCache | None
    ) -> None:
        self.commit = commit
        self.cache = cache
        self.append = append
        self.parallelism = parallelism
        self.progress = progress
        self.sent = 0
        self.broken: Exception | None = None
        self._over = threading.Event()

    def forget(self) -> None:
        """Nothing was sent."""
        self.progress(-self.sent)
        self.sent, self.broken = 0, None
        self._over = threading.Event()

    def needed(self, client: Client, files: Sequence[LocalFile]) -> tuple[list[LocalFile], bytes]:
        """The files that must be sent, and the stamp of the content that has the others."""
        if self.cache is None:
            return list(files), b""
        stamp, there = left_out(client, self.commit, files, self.cache)
        sent = [file for file in files if file.path not in there]
        self._count(sum(file.size_bytes for file in files) - sum(file.size_bytes for file in sent))
        return sent, stamp

    def noted(self, sent: Sequence[LocalFile], answer: bytes) -> None:
        """Tell the cache what the server told of big files."""
        if self.cache is None:
            return
        told = own.BulkPutResponse.FromString(answer)
        digests = (told.big_hashes[at : at + HASH_BYTES] for at in range(0, len(told.big_hashes), HASH_BYTES))
        hashes = dict(zip(told.big_paths, digests, strict=True))
        times = Counter(file.path for file in sent if file.path in hashes)
        for file in sent:
            if times[file.path] == 1:  # of several for one place the hash is that of the last
                self.cache.note_told(file, hashes[file.path])

    def send(self, client: Client, method: str, messages: Iterator[bytes], compress: bool) -> bytes:
        try:
            return client.upload(method, self._watched(messages), compress=compress)
        except TrunklineError:
            if self.broken is not None:
                raise self.broken from None
            raise
        finally:
            self._over.set()

    def _watched(self, messages: Iterator[bytes]) -> Iterator[bytes]:
        # gRPC runs this in a thread of its own; it turns an exception here into a cancelled call, so that a half-read
        # file is never committed, but it keeps the reason to itself.
        try:
            yield from messages
        except Exception as error:
            self.broken = error
            raise

    def _count(self, size_bytes: int) -> None:
        self.sent += size_bytes
        self.progress(size_bytes)

    def bulk(
        self, files: Iterable[LocalFile], hands: handover.Hands | None = None, stamp: bytes = b""
    ) -> Iterator[bytes]:
        """The messages of our own call. hands: where big files are handed over open."""
        yield own.BulkPutRequest(target=self._target(stamp)).SerializeToString()
        with ThreadPoolExecutor(self.parallelism, "read-ahead") as readers:
            waiting: deque[Future[tuple[bytes, int]] | LocalFile] = deque()
            for group in _groups(files):
                waiting.append(group if isinstance(group, LocalFile) else readers.submit(self._small, group))
                if len(waiting) > self.parallelism:
                    yield from self._ready(waiting.popleft(), hands)
            while waiting:
                yield from self._ready(waiting.popleft(), hands)

    def _target(self, stamp: bytes) -> own.BulkTarget:
        return own.BulkTarget(commit=self.commit, stamp=stamp, tell_hashes=self.cache is not None)

    def _ready(self, item: Future[tuple[bytes, int]] | LocalFile, hands: handover.Hands | None) -> Iterator[bytes]:
        if isinstance(item, LocalFile):
            handed = hands is not None and item.size_bytes >= HANDED_BYTES and (yield from self._handed(item, hands))
            if not handed:
                yield from self._pieces(item)
            return
        message, size_bytes = item.result()
        yield message
        self._count(size_bytes)

    def _handed(self, file: LocalFile, hands: handover.Hands) -> Generator[bytes, None, bool]:
        with _opened(file.local) as stream:
            ticket = hands.give(stream.fileno())
            if ticket is None:
                return False
            handed = own.HandedFile(path=file.path, ticket=ticket, append=self.append)
            yield own.BulkPutRequest(handed=handed).SerializeToString()
            for more in handover.progress(stream.fileno()):
                self._count(more)
                if self._over.wait(handover.LOOK_S):
                    break
        return True

    def _pieces(self, file: LocalFile) -> Iterator[bytes]:
        named = frames.delimited(1, file.path.encode())
        options = frames.flag(3, self.append)
        with _opened(file.local) as stream:
            for data in _read_pieces(stream):
                yield b"".join(frames.delimited(3, *named, *options, *frames.delimited(2, data)))
                self._count(len(data))
                named = []
        if named:
            yield b"".join(frames.delimited(3, *named, *options))

    def _small(self, files: Sequence[LocalFile]) -> tuple[bytes, int]:
        contents = [_read_whole(file, self.cache) for file in files]
        sizes = [len(content) for content in contents]
        named = own.SmallFiles(paths=[file.path for file in files], sizes=sizes, append=self.append)
        parts = (named.SerializeToString(), *frames.delimited(3, *contents))
        return b"".join(frames.delimited(2, *parts)), sum(sizes)

    def public(self, sources: Iterable[Source]) -> Iterator[bytes]:
        """The messages of the public call."""
        yield pfs.ModifyFileRequest(set_commit=self.commit).SerializeToString()
        for source in sources:
            # What comes from below a URL has names that only the server sees; it replaces each of them.
            if not self.append and not (isinstance(source, RemoteFile) and source.recursive):
                yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=source.path)).SerializeToString()
            match source:
                case RemoteFile(path, url) if url.lower().startswith(COPIED):
                    yield pfs.ModifyFileRequest(copy_file=_copied(path, url, self.append)).SerializeToString()
                case RemoteFile(path, url, recursive):
                    fetch = pfs.AddFile.URLSource(URL=url, recursive=recursive)
                    yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, url=fetch)).SerializeToString()
                case OpenStream(path, stream):
                    yield from self._raw(path, stream)
                case LocalFile(path, local):
                    with _opened(local) as stream:
                        yield from self._raw(path, stream)

    def _raw(self, path: str, stream: BinaryIO) -> Iterator[bytes]:
        named = frames.delimited(1, path.encode())
        empty = True
        for data in _read_pieces(stream):
            empty = False
            yield b"".join(frames.delimited(2, *named, *frames.delimited(3, *frames.delimited(1, data))))
            self._count(len(data))
        if empty:
            yield b"".join(frames.delimited(2, *named, *frames.delimited(3)))


def _copied(path: str, url: str, append: bool) -> pfs.CopyFile:
    """What a URL such as pfs://HOST/REPO/BRANCH/PATH means; the host is the server itself, whatever is written."""
    parts = [unquote(part) for part in url[len(COPIED) :].split("/", 3)]
    if len(parts) < 4 or not all(parts[1:3]):
        raise InvalidArgument(f'"{url}" is not understood: write pfs://HOST/REPO/BRANCH/PATH')
    _, repo, branch, inside = parts
    project, dot, name = repo.rpartition(".")
    owner = pfs.Repo(name=name, type="user", project=pfs.Project(name=project if dot else ""))
    commit = pfs.Commit(repo=owner, branch=pfs.Branch(repo=owner, name=branch))
    return pfs.CopyFile(dst=path, src=pfs.File(commit=commit, path=f"/{inside}"), append=append)


def _groups(files: Iterable[LocalFile]) -> Iterator[list[LocalFile] | LocalFile]:
    """`files` in order: neighbouring small ones together, big ones alone."""
    group: list[LocalFile] = []
    size_bytes = 0
    for file in files:
        big = file.size_bytes > SMALL_BYTES
        if group and (big or len(group) == BATCH_FILES or size_bytes + file.size_bytes > BATCH_BYTES):
            yield group
            group, size_bytes = [], 0
        if big:
            yield file
        else:
            group.append(file)
            size_bytes += file.size_bytes
    if group:
        yield group


def _read_whole(file: LocalFile, cache: PutCache | None) -> bytes:
    """A small file's content; the cache is told of it. For so many files a Python file object is too dear."""
    try:
        handle = os.open(file.local, os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = os.read(handle, file.size_bytes + 1)
            while len(content) > file.size_bytes and len(content) <= PIECE_BYTES:  # it grew, or has no size (/proc)
                more = os.read(handle, PIECE_BYTES)
                if not more:
                    break
                content += more
            if cache is not None:
                cache.note(file, inode_of(os.fstat(handle)), content)
        finally:
            os.close(handle)
    except OSError as error:
        raise InvalidArgument(f"cannot read {file.local}: {error.strerror}") from error
    if len(content) > PIECE_BYTES:
        raise Aborted(f"{file.local} grew while it was being put; try again when nobody writes to it")
    return content


def _read_pieces(stream: BinaryIO) -> Iterator[bytes]:
    while data := stream.read(PIECE_BYTES):
        yield data


def _opened(local: str) -> BinaryIO:
    try:
        return Path(local).open("rb")
    except OSError as error:
        raise InvalidArgument(f"cannot read {local}: {error.strerror}") from error
