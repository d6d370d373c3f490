"""Rows made durable: small sets inside the catalog's row, others as Parquet parts; and the list of their chunks."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from blake3 import blake3

from trunkline.ambient import Ambient
from trunkline.errors import DataLoss, NotFound
from trunkline.storage.blobs import BlobStore
from trunkline.storage.filesets.cache import PartCache
from trunkline.storage.filesets.schema import ADD, DELTREE, SCHEMA, column, fixed_bytes, joined, ops
from trunkline.storage.ports import ChunkKey, Part, Sealed, WriteSession

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

INLINE_BYTES = 32 << 10
PART_ROWS = 1 << 16
"""What is read, checked and kept at once: some 15 MB when decoded."""
GROUP_ROWS = 8192
LIST_ENTRY = 40

_BODY = b"TLF1"
_BODY_ROWS = 4096  # more rows than this are never worth trying to keep inline
_DAMAGED = "file set {0} is damaged: {1}"


class Sealer:
    """Writes file sets for one session."""

    def __init__(self, blobs: BlobStore, cache: PartCache, ambient: Ambient, session: WriteSession) -> None:
        self._blobs, self._cache, self._ambient, self.session = blobs, cache, ambient, session

    def seal(self, batches: Iterable[pa.RecordBatch], roots: tuple[bytes, bytes] | None = None) -> Sealed:
        """Make these rows, ascending, durable and known to the session. Holds one part's rows at a time.

        roots: for a run, the hash of the root directory under it, and with it. Raises ResourceExhausted when there is
        no room; parts written until then are leftovers for the sweep.
        """
        sealed = self._written(batches)
        if roots is not None:
            sealed = msgspec.structs.replace(sealed, run=True, over=roots[0], root=roots[1])
        self.session.seal([sealed])
        return sealed

    def _written(self, batches: Iterable[pa.RecordBatch]) -> Sealed:
        name = self._ambient.new_id()
        parts: list[Part] = []
        chunks: list[bytes] = []
        rows = size = 0
        body: bytes | None = None
        for batch, last in _in_parts(batches):
            rows += batch.num_rows
            size += int(column(batch, "size")[ops(batch) == ADD].sum())
            chunks.append(_chunks_of(batch))
            body = inline_body(batch) if last and not parts else None
            if body is None and batch.num_rows:
                parts.append(self._part(f"parts/{name[:2]}/{name}-{len(parts)}.{self.session.gen}", batch))
        listed = chunk_list(chunks)
        inline = len(listed) <= INLINE_BYTES
        blob = None if inline else f"lists/{name[:2]}/{name}.{self.session.gen}"
        if blob is not None:
            self._blobs.put(blob, listed)
        return Sealed(
            id=name,
            rows=rows,
            size_bytes=size,
            body=body,
            parts=tuple(parts),
            chunks=listed if inline else None,
            chunks_blob=blob,
            chunks_digest=blake3(listed).digest(),
        )

    def _part(self, blob: str, rows: pa.RecordBatch) -> Part:
        data = parquet(rows)
        self._blobs.put(blob, memoryview(data))
        paths = rows.column("path")
        digest = blake3(data).digest()
        trees = int((ops(rows) == DELTREE).sum())
        part = Part(blob, rows.num_rows, paths[0].as_py(), paths[-1].as_py(), len(data), digest, trees)
        self._cache.fill(part, rows)
        return part


def _in_parts(batches: Iterable[pa.RecordBatch]) -> Iterable[tuple[pa.RecordBatch, bool]]:
    """Runs of at most PART_ROWS rows, and whether it is the last. At least one, perhaps of no rows.

    Rows of one path never lie in two parts.
    """
    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        waiting.append(batch)
        count += batch.num_rows
        while count > PART_ROWS:
            rows = joined(waiting)
            end = _before_path_changes(rows.column("path"))
            if end == rows.num_rows:
                break
            yield rows.slice(0, end), False
            waiting, count = [rows.slice(end)], rows.num_rows - end
    yield joined(waiting), True


def _before_path_changes(paths: pa.Array) -> int:
    """Where to end a part: the first row of the path that stands at PART_ROWS, or after that path if it fills all."""
    start = int(pc.search_sorted(paths, paths[PART_ROWS], side="left").as_py())
    return start or int(pc.search_sorted(paths, paths[PART_ROWS], side="right").as_py())


def parquet(rows: pa.RecordBatch) -> pa.Buffer:
    """A part's bytes: Parquet, zstd level 1, groups of 8192 rows, with statistics and an index of pages for paths."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.Table.from_batches([rows], SCHEMA),
        sink,
        row_group_size=GROUP_ROWS,
        compression="zstd",
        compression_level=1,
        use_dictionary=["datum", "pieces.piece.chunk", "pieces.piece.gen", "op", "since", "files"],
        column_encoding={"path": "DELTA_BYTE_ARRAY"},
        write_statistics=["path"],
        write_page_index=True,
        store_schema=True,
    )
    return sink.getvalue()


