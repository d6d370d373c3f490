"""Putting files: all of one call go into one commit, or none does.

Our own bulk call carries many small files in one message, read ahead by threads; a server that lacks it, a stream that
can be read but once, and URLs go by the public call, two messages a file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

import grpc
from google.protobuf.wrappers_pb2 import BytesValue

from trunkline.client.connection import Client
from trunkline.client.sources import LocalFile, OpenStream, RemoteFile, Source
from trunkline.errors import Aborted, InvalidArgument, TrunklineError, Unimplemented
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own

PIECE_BYTES = 4 * 1024 * 1024
"""How much of a big file goes into one message."""
SMALL_BYTES = 1024 * 1024
"""Files up to this size travel together."""
BATCH_BYTES = 2 * 1024 * 1024
BATCH_FILES = 1024
"""Small files travel in messages of at most this much; one that grew meanwhile may add `PIECE_BYTES`."""

Progress = Callable[[int], None]
"""Told how many more bytes have been handed to the connection; a negative number takes some back."""


_Message = TypeVar("_Message")


def put_files(
    client: Client,
    commit: pfs.Commit,
    sources: Sequence[Source],
    *,
    append: bool = False,
    parallelism: int = 10,
    progress: Progress = lambda count: None,
    compress: bool = False,
) -> None:
    """Write all `sources` into `commit`, in order, so that a later one wins. Raises what the server refuses.

    parallelism: how many threads read small files ahead. compress: gzip on the way.
    """
    work = _Upload(commit, append, max(1, parallelism), progress)
    squeeze = grpc.Compression.Gzip if compress else None
    if all(isinstance(source, LocalFile) for source in sources):
        try:
            files = [one for one in sources if isinstance(one, LocalFile)]
            work.send(partial(client.bulk.BulkPut, compression=squeeze), work.bulk(files))
            return
        except Unimplemented:
            progress(-work.sent)
            work = _Upload(commit, append, max(1, parallelism), progress)
    work.send(partial(client.pfs.ModifyFile, compression=squeeze), work.public(sources))


class _Upload:
    """One stream of messages. What goes wrong while reading ends the stream and is raised by `send`."""

    def __init__(self, commit: pfs.Commit, append: bool, parallelism: int, progress: Progress) -> None:
        self.commit = commit
        self.append = append
        self.parallelism = parallelism
        self.progress = progress
        self.sent = 0
        self.broken: Exception | None = None

    def send(self, call: Callable[[Iterator[_Message]], object], messages: Iterator[_Message]) -> None:
        try:
            call(self._watched(messages))
        except TrunklineError:
            if self.broken is not None:
                raise self.broken from None
            raise

    def _watched(self, messages: Iterator[_Message]) -> Iterator[_Message]:
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

    def bulk(self, files: Iterable[LocalFile]) -> Iterator[own.BulkPutRequest]:
        """The messages of our own call."""
        yield own.BulkPutRequest(target=own.BulkTarget(commit=self.commit))
        with ThreadPoolExecutor(self.parallelism, "read-ahead") as readers:
            waiting: deque[Future[own.SmallFiles] | LocalFile] = deque()
            for group in _groups(files):
                waiting.append(group if isinstance(group, LocalFile) else readers.submit(self._read, group))
                if len(waiting) > self.parallelism:
                    yield from self._ready(waiting.popleft())
            while waiting:
                yield from self._ready(waiting.popleft())

    def _ready(self, item: Future[own.SmallFiles] | LocalFile) -> Iterator[own.BulkPutRequest]:
        if isinstance(item, LocalFile):
            yield from self._pieces(item)
            return
        small = item.result()
        yield own.BulkPutRequest(small=small)
        self._count(len(small.data))

    def _pieces(self, file: LocalFile) -> Iterator[own.BulkPutRequest]:
        name = file.path
        with _opened(file.local) as stream:
            for data in _read_pieces(stream):
                yield own.BulkPutRequest(piece=own.FilePiece(path=name, data=data, append=self.append))
                self._count(len(data))
                name = ""
        if name:
            yield own.BulkPutRequest(piece=own.FilePiece(path=name, append=self.append))

    def _read(self, files: Sequence[LocalFile]) -> own.SmallFiles:
        contents = []
        for file in files:
            with _opened(file.local) as stream:
                content = stream.read(PIECE_BYTES + 1)
            if len(content) > PIECE_BYTES:
                raise Aborted(f"{file.local} grew while it was being put; try again when nobody writes to it")
            contents.append(content)
        return own.SmallFiles(
            paths=[file.path for file in files],
            sizes=[len(content) for content in contents],
            data=b"".join(contents),
            append=self.append,
        )

    def public(self, sources: Iterable[Source]) -> Iterator[pfs.ModifyFileRequest]:
        """The messages of the public call."""
        yield pfs.ModifyFileRequest(set_commit=self.commit)
        for source in sources:
            if not self.append:
                yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=source.path))
            match source:
                case RemoteFile(path, url, recursive):
                    fetch = pfs.AddFile.URLSource(URL=url, recursive=recursive)
                    yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, url=fetch))
                case OpenStream(path, stream):
                    yield from self._raw(path, stream)
                case LocalFile(path, local):
                    with _opened(local) as stream:
                        yield from self._raw(path, stream)

    def _raw(self, path: str, stream: BinaryIO) -> Iterator[pfs.ModifyFileRequest]:
        empty = True
        for data in _read_pieces(stream):
            empty = False
            yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=BytesValue(value=data)))
            self._count(len(data))
        if empty:
            yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=BytesValue()))


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


def _read_pieces(stream: BinaryIO) -> Iterator[bytes]:
    while data := stream.read(PIECE_BYTES):
        yield data


def _opened(local: str) -> BinaryIO:
    try:
        return Path(local).open("rb")
    except OSError as error:
        raise InvalidArgument(f"cannot read {local}: {error.strerror}") from error
