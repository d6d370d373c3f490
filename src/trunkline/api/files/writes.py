"""Files written: pfs_v2.API/ModifyFile and our own quicker BulkPut, message by message into edits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from google.protobuf.empty_pb2 import Empty

from trunkline.api.files.handover import Handed, read_into
from trunkline.api.rpc.call import Call
from trunkline.api.rpc.doors import Reader
from trunkline.api.rpc.settling import Settling
from trunkline.errors import InvalidArgument
from trunkline.pfs.edits import Add, AddMany, AddUrl, Copy, Delete, Edit, Pour, Target, ground_of, modify
from trunkline.pfs.files import Files
from trunkline.pfs.kept import check_lists, there_already
from trunkline.wire import nouns
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own
from trunkline.wire.pieces import Piece, bulk_put, modify_file

Modify = pfs.ModifyFileRequest | Piece
BulkMessage = own.BulkPutRequest | Piece


def target_of(commit: pfs.Commit) -> Target:
    """Where a client wants to write. A branch without id means the branch, anything else the commit named."""
    named = nouns.commit_of(commit, "set_commit")
    if named.plain_branch:
        return Target(named.repo, branch=named.plain_branch)
    return Target(named.repo, ref=named.ref)


@dataclass(frozen=True, slots=True)
class ModifyDoor:
    """The public stream of edits."""

    files: Files
    service: str = "pfs_v2.API"
    readers: ClassVar[Mapping[str, Reader]] = {"ModifyFile": modify_file}

    def ModifyFile(self, messages: Iterator[Modify], call: Call) -> Empty:
        """Apply edits to one commit, all or none."""
        first = next(messages, None)
        if not isinstance(first, pfs.ModifyFileRequest) or first.WhichOneof("body") != "set_commit":
            raise InvalidArgument("the first message of ModifyFile must be set_commit: it says where to write")
        modify(self.files, target_of(first.set_commit), edits_of(messages, call))
        return Empty()


def edits_of(messages: Iterator[Modify], call: Call) -> Iterator[Edit]:
    """What a stream wants done, after it has said where."""
    return (_edit(message, call) for message in messages)


def _edit(message: Modify, call: Call) -> Edit:
    if isinstance(message, Piece):
        return Add(message.path, message.data, message.datum)
    match message.WhichOneof("body"):
        case "add_file":
            return _add(message.add_file, call)
        case "delete_file":
            return Delete(message.delete_file.path, message.delete_file.datum or None)
        case "copy_file":
            copy = message.copy_file
            source = nouns.commit_of(copy.src.commit, "a copied file")
            return Copy(copy.dst, source.repo, source.ref, copy.src.path, copy.append, copy.datum, call.wanted)
        case "set_commit":
            raise InvalidArgument("set_commit may only be the first message of ModifyFile: one stream, one commit")
    raise InvalidArgument("a message of ModifyFile says nothing: expected add_file, delete_file or copy_file")


def _add(add: pfs.AddFile, call: Call) -> Edit:
    if add.WhichOneof("source") == "url":
        url = add.url
        return AddUrl(add.path, url.URL, url.recursive, url.concurrency, add.datum, call.wanted)
    return Add(add.path, add.raw.value, add.datum)


@dataclass(frozen=True, slots=True)
class BulkDoor:
    """Our own stream of edits: many files to a message."""

    files: Files
    settling: Settling
    handed: Handed
    service: str = "trunkline.v1.Files"
    readers: ClassVar[Mapping[str, Reader]] = {"BulkPut": bulk_put}

    def Handover(self, _request: own.HandoverRequest, _call: Call) -> own.HandoverResponse:
        """Where files may be handed over; no path where they may not."""
        return own.HandoverResponse(socket=self.handed.path, greeting=self.handed.greeting)

    async def CheckFiles(self, request: own.CheckFilesRequest, _call: Call) -> own.CheckFilesResponse:
        """Which files need not be sent."""
        target = target_of(request.commit)
        check_lists(request.paths, request.sizes, request.hashes)
        ground = await self.settling.found(lambda tx: ground_of(tx, target))
        look = partial(there_already, self.files, ground, request.paths, request.sizes, request.hashes)
        return own.CheckFilesResponse(there=bytes(await self.settling.bridge.unary(look)), stamp=ground.stamp)

    def BulkPut(self, messages: Iterator[BulkMessage], call: Call) -> own.BulkPutResponse:
        """Put many files into one commit, all or none."""
        first = next(messages, None)
        if not isinstance(first, own.BulkPutRequest) or first.WhichOneof("body") != "target":
            raise InvalidArgument("the first message of BulkPut must be target: it says where to write")
        edits = Bulk(messages, self.handed)
        target = target_of(first.target.commit)
        big: dict[str, bytes] = {}
        commit = modify(self.files, target, iter(edits), stamp=first.target.stamp, big=big)
        named = nouns.commit(commit, "" if call.bare_branches else target.branch)
        answer = own.BulkPutResponse(commit=named, files=edits.files, size_bytes=edits.size_bytes)
        if first.target.tell_hashes:
            answer.big_paths.extend(big)
            answer.big_hashes = b"".join(big.values())
        return answer


class Bulk:
    """The edits of a stream, counted on their way. handed: None where no open files are taken."""

    def __init__(self, messages: Iterator[BulkMessage], handed: Handed | None) -> None:
        self._messages = messages
        self._handed = handed
        self.files = 0
        self.size_bytes = 0

    def __iter__(self) -> Iterator[Edit]:
        going_on = ""
        for message in self._messages:
            if isinstance(message, Piece) or message.HasField("piece"):
                piece = message if isinstance(message, Piece) else message.piece
                going_on = piece.path or going_on
                yield from self._piece(piece, going_on)
                continue
            body = message.WhichOneof("body")
            going_on = ""
            if body == "small":
                yield self._small(message.small)
            elif body == "delete":
                yield from map(Delete, message.delete.paths)
            elif body == "handed" and self._handed is not None:
                yield from self._open_file(message.handed, self._handed)
            else:
                raise InvalidArgument("a message of BulkPut says nothing: expected small, piece, delete or handed")

    def _open_file(self, file: own.HandedFile, handed: Handed) -> Iterator[Edit]:
        self.files += 1
        if not file.append:
            yield Delete(file.path)
        with handed.taken(file.ticket, file.path) as handle:

            def counted(room: memoryview) -> int:
                count = read_into(handle, file.path, room)
                self.size_bytes += count
                return count

            yield Pour(file.path, counted)

    def _small(self, small: own.SmallFiles) -> AddMany:
        self.files += len(small.paths)
        self.size_bytes += len(small.data)
        return AddMany(small.paths, small.sizes, small.data, append=small.append)

    def _piece(self, piece: own.FilePiece | Piece, path: str) -> Iterator[Edit]:
        if not path:
            raise InvalidArgument("a piece goes on with a file, but no piece before it named one")
        if piece.path:
            self.files += 1
            if not piece.append:
                yield Delete(path)
        self.size_bytes += len(piece.data)
        yield Add(path, piece.data)
