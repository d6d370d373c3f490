"""pfs_v2.API/Egress: a commit written to an object store, or as rows into a database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from trunkline.api.rpc.bridge import Bridge
from trunkline.api.rpc.call import Call
from trunkline.errors import InvalidArgument
from trunkline.pfs import reads
from trunkline.pfs.files import Files
from trunkline.pfs.outside.rows import send_rows
from trunkline.pfs.outside.sending import send
from trunkline.pps.egress.pushing import password_of
from trunkline.pps.secrets import Vault
from trunkline.wire import nouns
from trunkline.wire.gen import pfs_v2_pb2 as pfs


@dataclass(frozen=True, slots=True)
class EgressDoor:
    """Commits sent elsewhere."""

    files: Files
    vault: Vault
    bridge: Bridge
    service: str = field(default="pfs_v2.API")

    async def Egress(self, request: pfs.EgressRequest, call: Call) -> pfs.EgressResponse:
        """Write all files of a commit below a URL, or as rows into tables. One that is being finished is waited for."""
        named = nouns.commit_of(request.commit, "Egress")
        target = request.WhichOneof("target")
        if target is None:
            raise InvalidArgument("Egress says nowhere to write: name an object store's URL, or a database")
        if target == "sql_database":
            rows = await self.bridge.slow(partial(self._rows, named, request.sql_database, call.wanted))
            return pfs.EgressResponse(sql_database=pfs.EgressResponse.SQLDatabaseResult(rows_written=rows))
        url = request.object_storage.url
        sent = await self.bridge.slow(partial(_send, self.files, named, url, call.wanted))
        result = pfs.EgressResponse.ObjectStorageResult(bytes_written=sent)
        return pfs.EgressResponse(object_storage=result)

    def _rows(
        self, named: nouns.CommitRef, target: pfs.SQLDatabaseEgress, wanted: Callable[[], bool]
    ) -> dict[str, int]:
        from trunkline.storage.databases import Layout  # a server that writes into none starts sooner without

        layout = Layout(
            pfs.SQLDatabaseEgress.FileFormat.Type.Name(target.file_format.type), tuple(target.file_format.columns)
        )
        password = password_of(self.files, self.vault, target.secret.name, target.secret.key)
        source = reads.need_source(self.files, named.repo, named.ref)
        return send_rows(self.files, source, target.url, password, layout, wanted)


def _send(files: Files, named: nouns.CommitRef, url: str, wanted: Callable[[], bool]) -> int:
    source = reads.need_source(files, named.repo, named.ref)
    return send(source, "/", url, files.ambient, wanted=wanted).size_bytes
