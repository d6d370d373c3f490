"""What storage holds, in numbers, for people and for metrics."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from trunkline.catalog import outbox
from trunkline.catalog.collection import figures as figure_rows
from trunkline.catalog.collection.figures import StorageRow
from trunkline.pfs.collection.cycle import Figures
from trunkline.pfs.collection.loop import Collector
from trunkline.pfs.files import Files
from trunkline.pfs.graph.history import DIFF_HOLDER
from trunkline.storage import CacheFigures

FRESH_S = 10.0
"""Metrics may be so old: counting reads every chunk's row."""


@dataclass(frozen=True, slots=True)
class StorageInfo:
    """What there is, and what collection did since the server was started."""

    stored: StorageRow
    running_reads: int
    collected: Figures
    trouble: str

    @property
    def dedup_ratio(self) -> float:
        """How many times as much was written as is kept; 1 where nothing is."""
        return self.stored.logical_bytes / self.stored.live_plain_bytes if self.stored.live_plain_bytes else 1.0

    @property
    def compression_ratio(self) -> float:
        """How many times as large content is as its blobs; 1 where there is none."""
        return self.stored.live_plain_bytes / self.stored.live_stored_bytes if self.stored.live_stored_bytes else 1.0


class Space:
    """Storage as a whole: looked at, and cleared."""

    def __init__(self, files: Files, collector: Collector) -> None:
        self.files = files
        self.collector = collector
        self._lock = threading.Lock()
        self._last: tuple[float, StorageInfo] | None = None

    def reach(self) -> None:
        """Ask the catalog something small. Raises Unavailable where it cannot be had."""
        self.files.catalog.read(outbox.newest)

    def inspect(self) -> StorageInfo:
        """As it is now."""
        row = self.files.catalog.read(lambda tx: figure_rows.storage(tx, [DIFF_HOLDER]))
        info = StorageInfo(row, self.files.reading.count, self.collector.total, self.collector.trouble)
        with self._lock:
            self._last = (self.files.ambient.ticks_s(), info)
        return info

    def caches(self) -> dict[str, CacheFigures]:
        """What this process keeps at hand of chunks and of the index."""
        return self.files.store.caches

    def recent(self) -> StorageInfo:
        """As it was a moment ago."""
        with self._lock:
            last = self._last
        if last is not None and self.files.ambient.ticks_s() - last[0] < FRESH_S:
            return last[1]
        return self.inspect()
