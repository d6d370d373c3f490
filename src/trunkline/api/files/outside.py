"""pfs_v2.API/Egress: a commit written to an object store, or as rows into a database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from trunkline.api.rpc.call import Call
from trunkline.api.rpc.settling import Settling
from trunkline.errors import InvalidArgument
from trunkline.pfs.files import Files
from trunkline.pfs.outside.rows import send_rows
from trunkline.pfs.outside.sending import send
from trunkline.pfs.reads import Source
from trunkline.pps.egress.pushing import password_of
from trunkline.pps.secrets import Vault
from trunkline.wire import nouns
from trunkline.wire.gen import pfs_v2_pb2 as pfs


@dataclass(frozen=True, slots=True)
class EgressDoor:
    """Commits sent elsewhere."""

    files: Files
    vault: Vault
    settling: Settling
    service: str = field(default="pfs_v2.API")

    async def Egress(self, request: pfs.EgressRequest, call: Call) -> pfs.EgressResponse:
        """Write all files of a commit below a URL, or as rows into tables. One that is being finished is waited for."""
        named = nouns.commit_of(request.commit, "Egress")
        target = request.WhichOneof("target")
        if target is None:
            raise InvalidArgument("Egress says nowhere to write: name an object store's URL, or a database")
        source = await self.settling.opened(named.repo, named.ref)
        slow = self.settling.bridge.slow
        if target == "sql_database":
            rows = await slow(partial(self._rows, source, request.sql_database, call.wanted))
            return pfs.EgressResponse(sql_database=pfs.EgressResponse.SQLDatabaseResult(rows_written=rows))
        url = request.object_storage.url
        sent = await slow(partial(send, source, "/", url, self.files.ambient, wanted=call.wanted))
        result = pfs.EgressResponse.ObjectStorageResult(bytes_written=sent.size_bytes)
        return pfs.EgressResponse(object_storage=result)

    def _rows(self, source: Source, target: pfs.SQLDatabaseEgress, wanted: Callable[[], bool]) -> dict[str, int]:
        from trunkline.storage.databases import Layout  # a server that writes into none starts sooner without

        layout = Layout(_format(target.file_format.type), tuple(target.file_format.columns))
        password = password_of(self.files, self.vault, target.secret.name, target.secret.key)
        return send_rows(self.files, source, target.url, password, layout, wanted)


def _format(number: int) -> str:
    """The format's name. A number that has none is refused like the name of one that cannot be read."""
    kinds = pfs.SQLDatabaseEgress.FileFormat.Type
    return kinds.Name(number) if number in kinds.values() else str(number)  # type: ignore[arg-type]
