"""Decoded parts at hand: Arrow files on the local disk, and the last used of them in memory."""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from blake3 import blake3

from trunkline.ambient import Ambient
from trunkline.errors import DataLoss, NotFound
from trunkline.storage.blobs import BlobStore
from trunkline.storage.cached import Cache, CacheFigures
from trunkline.storage.filesets.schema import SCHEMA, as_batch, depth_of
from trunkline.storage.ports import Part

log = logging.getLogger(__name__)

DEPTH = pa.field("depth", pa.uint16(), nullable=False)
CACHED = SCHEMA.append(DEPTH)
"""Rows as the cache keeps them: with the number of elements of each path, by which one level is found without reading
what lies below it."""
BRIEF = CACHED.remove(CACHED.get_field_index("pieces"))
"""What finding, listing and comparing need of a row: all but where its bytes lie, which is more than half of it."""

MEMORY_BYTES = 128 << 20
"""Of parts, what one process keeps in memory: the brief rows of about a million files."""

SHALLOW_BYTES = 16 << 20
"""Of the rows of parts that lie least deep, what one process keeps in memory beside that."""
SHALLOW_PART = 16
"""They are at most one of so many of their part's rows."""

_PLACES = pa.schema([CACHED.field("pieces")])
_SUM = 32
_FOOTER = 8 + 2 * _SUM
_LOOK_EVERY = 16


def with_depth(rows: pa.RecordBatch) -> pa.RecordBatch:
    """The rows with their depths."""
    return pa.RecordBatch.from_arrays([*rows.columns, pa.array(depth_of(rows.column("path")))], schema=CACHED)


def brief(rows: pa.RecordBatch) -> pa.RecordBatch:
    """The rows without their pieces."""
    return rows.select(BRIEF.names) if "pieces" in rows.schema.names else rows


