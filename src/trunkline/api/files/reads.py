"""pfs_v2.API: files read, listed, searched."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial

import pyarrow as pa

from trunkline.api.files.handover import Handed, write_all
from trunkline.api.files.tar import blocks, messages
from trunkline.api.rpc.bridge import Bridge
from trunkline.api.rpc.call import Call
from trunkline.api.rpc.settling import Settling
from trunkline.errors import Aborted, InvalidArgument
from trunkline.pfs import content, reads
from trunkline.pfs.files import Files
from trunkline.pfs.graph import commits
from trunkline.pfs.lent.pseudo import is_lent
from trunkline.pfs.outside.sending import send
from trunkline.pfs.reads import Source
from trunkline.wire import infos, nouns
from trunkline.wire.frames import bytes_value
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own

PIECE_BYTES = 1 << 20
"""Of a file, in one message. The peer has one in hand while the next is read."""

LISTED = 1000
"""Files that are told of at once."""

_TOLD = ("path", "datum", "is_dir", "size", "hash")


@dataclass(frozen=True, slots=True)
class ReadDoor:
    """Files of commits. Calls on a commit that is being finished wait for it as coroutines."""

    files: Files
    bridge: Bridge
    settling: Settling
    service: str = field(default="pfs_v2.API")

    async def open(self, commit: pfs.Commit) -> tuple[Source, str]:
        """The commit's content, and the name of its branch as the client wrote it."""
        named = nouns.commit_of(commit, "the file")
        return await self.settling.opened(named.repo, named.ref), named.branch

    async def listed(
        self, commit: pfs.Commit, call: Call, find: Callable[[Source], Iterator[pa.Table]]
    ) -> AsyncGenerator[list[bytes], None]:
        """Encoded FileInfos of what is found in a commit, up to LISTED at a time."""
        source, branch = await self.open(commit)
        encoder = infos.FileMessages(source.commit, "" if call.bare_branches else branch, source.committed_us)

        def work() -> Iterator[list[bytes]]:
            for page in find(source):
                for start in range(0, page.num_rows, LISTED):
                    rows = page.slice(start, LISTED)
                    yield encoder.of(*(rows.column(name).to_pylist() for name in _TOLD))

        async with aclosing(self.bridge.stream(work)) as pages:
            async for encoded in pages:
                yield encoded

    async def _one_by_one(
        self, commit: pfs.Commit, call: Call, find: Callable[[Source], Iterator[pa.Table]]
    ) -> AsyncGenerator[bytes, None]:
        async with aclosing(self.listed(commit, call, find)) as pages:
            async for encoded in pages:
                for one in encoded:
                    yield one

    async def InspectFile(self, request: pfs.InspectFileRequest, call: Call) -> pfs.FileInfo:
        """One file or directory."""
        source, branch = await self.open(request.file.commit)
        info = await self.bridge.unary(partial(reads.inspect_file, source, request.file.path))
        return infos.file_info(info, "" if call.bare_branches else branch)

    async def ListFile(self, request: pfs.ListFileRequest, call: Call) -> AsyncGenerator[bytes, None]:
        """What lies in a directory."""
        async with aclosing(self._one_by_one(request.file.commit, call, _in_directory(request))) as items:
            async for item in items:
                yield item

    async def WalkFile(self, request: pfs.WalkFileRequest, call: Call) -> AsyncGenerator[bytes, None]:
        """A directory and all below it."""
        find = partial(
            reads.walk_pages,
            path=request.file.path,
            marker=request.paginationMarker.path,
            number=request.number,
            reverse=request.reverse,
        )
        async with aclosing(self._one_by_one(request.file.commit, call, find)) as items:
            async for item in items:
                yield item

    async def GlobFile(self, request: pfs.GlobFileRequest, call: Call) -> AsyncGenerator[bytes, None]:
        """Files and directories that match."""
        async with aclosing(self._one_by_one(request.commit, call, _matching(request))) as items:
            async for item in items:
                yield item

    async def GetFile(self, request: pfs.GetFileRequest, call: Call) -> AsyncGenerator[bytes, None]:
        """The bytes of one file; an empty one is one empty message, since a client takes the first unasked.

        With a URL the server writes there all that the path means, and answers one empty message.
        """
        source, _ = await self.open(request.file.commit)
        if request.URL:
            path, url, bounds = request.file.path, request.URL, _bounds(request)
            await self.bridge.slow(partial(send, source, path, url, self.files.ambient, bounds, call.wanted))
            yield bytes_value()
            return

        def work() -> Iterator[bytes]:
            bounds = _bounds(request)
            pieces = content.get_file(self.files, source, request.file.path, offset=request.offset, bounds=bounds)
            return messages(pieces, PIECE_BYTES)

        async with aclosing(self.bridge.stream(work)) as items:
            async for item in items:
                yield item

    async def GetFileTAR(self, request: pfs.GetFileRequest, _call: Call) -> AsyncGenerator[bytes, None]:
        """Everything that matches, as one tar stream."""
        _refuse_url(request)
        source, _ = await self.open(request.file.commit)
        mtime_s = (source.committed_us or 0) // 1_000_000

        def work() -> Iterator[bytes]:
            found = content.get_tree(source, request.file.path, _bounds(request))
            files = ((one.info.path, one.info.size_bytes, one.content) for one in found)
            stream = blocks(
                ((path, size, content.guarded(self.files, source, one) if one else None) for path, size, one in files),
                mtime_s,
            )
            return messages(stream, PIECE_BYTES)

        async with aclosing(self.bridge.stream(work)) as items:
            async for item in items:
                yield item

    async def DiffFile(self, request: pfs.DiffFileRequest, call: Call) -> AsyncGenerator[pfs.DiffFileResponse, None]:
        """What differs between two commits; without an old one, from the new one's parent."""
        new, branch = await self.open(request.new_file.commit)
        old, old_path = await self._older(request, new)
        told = "" if call.bare_branches else branch

        def work() -> Iterator[pfs.DiffFileResponse]:
            for one, other in content.diff_file(new, request.new_file.path, old, old_path, shallow=request.shallow):
                yield pfs.DiffFileResponse(
                    new_file=infos.file_info(one, told) if one is not None else None,
                    old_file=infos.file_info(other) if other is not None else None,
                )

        async with aclosing(self.bridge.stream(work)) as items:
            async for item in items:
                yield item

    async def _older(self, request: pfs.DiffFileRequest, new: Source) -> tuple[Source | None, str]:
        named = nouns.find_commit(request.old_file.commit)
        if named is not None and named.ref:
            source, _ = await self.open(request.old_file.commit)
            return source, request.old_file.path or request.new_file.path
        if is_lent(new.commit.repo):
            return None, request.new_file.path
        look = partial(commits.inspect_commit, repo=new.commit.repo, ref=new.commit.id)
        info = await self.bridge.unary(partial(self.files.catalog.read, look))
        if info.parent is None:
            return None, request.new_file.path
        source, _ = await self.open(nouns.commit(info.parent))
        return source, request.new_file.path


