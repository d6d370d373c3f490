"""What is recorded of each datum that was run: the table that a worker reports and a job keeps.

Times are microseconds, sizes bytes. A row's position is its place in the job's order of running.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from trunkline.model.jobs import DatumState

STATES: tuple[DatumState, ...] = (
    DatumState.UNKNOWN,
    DatumState.STARTING,
    DatumState.SUCCESS,
    DatumState.SKIPPED,
    DatumState.FAILED,
    DatumState.RECOVERED,
)
"""States by their code in the column `state`; the codes are part of the format."""

CODE: dict[DatumState, int] = {state: code for code, state in enumerate(STATES)}

RESULTS = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),  # position
        pa.field("state", pa.int8(), nullable=False),  # a code of STATES: SUCCESS, FAILED or RECOVERED
        pa.field("tries", pa.int32(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),  # why it failed or was recovered, for people; else ""
        pa.field("started_us", pa.int64(), nullable=False),
        pa.field("download_us", pa.int64(), nullable=False),
        pa.field("process_us", pa.int64(), nullable=False),
        pa.field("upload_us", pa.int64(), nullable=False),
        pa.field("download_bytes", pa.int64(), nullable=False),
        pa.field("upload_bytes", pa.int64(), nullable=False),
        pa.field("cpu_us", pa.int64(), nullable=False),  # of all processes that its tries started; 0: not known
        pa.field("memory_bytes", pa.int64(), nullable=False),  # the most that one of them held; 0: not known
    ]
)

IMAGE = "image"
"""A column that a server adds to a report: the digest of the image it ran in, where that is none of the job's."""

LATER = ("cpu_us", "memory_bytes")
"""Columns that rows written before they were thought of do not have."""


def completed(table: pa.Table) -> pa.Table:
    """The table with the columns of `LATER` that it lacks, at its end: what is not known is 0."""
    for name in LATER:
        if name not in table.column_names:
            kind = RESULTS.field(name)
            zeros = pa.repeat(pa.scalar(0, kind.type), table.num_rows)
            table = table.append_column(kind, zeros)
    return table


def results(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as a table of `RESULTS`; columns that a row does not name are 0 or empty."""
    wanted = list(rows)
    columns = {}
    for each in RESULTS:
        empty: Any = "" if pa.types.is_string(each.type) else 0
        columns[each.name] = pa.array([row.get(each.name, empty) for row in wanted], each.type)
    return pa.table(columns, schema=RESULTS)


def to_ipc(table: pa.Table) -> bytes:
    """A table as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def from_ipc(data: bytes) -> pa.Table:
    """The reverse of `to_ipc`, completed. Raises pyarrow.ArrowInvalid when `data` is none."""
    with pa.ipc.open_stream(data) as reader:
        return completed(reader.read_all())
