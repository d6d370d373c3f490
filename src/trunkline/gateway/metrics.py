"""Figures of this server for Prometheus, looked up when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from trunkline.pfs.collection.space import Space


class StorageMetrics(Collector):
    """What storage holds, and what collection did since the server was started."""

    def __init__(self, space: Space) -> None:
        self._space = space

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        info = self._space.recent()
        row, done = info.stored, info.collected
        gauges = {
            "logical_bytes": ("Bytes that commits say were written", row.logical_bytes),
            "unique_bytes": ("Bytes of chunks, equal content once", row.live_plain_bytes),
            "stored_bytes": ("Bytes of the blobs of live chunks", row.live_stored_bytes),
            "dedup_ratio": ("Logical by unique bytes", info.dedup_ratio),
            "compression_ratio": ("Unique by stored bytes", info.compression_ratio),
            "live_chunks": ("Chunks that are in use, or not known not to be", row.live),
            "condemned_chunks": ("Chunks that nothing names and that are to go", row.condemned),
            "condemned_bytes": ("Bytes of their blobs", row.condemned_stored_bytes),
            "damaged_chunks": ("Chunks whose blobs were found damaged", row.damaged),
            "doomed_blobs": ("Blobs to delete once no running read needs them", row.doomed_chunks + row.doomed_blobs),
            "filesets": ("Sealed file sets", row.filesets),
            "open_sessions": ("Write sessions that are open", row.open_sessions),
            "running_reads": ("Reads that run", info.running_reads),
        }
        for name, (words, value) in gauges.items():
            yield GaugeMetricFamily(f"trunkline_storage_{name}", words, value)
        counters = {
            "cycles": ("Collection cycles", done.cycles),
            "freed_chunks": ("Chunks freed", done.doomed),
            "freed_bytes": ("Bytes of blobs freed", done.doomed_bytes + done.leftover_bytes),
            "freed_filesets": ("File sets freed", done.filesets),
            "leftovers": ("Blobs of writers that never recorded them, freed", done.leftovers),
        }
        for name, (words, value) in counters.items():
            yield CounterMetricFamily(f"trunkline_collection_{name}", words, value)
        yield from self._caches()

    def _caches(self) -> Iterator[Metric]:
        found = self._space.caches()
        families: list[tuple[type[GaugeMetricFamily] | type[CounterMetricFamily], str, str]] = [
            (GaugeMetricFamily, "bytes", "Bytes that a cache holds: of chunks in memory, of the index on disk"),
            (GaugeMetricFamily, "limit_bytes", "Bytes that a cache may hold"),
            (CounterMetricFamily, "hits", "Reads that found what they needed in a cache"),
            (CounterMetricFamily, "misses", "Reads that did not"),
            (CounterMetricFamily, "mended", "Reads that found what a cache held changed, and fetched it anew"),
        ]
        for kind, name, words in families:
            family = kind(f"trunkline_cache_{name}", words, labels=["cache"])
            for cache, figures in found.items():
                family.add_metric([cache], getattr(figures, name))
            yield family
