"""pfs_v2.API/Fsck: the promises of what is stored, checked while the server runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from trunkline.api.rpc.call import Call
from trunkline.pfs.files import Files
from trunkline.pps.controller import Pps
from trunkline.wire import nouns
from trunkline.wire.gen import pfs_v2_pb2 as pfs


@dataclass(frozen=True, slots=True)
class CheckDoor:
    """Checks."""

    files: Files
    pps: Pps
    service: str = "pfs_v2.API"

    def Fsck(self, request: pfs.FsckRequest, _call: Call) -> Iterator[pfs.FsckResponse]:
        """One message for each thing mended, with `fix`, and for each thing wrong; none: all is well."""
        from trunkline.pfs import fsck  # a server starts sooner without

        if request.fix:
            for line in fsck.repaired(self.files):
                yield pfs.FsckResponse(fix=line)
        for line in self._zombies(request):
            yield pfs.FsckResponse(error=line)
        for line in fsck.violations(self.files):
            yield pfs.FsckResponse(error=line)

    def _zombies(self, request: pfs.FsckRequest) -> Iterator[str]:
        from trunkline.pps.datums import zombies

        if request.zombie_all:
            yield from zombies.everywhere(self.pps)
        elif request.HasField("zombie_target"):
            commit = nouns.commit_of(request.zombie_target)
            yield from zombies.in_commit(self.pps, commit.repo, commit.ref)

    def CheckStorage(self, request: pfs.CheckStorageRequest, _call: Call) -> pfs.CheckStorageResponse:
        """How many chunks there are, when each has its blob; with `read_chunk_data`, when each holds what it should."""
        from trunkline.pfs import fsck

        count = fsck.check_chunks(
            self.files, begin=request.chunk_begin, end=request.chunk_end, read=request.read_chunk_data
        )
        return pfs.CheckStorageResponse(chunk_object_count=count)