def inline_body(rows: pa.RecordBatch) -> bytes | None:
    """The rows as bytes for a catalog row; None when they are more than INLINE_BYTES. Of no rows, no bytes are left."""
    if not rows.num_rows:
        return b""
    if rows.num_rows > _BODY_ROWS:
        return None
    # A slice would carry its parent's buffers.
    own = pa.concat_batches([rows, rows.slice(0, 0)])
    body = _BODY + zstd.compress(own.serialize().to_pybytes(), level=1)
    return body if len(body) <= INLINE_BYTES else None


def rows_of_body(sealed: Sealed) -> pa.RecordBatch:
    """The rows of a file set that has a body. Raises DataLoss when it is none of ours."""
    body = sealed.body or b""
    try:
        if body[:4] != _BODY:
            raise DataLoss(_DAMAGED.format(sealed.id, "its rows do not start as they should"))
        rows = pa.ipc.read_record_batch(pa.py_buffer(zstd.decompress(body[4:])), SCHEMA)
        rows.validate(full=True)
    except (zstd.ZstdError, pa.ArrowInvalid, OSError) as error:
        raise DataLoss(_DAMAGED.format(sealed.id, error)) from None
    return rows


def _chunks_of(rows: pa.RecordBatch) -> bytes:
    """The distinct incarnations in the rows' pieces, as entries of a chunk list, in no order."""
    pieces = rows.column("pieces").flatten()
    stored = pieces.filter(pieces.field("chunk").is_valid())
    if not len(stored):
        return b""
    hashes = stored.field("chunk").dictionary_encode()
    gens, gen_of = np.unique(stored.field("gen").to_numpy(), return_inverse=True)
    pairs = np.unique(hashes.indices.to_numpy().astype(np.int64) * len(gens) + gen_of)
    entries = np.empty((len(pairs), LIST_ENTRY), dtype=np.uint8)
    names = np.frombuffer(fixed_bytes(hashes.dictionary), dtype=np.uint8).reshape(-1, 32)
    entries[:, :32] = names[pairs // len(gens)]
    entries[:, 32:] = gens[pairs % len(gens)].astype(">u8").view(np.uint8).reshape(-1, 8)
    return entries.tobytes()


def chunk_list(parts: Iterable[bytes]) -> bytes:
    """The distinct incarnations of all parts, ascending: 32 bytes of hash, 8 of generation, big-endian."""
    entries = {part[at : at + LIST_ENTRY] for part in parts for at in range(0, len(part), LIST_ENTRY)}
    return b"".join(sorted(entries))


def read_chunk_list(blobs: BlobStore, sealed: Sealed) -> bytes:
    """The chunk list as `chunk_list` gave it. Raises DataLoss when it is missing or damaged: then free nothing."""
    listed = sealed.chunks
    if listed is None:
        try:
            listed = blobs.get(sealed.chunks_blob or "")
        except NotFound:
            raise DataLoss(_DAMAGED.format(sealed.id, f"its chunk list {sealed.chunks_blob} is gone")) from None
    if blake3(listed).digest() != sealed.chunks_digest or len(listed) % LIST_ENTRY:
        raise DataLoss(_DAMAGED.format(sealed.id, "its chunk list has changed"))
    return listed


def keys_of_list(listed: bytes) -> frozenset[ChunkKey]:
    """The keys in a chunk list."""
    ends = range(0, len(listed), LIST_ENTRY)
    return frozenset(ChunkKey(listed[at : at + 32], int.from_bytes(listed[at + 32 : at + 40], "big")) for at in ends)
