"""pfs_v2.API/Egress: a commit written to an object store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from trunkline.api.rpc.bridge import Bridge
from trunkline.api.rpc.call import Call
from trunkline.errors import InvalidArgument, Unimplemented
from trunkline.pfs import reads
from trunkline.pfs.files import Files
from trunkline.pfs.outside.sending import send
from trunkline.wire import nouns
from trunkline.wire.gen import pfs_v2_pb2 as pfs


@dataclass(frozen=True, slots=True)
class EgressDoor:
    """Commits sent elsewhere."""

    files: Files
    bridge: Bridge
    service: str = field(default="pfs_v2.API")

    async def Egress(self, request: pfs.EgressRequest, call: Call) -> pfs.EgressResponse:
        """Write all files of a commit below a URL, under their paths. A commit that is being finished is waited for."""
        named = nouns.commit_of(request.commit, "Egress")
        target = request.WhichOneof("target")
        if target is None:
            raise InvalidArgument("Egress says nowhere to write: name an object store's URL")
        if target == "sql_database":
            raise Unimplemented("Egress into a database is not built; write to an object store, and load it from there")
        url = request.object_storage.url
        sent = await self.bridge.slow(partial(_send, self.files, named, url, call.wanted))
        result = pfs.EgressResponse.ObjectStorageResult(bytes_written=sent)
        return pfs.EgressResponse(object_storage=result)


def _send(files: Files, named: nouns.CommitRef, url: str, wanted: Callable[[], bool]) -> int:
    source = reads.need_source(files, named.repo, named.ref)
    return send(source, "/", url, files.ambient, wanted=wanted).size_bytes
