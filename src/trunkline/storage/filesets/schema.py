"""The rows of a file set: docs/formats/fileset.md. Columns, operations, order, and what a hash covers.

Inside storage a path starts with "/", a directory's ends with "/", and the root is "/". Rows stand in record batches
with one array a column: plain buffers that NumPy sees without a copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

DEL, DELTREE, ADD, DIR = 1, 2, 3, 4
"""Operations, in the order that rows of one path stand in.

DEL hides the path, DELTREE (its path ends in "/") the path and all below it: in what lies under this file set, never in
the file set itself. ADD is content on top of what lies below. DIR is a directory's sums. The datum of a hide says whose
content it hides; null is everybody's.
"""

DIGEST = pa.binary(32)
PIECE = pa.struct(
    [
        pa.field("digest", DIGEST),  # null when the piece is the whole file: then it is the row's hash
        pa.field("length", pa.int64(), nullable=False),
        pa.field("chunk", DIGEST),  # null when the bytes are inline
        pa.field("gen", pa.int64(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("inline", pa.binary()),
    ]
)
PIECES = pa.list_(pa.field("piece", PIECE, nullable=False))
SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("op", pa.uint8(), nullable=False),
        pa.field("datum", pa.string()),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("hash", DIGEST),
        pa.field("pieces", PIECES, nullable=False),
        pa.field("since", pa.int64(), nullable=False),
        pa.field("files", pa.int64(), nullable=False),
    ],
    metadata={"trunkline.fileset": "1", "trunkline.hash": "blake3"},
)
"""size: plain bytes of a file, or of all files below a directory. files: 1 for ADD, the count below for DIR, else 0.
since: the catalog's sequence number of the commit that last changed the row; 0 in a layer."""

EMPTY_HASH = blake3(b"").digest()
_PIECES_TAG = b"trunkline pieces 1\n"
_DIRECTORY_TAG = b"trunkline directory 1\n"


def no_rows() -> pa.RecordBatch:
    """A file set of nothing."""
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in SCHEMA], schema=SCHEMA)


def hash_of_pieces(pieces: Sequence[tuple[bytes, int]]) -> bytes:
    """The hash of a file that is these pieces, (digest, length) each, none of them empty."""
    if not pieces:
        return EMPTY_HASH
    if len(pieces) == 1:
        return pieces[0][0]
    return blake3(_PIECES_TAG + b"".join(digest + length.to_bytes(8, "little") for digest, length in pieces)).digest()


def hash_of_directory(names: bytes | memoryview, hashes: bytes | memoryview) -> bytes:
    """The hash of a directory. names: each child's, a NUL after it, a directory's with its "/"; hashes: 32 bytes each.

    Both in the order of the children's paths.
    """
    return blake3(_DIRECTORY_TAG + blake3(names).digest() + blake3(hashes).digest()).digest()


def subtree_end(directory: str) -> str:
    """The least text above every path in this directory ("/a/" gives "/a0": "0" follows "/")."""
    return f"{directory[:-1]}0"


def stem_end(stem: str) -> str:
    """The least text above every text that starts with `stem`, which has a character that is not the last of all."""
    bare = stem.rstrip("\U0010ffff")
    after = ord(bare[-1]) + 1
    return bare[:-1] + chr(0xE000 if after == 0xD800 else after)  # what lies between are no characters


def numpy(column: pa.Array) -> Ints:
    """A column of numbers without nulls, seen by NumPy without a copy."""
    seen: Ints = column.to_numpy(zero_copy_only=True)
    return seen


def truths(column: pa.Array) -> Mask:
    """A column of truths for NumPy; null is false. The caller may change it."""
    filled = pc.fill_null(column, False) if column.null_count else column
    mask: Mask = filled.to_numpy(zero_copy_only=False)
    return mask


def ops(rows: pa.RecordBatch) -> npt.NDArray[np.uint8]:
    """The column `op`."""
    return column(rows, "op").astype(np.uint8, copy=False)


def column(rows: pa.RecordBatch, name: str) -> Ints:
    """A column of numbers."""
    return numpy(rows.column(name))


def fixed_bytes(digests: pa.Array) -> memoryview:
    """The bytes of a column of digests, one after the other, not copied. The column has no nulls."""
    return memoryview(digests.buffers()[1])[32 * digests.offset : 32 * (digests.offset + len(digests))]


def keep(rows: pa.RecordBatch, mask: Mask) -> pa.RecordBatch:
    """The rows where `mask` is true; the batch itself when that is all."""
    if mask.all():
        return rows
    return rows.take(pa.array(np.flatnonzero(mask)))


def replace(rows: pa.RecordBatch, **columns: pa.Array) -> pa.RecordBatch:
    """The rows with some columns exchanged."""
    arrays = [columns.get(field.name, rows.column(i)) for i, field in enumerate(rows.schema)]
    return pa.RecordBatch.from_arrays(arrays, schema=rows.schema)


