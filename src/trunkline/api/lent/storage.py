"""storage.Fileset: file sets without a repo, for the newer public client."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import BytesValue

from trunkline.api.files.tar import pieces
from trunkline.api.rpc.call import Call
from trunkline.errors import InvalidArgument
from trunkline.model.names import DEFAULT_PROJECT, LENT_REPO, Repo
from trunkline.pfs.edits import Add, Copy, Delete, Edit
from trunkline.pfs.lent.leases import Leases
from trunkline.pfs.lent.links import Links, Part
from trunkline.pfs.lent.ranges import Filter, filtered, shards_of
from trunkline.wire.gen import cdr_pb2 as cdr
from trunkline.wire.gen import storage_pb2 as storage

PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class StorageDoor:
    """File sets by id."""

    leases: Leases
    links: Links
    service: str = field(default="storage.Fileset")

    def CreateFileset(
        self, messages: Iterator[storage.CreateFilesetRequest], _call: Call
    ) -> storage.CreateFilesetResponse:
        """A file set of a stream of edits."""
        return storage.CreateFilesetResponse(fileset_id=self.leases.create(map(_edit, messages)))

    def ReadFileset(self, request: storage.ReadFilesetRequest, _call: Call) -> Iterator[storage.ReadFilesetResponse]:
        """Every file that all filters let through, in path order and in pieces. With empty_files: only their paths."""
        for content in filtered(self.leases.files, request.fileset_id, [_filter(one) for one in request.filters]):
            if request.empty_files:
                yield storage.ReadFilesetResponse(path=content.path, data=BytesValue())
                continue
            for parts in pieces(content.read(), PIECE_BYTES):
                yield storage.ReadFilesetResponse(path=content.path, data=BytesValue(value=b"".join(parts)))

    def ReadFilesetCDR(
        self, request: storage.ReadFilesetRequest, _call: Call
    ) -> Iterator[storage.ReadFilesetCDRResponse]:
        """As ReadFileset, with references to the content that the client resolves by HTTP. Files in several parts, by
        different datums, have a reference for each."""
        for content in filtered(self.leases.files, request.fileset_id, [_filter(one) for one in request.filters]):
            ref = _joined([] if request.empty_files else self.links.parts(content))
            yield storage.ReadFilesetCDRResponse(path=content.path, ref=ref)

    def RenewFileset(self, request: storage.RenewFilesetRequest, _call: Call) -> Empty:
        """Let a file set last longer."""
        self.leases.renew(request.fileset_id, request.ttl_seconds)
        return Empty()

    def ComposeFileset(self, request: storage.ComposeFilesetRequest, _call: Call) -> storage.ComposeFilesetResponse:
        """File sets on top of each other, as a new one."""
        composed = self.leases.compose(request.fileset_ids, request.ttl_seconds)
        return storage.ComposeFilesetResponse(fileset_id=composed)

    def ShardFileset(self, request: storage.ShardFilesetRequest, _call: Call) -> storage.ShardFilesetResponse:
        """Ranges of paths with about equally much in each."""
        found = shards_of(self.leases.files, request.fileset_id, request.num_files, request.size_bytes)
        return storage.ShardFilesetResponse(shards=[storage.PathRange(lower=low, upper=high) for low, high in found])


def _joined(parts: Sequence[Part]) -> cdr.Ref:
    """One reference for parts that follow each other; for none, to nothing."""
    refs = [_ref(part) for part in parts]
    return refs[0] if len(refs) == 1 else cdr.Ref(concat=cdr.Concat(refs=refs))


def _ref(part: Part) -> cdr.Ref:
    inner = cdr.Ref(http=cdr.HTTP(url=part.url))
    whole = cdr.Ref(content_hash=cdr.ContentHash(inner=inner, algo=cdr.BLAKE2b_256, hash=part.hash))
    if (part.start, part.end) == (0, part.length):
        return whole
    return cdr.Ref(slice=cdr.Slice(inner=whole, start=part.start, end=part.end))


def _edit(message: storage.CreateFilesetRequest) -> Edit:
    match message.WhichOneof("modification"):
        case "append_file":
            return Add(message.append_file.path, message.append_file.data.value)
        case "delete_file":
            return Delete(message.delete_file.path)
        case "copy_file":
            copy = message.copy_file
            return Copy(copy.dst, Repo(DEFAULT_PROJECT, LENT_REPO), copy.fileset_id, copy.src)
    raise InvalidArgument("a message of CreateFileset says nothing: expected append_file, delete_file or copy_file")


def _filter(one: storage.FileFilter) -> Filter:
    if one.WhichOneof("filter") == "path_range":
        return Filter(lower=one.path_range.lower, upper=one.path_range.upper)
    return Filter(regex=one.path_regex)
