"""pfs_v2.API/Fsck: the promises of what is stored, checked while the server runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from trunkline.api.rpc.call import Call
from trunkline.errors import Unimplemented
from trunkline.pfs import fsck
from trunkline.pfs.files import Files
from trunkline.wire.gen import pfs_v2_pb2 as pfs


@dataclass(frozen=True, slots=True)
class CheckDoor:
    """Checks."""

    files: Files
    service: str = "pfs_v2.API"

    def Fsck(self, request: pfs.FsckRequest, _call: Call) -> Iterator[pfs.FsckResponse]:
        """One message for each thing wrong; none: all is well."""
        if request.fix:
            raise Unimplemented("fsck repairs nothing yet; run it without --fix to see what is wrong")
        if request.WhichOneof("zombie_check"):
            raise Unimplemented("the check for zombie files is not built yet; run fsck without it")
        for line in fsck.violations(self.files):
            yield pfs.FsckResponse(error=line)

    def CheckStorage(self, request: pfs.CheckStorageRequest, _call: Call) -> pfs.CheckStorageResponse:
        """How many chunks there are, when each has its blob; with `read_chunk_data`, when each holds what it should."""
        count = fsck.check_chunks(
            self.files, begin=request.chunk_begin, end=request.chunk_end, read=request.read_chunk_data
        )
        return pfs.CheckStorageResponse(chunk_object_count=count)
