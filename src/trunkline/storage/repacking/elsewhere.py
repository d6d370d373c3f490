"""Rows of another store: the same content, in chunks that this store has by the same hashes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from blake3 import blake3

from trunkline.errors import DataLoss
from trunkline.storage.filesets.schema import PIECE, PIECES, as_batch, joined, replace, truths
from trunkline.storage.ports import Part
from trunkline.storage.writing.reuse import Known


def rows_of_part(part: Part, data: bytes) -> pa.RecordBatch:
    """The rows of a part's bytes. Raises DataLoss when they are not what was sealed."""
    if blake3(data).digest() != part.digest:
        raise DataLoss(f"part {part.blob} is damaged: its bytes are not those that were sealed")
    try:
        rows = as_batch(joined(pq.read_table(pa.BufferReader(data)).to_batches()))
        rows.validate(full=True)
        paths = rows.column("path")
        in_order = pc.all(pc.less_equal(paths.slice(0, max(len(paths) - 1, 0)), paths.slice(1))).as_py()
    except (pa.ArrowException, KeyError, OSError) as error:
        raise DataLoss(f"part {part.blob} is damaged: {error}") from None
    if in_order is False:
        raise DataLoss(f"part {part.blob} is damaged: its rows are not in order")
    return rows


def settled(rows: pa.RecordBatch, known: Known, shift: int) -> pa.RecordBatch:
    """The rows as this store keeps them: chunks in the generations that `known` says, commits `shift` later.

    Raises DataLoss for a chunk that is not known.
    """
    since = rows.column("since").to_numpy()
    rows = replace(rows, since=pa.array(np.where(since > 0, since + shift, 0)))
    column = rows.column("pieces")
    values = column.flatten()
    stored = truths(values.field("chunk").is_valid())
    if not stored.any():
        return rows
    chunks = values.field("chunk").filter(pa.array(stored)).dictionary_encode()
    names = chunks.dictionary.to_pylist()
    found = known(names)
    lacking = next((name for name in names if name not in found), None)
    if lacking is not None:
        raise DataLoss(f"chunk {lacking.hex()} is needed, and did not come")
    gens = values.field("gen").to_numpy().copy()
    gens[stored] = np.array([found[name] for name in names], dtype=np.int64)[chunks.indices.to_numpy()]
    arrays = [pa.array(gens) if field.name == "gen" else values.field(field.name) for field in PIECE]
    counts = np.concatenate(([0], np.cumsum(column.value_lengths().to_numpy()))).astype(np.int32)
    pieces = pa.StructArray.from_arrays(arrays, fields=list(PIECE))
    return replace(rows, pieces=pa.ListArray.from_arrays(pa.array(counts), pieces, type=PIECES))