def joined(batches: Iterable[pa.RecordBatch]) -> pa.RecordBatch:
    """All rows, one batch after the other."""
    some = [batch for batch in batches if batch.num_rows]
    if not some:
        return no_rows()
    return some[0] if len(some) == 1 else pa.concat_batches(some)


def as_batch(table: pa.Table | pa.RecordBatch) -> pa.RecordBatch:
    """Rows that came from outside, with the columns of `SCHEMA` in its order, in one batch."""
    batch = joined(table.to_batches()) if isinstance(table, pa.Table) else table
    return pa.RecordBatch.from_arrays([batch.column(field.name) for field in SCHEMA], schema=SCHEMA)


def in_order(rows: pa.RecordBatch) -> pa.RecordBatch:
    """The rows by path, operation and datum (everybody's first)."""
    order = pc.sort_indices(rows.column("path"))
    sorted_rows = rows.take(order)
    same = same_as_before(sorted_rows.column("path"))
    if not same.any():
        return sorted_rows
    tied = same.copy()
    tied[:-1] |= same[1:]
    where = np.flatnonzero(tied)
    part = sorted_rows.take(pa.array(where))
    group = np.cumsum(~same)[where]
    inner = np.lexsort((rank(part.column("datum")), ops(part), group))
    whole = np.arange(sorted_rows.num_rows)
    whole[where] = where[inner]
    if np.array_equal(whole[where], where):
        return sorted_rows
    return sorted_rows.take(pa.array(whole))


def rank(texts: pa.Array) -> Ints:
    """A number for each text, in the order of the texts; null is -1."""
    coded = texts.dictionary_encode()
    order = pc.sort_indices(coded.dictionary)
    place = np.empty(len(order), dtype=np.int64)
    place[order.to_numpy()] = np.arange(len(order))
    codes = pc.fill_null(coded.indices, -1).to_numpy()
    return np.where(codes < 0, -1, place[codes]) if len(place) else np.full(len(texts), -1, dtype=np.int64)


def same_as_before(column: pa.Array) -> Mask:
    """For each value, whether the one before it is equal. False for the first. The column has no nulls."""
    same = np.zeros(len(column), dtype=np.bool_)
    if len(column) > 1:
        same[1:] = pc.equal(column.slice(1), column.slice(0, len(column) - 1)).to_numpy(zero_copy_only=False)
    return same


def alone(paths: pa.Array) -> Mask:
    """Which of these paths, ascending, stand here once."""
    again = same_as_before(paths)
    twice = again.copy()
    twice[:-1] |= again[1:]
    return ~twice


def search(sorted_column: pa.Array, texts: pa.Array | str) -> Ints:
    """For each text, the position of the first value that is not below it."""
    wanted = pa.array([texts]) if isinstance(texts, str) else texts
    places: Ints = pc.search_sorted(sorted_column, wanted, side="left").to_numpy().astype(np.int64)
    return places


def under(paths: pa.Array, directories: pa.Array) -> Mask:
    """For each path (they ascend), whether one of the directories is it or is above it."""
    if not len(directories) or not len(paths):
        return np.zeros(len(paths), dtype=np.bool_)
    marks = np.zeros(len(paths) + 1, dtype=np.int64)
    ends = pc.binary_join_element_wise(pc.utf8_slice_codeunits(directories, 0, -1), "0", "")
    np.add.at(marks, search(paths, directories), 1)
    np.add.at(marks, search(paths, ends), -1)
    return np.cumsum(marks)[:-1] > 0


def among(paths: pa.Array, others: pa.Array) -> Mask:
    """For each path (they ascend), whether it is one of the others. Quick when the others are few."""
    found = np.zeros(len(paths), dtype=np.bool_)
    if not len(others) or not len(paths):
        return found
    first = search(paths, others)
    counts = pc.search_sorted(paths, others, side="right").to_numpy().astype(np.int64) - first
    for nth in range(int(counts.max())):
        found[first[counts > nth] + nth] = True
    return found


def interleaved(first: pa.RecordBatch, second: pa.RecordBatch) -> pa.RecordBatch:
    """The rows of both, each ascending by path, in order of path; of equal paths the first's rows come first."""
    if not first.num_rows or not second.num_rows:
        return first if first.num_rows else second
    one, other = np.arange(first.num_rows), np.arange(second.num_rows) + first.num_rows
    if len(other) <= len(one):
        at = pc.search_sorted(first.column("path"), second.column("path"), side="right").to_numpy()
        order = np.insert(one, at.astype(np.int64), other)
    else:
        order = np.insert(other, search(second.column("path"), first.column("path")), one)
    return pa.concat_batches([first, second]).take(pa.array(order))


def depth_of(paths: pa.Array) -> npt.NDArray[np.uint16]:
    """How many elements each path has: 0 for the root, 2 for "/a/b" and for "/a/b/"."""
    slashes = pc.count_substring(paths, "/").to_numpy()
    depths: npt.NDArray[np.uint16] = (slashes - truths(pc.ends_with(paths, "/"))).astype(np.uint16)
    return depths
