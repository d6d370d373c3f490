"""Decoded parts on the local disk: Arrow files, mapped into memory, that cost a page of reading to search."""

from __future__ import annotations

import os
import shutil
import threading
from collections import OrderedDict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from blake3 import blake3

from trunkline.ambient import Ambient
from trunkline.errors import DataLoss, NotFound
from trunkline.storage.blobs import BlobStore
from trunkline.storage.filesets.schema import SCHEMA, as_batch, depth_of
from trunkline.storage.ports import Part

DEPTH = pa.field("depth", pa.uint16(), nullable=False)
CACHED = SCHEMA.append(DEPTH)
"""Rows as the cache keeps them: with the number of elements of each path, by which one level is found without reading
what lies below it."""

_MAPPED = 512
_MAPPED_BYTES = 256 << 20
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def with_depth(rows: pa.RecordBatch) -> pa.RecordBatch:
    """The rows with their depths."""
    return pa.RecordBatch.from_arrays([*rows.columns, pa.array(depth_of(rows.column("path")))], schema=CACHED)


class PartCache:
    """Parts of file sets, decoded. Safe between threads; processes may share the folder.

    folder: what it holds may be deleted at any time. limit_bytes: of disk; the parts used longest ago go first. Files
    are not synced: they are kept from one process to the next only while the machine stays up.
    """

    def __init__(self, blobs: BlobStore, folder: Path, limit_bytes: int, ambient: Ambient) -> None:

        self._blobs, self.folder, self._limit, self._ambient = blobs, folder, limit_bytes, ambient
        self._mapped: OrderedDict[str, pa.RecordBatch] = OrderedDict()
        self._files: OrderedDict[str, int] = OrderedDict()
        self._used = 0
        self._lock = threading.Lock()
        self._open_folder()

    def rows(self, part: Part) -> pa.RecordBatch:
        """A part's rows, as `CACHED`. Fetches and decodes it when it is not here.

        Raises DataLoss when the part is gone or not what was sealed.
        """
        with self._lock:
            rows = self._mapped.get(part.blob)
            if rows is not None:
                self._mapped.move_to_end(part.blob)
                self._files.move_to_end(_file_name(part))
                return rows
        path = self.folder / _file_name(part)
        rows = _map(path, part)
        if rows is None:
            return self.fill(part, self._fetch(part))
        return self._admit(part, rows, path.stat().st_size if path.exists() else 0)

    def fill(self, part: Part, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Keep a part's rows, which the caller has at hand."""
        rows = with_depth(rows)
        path = self.folder / _file_name(part)
        passing = path.with_name(f".{self._ambient.new_id()}")
        try:
            with pa.OSFile(str(passing), "wb") as sink, pa.ipc.new_file(sink, CACHED) as writer:
                writer.write_batch(rows)
            passing.rename(path)
        except OSError:
            # A cache that cannot be written is only slow.
            passing.unlink(missing_ok=True)
            return rows
        mapped = _map(path, part)
        return rows if mapped is None else self._admit(part, mapped, path.stat().st_size)

    def drop(self, blob: str) -> None:
        """Forget a part, or what is none."""
        name = _file_name_of(blob)
        with self._lock:
            self._mapped.pop(blob, None)
            self._used -= self._files.pop(name, 0)
            (self.folder / name).unlink(missing_ok=True)

    def _admit(self, part: Part, rows: pa.RecordBatch, size: int) -> pa.RecordBatch:
        name = _file_name(part)
        with self._lock:
            self._mapped[part.blob] = rows
            self._used += size - self._files.pop(name, 0)
            self._files[name] = size
            while len(self._mapped) > _MAPPED or (self._mapped_bytes() > _MAPPED_BYTES and len(self._mapped) > 1):
                self._mapped.popitem(last=False)
            while self._used > self._limit and len(self._files) > 1:
                dropped, its_size = self._files.popitem(last=False)
                self._used -= its_size
                self._mapped.pop(_blob_name(dropped), None)
                (self.folder / dropped).unlink(missing_ok=True)
        return rows

    def _mapped_bytes(self) -> int:
        return sum(self._files.get(_file_name_of(blob), 0) for blob in self._mapped)

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

    def _open_folder(self) -> None:
        boot = _BOOT.read_text().strip() if _BOOT.exists() else ""
        mark = self.folder / "boot"
        if not mark.exists() or mark.read_text() != boot or not boot:
            # After a crash of the machine a file may have its name and length, and zeros inside.
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True, exist_ok=True)
            mark.write_text(boot)
        found = [(entry.stat().st_atime, entry.name, entry.stat().st_size) for entry in os.scandir(self.folder)]
        for _, name, size in sorted(found):
            if name.startswith("."):
                # Half a file of a process that died; should it live, it does without.
                (self.folder / name).unlink(missing_ok=True)
            elif name.endswith(".arrow"):
                self._files[name] = size
                self._used += size


def _file_name(part: Part) -> str:
    return _file_name_of(part.blob)


def _file_name_of(blob: str) -> str:
    return blob.replace("/", "_") + ".arrow"


def _blob_name(file_name: str) -> str:
    return file_name.removesuffix(".arrow").replace("_", "/")


def _map(path: Path, part: Part) -> pa.RecordBatch | None:
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        if reader.num_record_batches != 1 or reader.schema != CACHED:
            return None
        rows = reader.get_batch(0)
    except (OSError, pa.ArrowInvalid):
        return None
    return rows if rows.num_rows == part.rows else None