class PartCache:
    """Parts of file sets, decoded. Safe between threads; processes may share the folder.

    folder: what it holds may be deleted at any time. limit_bytes: of disk; the parts used longest ago go first. A file
    has the brief rows, then the pieces, and ends with a sum over each and the digest of the part they are from. It is
    checked whenever that half is read; a file in which a bit has changed, or that a crash left half, counts as none.
    memory_bytes: of halves that were read and found right.
    """

    def __init__(
        self, blobs: BlobStore, folder: Path, limit_bytes: int, ambient: Ambient, memory_bytes: int = MEMORY_BYTES
    ) -> None:
        self._blobs, self.folder, self._limit, self._ambient = blobs, folder, limit_bytes, ambient
        self._memory: Cache[pa.RecordBatch] = Cache(memory_bytes, lambda rows: int(rows.nbytes), least=1)
        self._shallow: Cache[tuple[int, pa.RecordBatch]] = Cache(SHALLOW_BYTES, lambda kept: int(kept[1].nbytes))
        self._files: OrderedDict[str, int] = OrderedDict()
        self._used = self._hits = self._misses = self._mended = self._written = 0
        self._lock = threading.Lock()
        self.folder.mkdir(parents=True, exist_ok=True)
        for half in self.folder.glob(".*"):
            # Of a process that died; should it live, it does without.
            half.unlink(missing_ok=True)
        self._look()

    @property
    def figures(self) -> CacheFigures:
        """What it holds on disk. A hit is a part that was in memory or on disk."""
        return CacheFigures(self._used, self._limit, self._memory.hits + self._hits, self._misses, self._mended)

    @property
    def held_bytes(self) -> int:
        """What it holds in memory."""
        return self._memory.used + self._shallow.used

    def rows(self, part: Part) -> pa.RecordBatch:
        """A part's rows, as `CACHED`. Fetches and decodes it when it is not here, or not as it was written.

        Raises DataLoss when the part is gone or not what was sealed.
        """
        few, places = self._half(part, BRIEF), self._half(part, _PLACES)
        columns = {name: half.column(name) for half in (few, places) for name in half.schema.names}
        return pa.RecordBatch.from_arrays([columns[name] for name in CACHED.names], schema=CACHED)

    def brief(self, part: Part) -> pa.RecordBatch:
        """As `rows`, without the pieces, which are not read."""
        return self._half(part, BRIEF)

    def shallow(self, part: Part, depth: int) -> pa.RecordBatch:
        """As `brief`, where that saves reading them without those that lie deeper.

        They are few in a tree with many files to a directory, and so are still at hand when the others have gone.
        """
        deepest, rows = self._shallow.get(part.blob, lambda: _least_deep(self.brief(part)))
        return rows if depth <= deepest else self.brief(part)

    def _half(self, part: Part, wanted: pa.Schema) -> pa.RecordBatch:
        return self._memory.get((part.blob, wanted is BRIEF), lambda: self._load(part, wanted))

    def _load(self, part: Part, wanted: pa.Schema) -> pa.RecordBatch:
        path = self.folder / _file_name(part.blob)
        half = self._read(path, part, wanted)
        if half is not None:
            self._hits += 1
            return half
        self._misses += 1
        halves = self.fill(part, self._fetch(part))
        other = _PLACES if wanted is BRIEF else BRIEF
        if (part.blob, other is BRIEF) not in self._memory:
            self._memory.get((part.blob, other is BRIEF), lambda: halves[other])
        return halves[wanted]

    def fill(self, part: Part, rows: pa.RecordBatch) -> dict[pa.Schema, pa.RecordBatch]:
        """Write down a part's rows, which the caller has at hand, and keep those that lie least deep. Answers both
        halves."""
        rows = with_depth(rows)
        halves = {schema: _buffer(rows.select(schema.names), schema) for schema in (BRIEF, _PLACES)}
        path = self.folder / _file_name(part.blob)
        passing = path.with_name(f".{self._ambient.new_id()}")
        try:
            with passing.open("wb") as file:
                for data in halves.values():
                    file.write(data)
                file.write(halves[BRIEF].size.to_bytes(8, "little"))
                for data in halves.values():
                    file.write(_sum(part, data))
            passing.rename(path)
            self._admit(path.name, sum(data.size for data in halves.values()) + _FOOTER, written=True)
        except OSError:
            # A cache that cannot be written is only slow.
            passing.unlink(missing_ok=True)
        decoded = {schema: pa.ipc.open_file(data).get_batch(0) for schema, data in halves.items()}
        self._shallow.get(part.blob, lambda: _least_deep(decoded[BRIEF]))
        return decoded

    def drop(self, blob: str) -> None:
        """Forget a part, or what is none."""
        for half in (True, False):
            self._memory.drop((blob, half))
        self._shallow.drop(blob)
        self._forget(_file_name(blob))

    def _read(self, path: Path, part: Part, wanted: pa.Schema) -> pa.RecordBatch | None:
        """Half of a file; None, and the file is gone, where that is not what was written for this part."""
        try:
            with pa.OSFile(str(path)) as file:
                size = file.size()
                data, written = _half_of(file, size, wanted)
        except OSError:
            return None
        if data is None or written != _sum(part, data):
            log.warning("%s has changed on disk; the part is fetched anew", path)
            self._mended += 1
            self._forget(path.name)
            return None
        self._admit(path.name, size)
        reader = pa.ipc.open_file(data)
        # Another version of Trunkline may have kept other columns.
        return reader.get_batch(0) if reader.schema == wanted else None

    def _forget(self, name: str) -> None:
        with self._lock:
            self._used -= self._files.pop(name, 0)
            (self.folder / name).unlink(missing_ok=True)

    def _admit(self, name: str, size: int, *, written: bool = False) -> None:
        with self._lock:
            self._used += size - self._files.pop(name, 0)
            self._files[name] = size
            self._written += written
        if written and self._written % _LOOK_EVERY == 0:
            self._look()
        with self._lock:
            while self._used > self._limit and len(self._files) > 1:
                dropped, its_size = self._files.popitem(last=False)
                self._used -= its_size
                (self.folder / dropped).unlink(missing_ok=True)

    def _look(self) -> None:
        """See what is in the folder, which other processes fill and empty as well; theirs are the older ones."""
        found: list[tuple[float, str, int]] = []
        for entry in os.scandir(self.folder):
            try:
                if entry.name.endswith(".arrow"):
                    found.append((entry.stat().st_mtime, entry.name, entry.stat().st_size))
            except FileNotFoundError:
                continue
        with self._lock:
            known = self._files
            sizes = {name: size for _, name, size in found}
            others = [name for _, name, _ in sorted(found) if name not in known]
            names = [*others, *(name for name in known if name in sizes)]
            self._files = OrderedDict((name, sizes[name]) for name in names)
            self._used = sum(self._files.values())

    def check(self, part: Part) -> None:
        """Read a part from where it is stored. Raises DataLoss when it is gone or not what was sealed."""
        self._fetch(part)

    def _fetch(self, part: Part) -> pa.RecordBatch:
        try:
            data = self._blobs.get(part.blob)
        except NotFound:
            raise DataLoss(f"part {part.blob} of a file set is gone") from None
        if blake3(data).digest() != part.digest:
            raise DataLoss(f"part {part.blob} of a file set is damaged: its bytes have changed")
        try:
            rows = as_batch(pq.read_table(pa.BufferReader(data)).combine_chunks().cast(SCHEMA))
        except (pa.ArrowInvalid, OSError) as error:
            raise DataLoss(f"part {part.blob} of a file set cannot be read: {error}") from None
        if rows.num_rows != part.rows:
            raise DataLoss(f"part {part.blob} of a file set has {rows.num_rows} rows instead of {part.rows}")
        return rows


def _least_deep(rows: pa.RecordBatch) -> tuple[int, pa.RecordBatch]:
    """How deep the rows lie that lie least deep, as long as they are few, and these; -1: there are none so few."""
    depths = rows.column("depth").to_numpy()
    deepest = int(np.searchsorted(np.bincount(depths).cumsum(), len(depths) // SHALLOW_PART, side="right")) - 1
    return deepest, rows.take(pa.array(np.flatnonzero(depths <= deepest)))


def _file_name(blob: str) -> str:
    return blob.replace("/", "_") + ".arrow"


def _buffer(rows: pa.RecordBatch, schema: pa.Schema) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(rows)
    return sink.getvalue()


def _half_of(file: pa.NativeFile, size: int, wanted: pa.Schema) -> tuple[pa.Buffer | None, bytes]:
    """The bytes of a half, and the sum that was written with it; None where the file cannot be one of ours."""
    if size < _FOOTER:
        return None, b""
    file.seek(size - _FOOTER)
    footer = file.read(_FOOTER)
    middle, end = int.from_bytes(footer[:8], "little"), size - _FOOTER
    if middle > end:
        return None, b""
    first, last = (0, middle) if wanted is BRIEF else (middle, end)
    file.seek(first)
    return file.read_buffer(last - first), footer[8 : 8 + _SUM] if wanted is BRIEF else footer[8 + _SUM :]


def _sum(part: Part, data: pa.Buffer) -> bytes:
    return blake3(memoryview(data), key=part.digest).digest()
