"""pfs_v2.API: files read, listed, searched."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial

from google.protobuf.wrappers_pb2 import BytesValue

from trunkline.api.bridge import Bridge
from trunkline.api.call import Call
from trunkline.api.events import Events
from trunkline.api.tar import blocks, messages
from trunkline.errors import Unimplemented
from trunkline.model.infos import FileInfo
from trunkline.pfs import contents, reads
from trunkline.pfs.files import Files
from trunkline.pfs.reads import Source
from trunkline.wire import infos, nouns
from trunkline.wire.gen import pfs_v2_pb2 as pfs

PIECE_BYTES = 1 << 20
"""Of a file, in one message. The peer has one in hand while the next is read."""


@dataclass(frozen=True, slots=True)
class ReadDoor:
    """Files of commits. Calls on a commit that is being finished wait for it as coroutines."""

    files: Files
    bridge: Bridge
    events: Events
    service: str = field(default="pfs_v2.API")

    async def _open(self, commit: pfs.Commit) -> tuple[Source, str]:
        """The commit's content, and the name of its branch as the client wrote it."""
        named = nouns.commit_of(commit, "the file")
        while True:
            seq = self.events.seq
            source = await self.bridge.unary(partial(reads.open_source, self.files, named.repo, named.ref))
            if source is not None:
                return source, named.branch
            await self.events.after(seq)

    async def _listed(
        self, commit: pfs.Commit, call: Call, find: Callable[[Source], Iterator[FileInfo]]
    ) -> AsyncGenerator[pfs.FileInfo, None]:
        source, branch = await self._open(commit)
        told = "" if call.bare_branches else branch

        def work() -> Iterator[pfs.FileInfo]:
            for info in find(source):
                yield infos.file_info(info, told)

        async with aclosing(self.bridge.stream(work)) as items:
            async for item in items:
                yield item

    async def InspectFile(self, request: pfs.InspectFileRequest, call: Call) -> pfs.FileInfo:
        """One file or directory."""
        source, branch = await self._open(request.file.commit)
        info = await self.bridge.unary(partial(reads.inspect_file, source, request.file.path))
        return infos.file_info(info, "" if call.bare_branches else branch)

    async def ListFile(self, request: pfs.ListFileRequest, call: Call) -> AsyncGenerator[pfs.FileInfo, None]:
        """What lies in a directory."""
        find = partial(
            reads.list_file,
            path=request.file.path,
            marker=request.paginationMarker.path,
            number=request.number,
            reverse=request.reverse,
        )
        async with aclosing(self._listed(request.file.commit, call, find)) as items:
            async for item in items:
                yield item

    async def WalkFile(self, request: pfs.WalkFileRequest, call: Call) -> AsyncGenerator[pfs.FileInfo, None]:
        """A directory and all below it."""
        find = partial(
            reads.walk_file,
            path=request.file.path,
            marker=request.paginationMarker.path,
            number=request.number,
            reverse=request.reverse,
        )
        async with aclosing(self._listed(request.file.commit, call, find)) as items:
            async for item in items:
                yield item

    async def GlobFile(self, request: pfs.GlobFileRequest, call: Call) -> AsyncGenerator[pfs.FileInfo, None]:
        """Files and directories that match."""
        find = partial(
            reads.glob_file,
            pattern=request.pattern,
            lower=request.path_range.lower,
            upper=request.path_range.upper,
        )
        async with aclosing(self._listed(request.commit, call, find)) as items:
            async for item in items:
                yield item

    async def GetFile(self, request: pfs.GetFileRequest, _call: Call) -> AsyncGenerator[BytesValue, None]:
        """The bytes of one file; an empty one is one empty message, since a client takes the first unasked."""
        _refuse_url(request)
        source, _ = await self._open(request.file.commit)

        def work() -> Iterator[BytesValue]:
            pieces = contents.read_content(source, request.file.path, request.offset)
            return (BytesValue(value=piece) for piece in messages(pieces, PIECE_BYTES))

        async with aclosing(self.bridge.stream(work)) as items:
            async for item in items:
                yield item

    async def GetFileTAR(self, request: pfs.GetFileRequest, _call: Call) -> AsyncGenerator[BytesValue, None]:
        """Everything that matches, as one tar stream."""
        _refuse_url(request)
        source, _ = await self._open(request.file.commit)
        bounds = request.path_range
        mtime_s = (source.committed_us or 0) // 1_000_000

        def work() -> Iterator[BytesValue]:
            found = contents.all_contents(source, request.file.path, lower=bounds.lower, upper=bounds.upper)
            stream = blocks(((one.path, one.size_bytes, one.read()) for one in found), mtime_s)
            return (BytesValue(value=piece) for piece in messages(stream, PIECE_BYTES))

        async with aclosing(self.bridge.stream(work)) as items:
            async for item in items:
                yield item


def _refuse_url(request: pfs.GetFileRequest) -> None:
    if request.URL:
        raise Unimplemented(
            f"writing to {request.URL} is not built on the server; get the file without a URL and write it there"
        )
