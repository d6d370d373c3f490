"""trunkline.v1.Space: what storage holds, and what is freed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from trunkline.api.rpc.call import Call
from trunkline.pfs.collection.cycle import Figures
from trunkline.pfs.collection.space import Space
from trunkline.wire.gen import trunkline_pb2 as own


@dataclass(frozen=True, slots=True)
class SpaceDoor:
    """Collection on demand, and figures."""

    space: Space
    service: str = field(default="trunkline.v1.Space")

    def RunCollection(self, request: own.RunCollectionRequest, _call: Call) -> own.CollectionFigures:
        """Free what nothing needs, or only say what that is."""
        return _told(self.space.collector.collect(dry=request.dry_run))

    def InspectStorage(self, _request: own.InspectStorageRequest, _call: Call) -> own.StorageInfo:
        """What there is."""
        info = self.space.inspect()
        row = info.stored
        return own.StorageInfo(
            logical_bytes=row.logical_bytes,
            unique_bytes=row.live_plain_bytes,
            stored_bytes=row.live_stored_bytes,
            dedup_ratio=info.dedup_ratio,
            compression_ratio=info.compression_ratio,
            live_chunks=row.live,
            condemned_chunks=row.condemned,
            condemned_bytes=row.condemned_stored_bytes,
            damaged_chunks=row.damaged,
            doomed_blobs=row.doomed_chunks + row.doomed_blobs,
            filesets=row.filesets,
            open_sessions=row.open_sessions,
            running_reads=info.running_reads,
            cycle=row.cycle,
            collected=_told(info.collected),
            trouble=info.trouble,
            dead_bytes=row.dead_bytes,
        )

    def CheckData(self, _request: own.CheckDataRequest, _call: Call) -> Iterator[own.CheckDataResponse]:
        """What is wrong with what is stored, down to the last byte."""
        from trunkline.pfs import fsck  # a server starts sooner without

        for line in fsck.violations(self.space.files, read_bytes=True):
            yield own.CheckDataResponse(error=line)


def _told(figures: Figures) -> own.CollectionFigures:
    return own.CollectionFigures(
        cycles=figures.cycles,
        revived=figures.revived,
        condemned=figures.newly_condemned,
        doomed=figures.doomed,
        doomed_bytes=figures.doomed_bytes,
        filesets=figures.filesets,
        blobs=figures.blobs,
        leftovers=figures.leftovers,
        leftover_bytes=figures.leftover_bytes,
        waiting=figures.condemned,
        waiting_bytes=figures.condemned_bytes,
        open_sessions=figures.waits,
        repacked=figures.repacked,
    )