@dataclass(frozen=True, slots=True)
class FetchDoor:
    """Files of commits written by the server, for clients on its own machine."""

    reads: ReadDoor
    handed: Handed
    service: str = field(default="trunkline.v1.Files")

    async def FetchFile(self, request: own.FetchFileRequest, call: Call) -> own.FetchFileResponse:
        """Write the bytes of one file into one that was handed over. Stops when the client goes away."""
        source, _ = await self.reads.open(request.file.commit)
        path = request.file.path

        def work() -> own.FetchFileResponse:
            written = 0
            with self.handed.taken(request.ticket, path) as handle:
                for piece in content.get_file(self.reads.files, source, path, offset=request.offset):
                    if not call.wanted():
                        raise Aborted(f"{path} was wanted no more after {written} bytes")
                    write_all(handle, path, piece)
                    written += len(piece)
            return own.FetchFileResponse(size_bytes=written)

        return await self.reads.bridge.slow(work)


@dataclass(frozen=True, slots=True)
class ListDoor:
    """Files listed, many to a message: what a message costs on its way is more than what finding a file does."""

    reads: ReadDoor
    service: str = field(default="trunkline.v1.Files")

    async def ListFiles(self, request: pfs.ListFileRequest, call: Call) -> AsyncGenerator[bytes, None]:
        """What lies in a directory."""
        async with aclosing(self.reads.listed(request.file.commit, call, _in_directory(request))) as pages:
            async for encoded in pages:
                yield infos.file_list(encoded)

    async def GlobFiles(self, request: pfs.GlobFileRequest, call: Call) -> AsyncGenerator[bytes, None]:
        """Files and directories that match."""
        async with aclosing(self.reads.listed(request.commit, call, _matching(request))) as pages:
            async for encoded in pages:
                yield infos.file_list(encoded)


def _in_directory(request: pfs.ListFileRequest) -> Callable[[Source], Iterator[pa.Table]]:
    return partial(
        reads.list_pages,
        path=request.file.path,
        marker=request.paginationMarker.path,
        number=request.number,
        reverse=request.reverse,
    )


def _matching(request: pfs.GlobFileRequest) -> Callable[[Source], Iterator[pa.Table]]:
    bounds = request.path_range
    return partial(reads.glob_pages, pattern=request.pattern, lower=bounds.lower, upper=bounds.upper)


def _bounds(request: pfs.GetFileRequest) -> content.Bounds:
    return content.Bounds(request.path_range.lower, request.path_range.upper)


def _refuse_url(request: pfs.GetFileRequest) -> None:
    if request.URL:
        raise InvalidArgument(f"a tar stream is not written to {request.URL}; use GetFile, which writes files there")
