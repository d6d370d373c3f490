"""pfs_v2.API: file sets made, taken from commits and laid on them; and the clients' cache, which keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

from google.protobuf.any_pb2 import Any
from google.protobuf.empty_pb2 import Empty

from trunkline.api.files.writes import Modify, edits_of
from trunkline.api.rpc.call import Call
from trunkline.api.rpc.doors import Reader
from trunkline.api.rpc.settling import Settling
from trunkline.errors import InvalidArgument
from trunkline.pfs.files import Files
from trunkline.pfs.lent import cache
from trunkline.pfs.lent.leases import Leases
from trunkline.pfs.lent.ranges import shards_of
from trunkline.wire import nouns
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.pieces import modify_file


@dataclass(frozen=True, slots=True)
class FileSetDoor:
    """File sets. Taking one from a commit that is being finished waits for it as a coroutine."""

    leases: Leases
    settling: Settling
    service: str = field(default="pfs_v2.API")
    readers: ClassVar[Mapping[str, Reader]] = {"CreateFileSet": modify_file}

    def CreateFileSet(self, messages: Iterator[Modify], call: Call) -> pfs.CreateFileSetResponse:
        """A file set of a stream of edits, which says nothing about where to write."""
        return pfs.CreateFileSetResponse(file_set_id=self.leases.create(edits_of(messages, call)))

    async def GetFileSet(self, request: pfs.GetFileSetRequest, _call: Call) -> pfs.CreateFileSetResponse:
        """The content of a commit, or what it changed."""
        named = nouns.commit_of(request.commit, "GetFileSet")
        diff = request.type == pfs.GetFileSetRequest.DIFF
        lease = await self.settling.tried(partial(self.leases.of_commit, named.repo, named.ref, diff=diff))
        return pfs.CreateFileSetResponse(file_set_id=lease)

    def AddFileSet(self, request: pfs.AddFileSetRequest, _call: Call) -> Empty:
        """Lay a file set on an open commit."""
        named = nouns.commit_of(request.commit, "AddFileSet")
        self.leases.add_to(named.repo, named.ref, request.file_set_id)
        return Empty()

    def RenewFileSet(self, request: pfs.RenewFileSetRequest, _call: Call) -> Empty:
        """Let a file set last longer."""
        self.leases.renew(request.file_set_id, request.ttl_seconds)
        return Empty()

    def ComposeFileSet(self, request: pfs.ComposeFileSetRequest, _call: Call) -> pfs.CreateFileSetResponse:
        """File sets on top of each other, as a new one."""
        composed = self.leases.compose(request.file_set_ids, request.ttl_seconds, compact=request.compact)
        return pfs.CreateFileSetResponse(file_set_id=composed)

    def ShardFileSet(self, request: pfs.ShardFileSetRequest, _call: Call) -> pfs.ShardFileSetResponse:
        """Ranges of paths with about equally much in each."""
        found = shards_of(self.leases.files, request.file_set_id, request.num_files, request.size_bytes)
        return pfs.ShardFileSetResponse(shards=[pfs.PathRange(lower=low, upper=high) for low, high in found])


@dataclass(frozen=True, slots=True)
class CacheDoor:
    """Values under keys, and the file sets that last as long."""

    files: Files
    service: str = field(default="pfs_v2.API")

    def PutCache(self, request: pfs.PutCacheRequest, _call: Call) -> Empty:
        """Keep a value."""
        if not request.HasField("value"):
            raise InvalidArgument(f'cache entry "{request.key}" has no value')
        value = request.value.SerializeToString()
        self.files.catalog.transact(
            lambda tx: cache.put_cache(tx, request.key, value, request.file_set_ids, request.tag)
        )
        return Empty()

    def GetCache(self, request: pfs.GetCacheRequest, _call: Call) -> pfs.GetCacheResponse:
        """A value."""
        value = self.files.catalog.read(lambda tx: cache.get_cache(tx, request.key))
        return pfs.GetCacheResponse(value=Any.FromString(value))

    def ClearCache(self, request: pfs.ClearCacheRequest, _call: Call) -> Empty:
        """Forget what has such a tag."""
        self.files.catalog.transact(lambda tx: cache.clear_cache(tx, request.tag_prefix))
        return Empty()
