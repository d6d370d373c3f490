"""Datum tables with what a job decided and recorded of each row; kept as two files in a file set of their own.

The table of `model.datums` says what each datum is made of, in the order of running. Beside it lies a plain table, row
by row: what is to be done about the datum, and, once it has run or was taken over, what is recorded of it.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.catalog.work.claims import ReportRow
from trunkline.errors import DataLoss
from trunkline.model.datums import ID, DatumTable
from trunkline.model.jobs import DatumState
from trunkline.model.plan import RowClass
from trunkline.model.results import CODE, IMAGE, RESULTS, completed, from_ipc, results, to_ipc
from trunkline.pfs.files import Files
from trunkline.pfs.sessions import Session
from trunkline.storage import Sealed

REPORTED = tuple(pa.field(each.name, each.type) for each in RESULTS if each.name != "row")
ROWS = pa.schema(
    [
        pa.field("id", ID),
        pa.field("class", pa.int8()),  # a RowClass
        pa.field("why", pa.string()),  # why it is of that class
        pa.field("place", pa.int64()),  # position in the order of running; -1: it does not run here
        pa.field("source", pa.int64()),  # the job (seq) that ran it; -1: none yet
        pa.field("image", pa.string()),  # digest of the image it ran in; "": the host's own files
        pa.field("code", pa.string()),  # digest of image, cmd, stdin and env that it ran with
        pa.field("index", pa.int64()),  # its row in the table of the job that ran it; -1: it has not run
        *REPORTED,
    ]
)
RECORDED = ("source", "image", "code", "index", *(each.name for each in REPORTED))
"""Columns of what is recorded of a datum; they go with its output from job to job."""

DATUMS_PATH = "/datums"
ROWS_PATH = "/rows"
RECORDS_PATH = "/records"
CACHED = 4
_FILE = b"ARROW1"  # what version 1 begins with


@dataclass(frozen=True, slots=True)
class JobTable:
    """A job's datums, and what is known of each. rows: as `ROWS`.

    records: for inputs that are meta repos, the file sets that workers read, by the seq of the input's commit.
    """

    datums: DatumTable
    rows: pa.Table
    records: Mapping[int, tuple[str, ...]] = field(default_factory=dict)


def fresh(ids: pa.Array) -> pa.Table:
    """Rows of which nothing is decided or recorded: all are to run."""
    count = len(ids)
    none = _filled(-1, pa.int64(), count)
    columns = {"id": ids.cast(ID), "place": none, "source": none, "index": none}
    for each in ROWS:
        if each.name not in columns:
            columns[each.name] = _filled("" if pa.types.is_string(each.type) else 0, each.type, count)
    return pa.table([columns[name] for name in ROWS.names], schema=ROWS)


def _filled(value: object, kind: pa.DataType, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, kind), count)


def replace(table: pa.Table, **columns: pa.Array | pa.ChunkedArray) -> pa.Table:
    """The table with some columns exchanged."""
    for name, column in columns.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, column)
    return table


def scatter(table: pa.Table, rows: np.ndarray, values: pa.Table) -> pa.Table:
    """The table with the columns of `values` put into some rows: values' i-th row into rows[i]."""
    if not len(rows):
        return table
    index = np.arange(table.num_rows)
    index[rows] = table.num_rows + np.arange(len(rows))
    taken = pa.array(index)
    for name in values.column_names:
        both = pa.chunked_array([*table[name].chunks, *values[name].cast(table[name].type).chunks])
        table = replace(table, **{name: both.take(taken)})
    return table


def place_next(classes: np.ndarray, placed: int, places: np.ndarray) -> np.ndarray:
    """Positions for the rows that are to run and have none yet, from `placed` on, in the order of the table."""
    fresh = np.flatnonzero((classes == RowClass.RUN) & (places < 0))
    after = places.copy()
    after[fresh] = placed + np.arange(len(fresh))
    return after


def with_reports(rows: pa.Table, reports: Sequence[ReportRow], job: int, gen: int, ran: tuple[str, str]) -> pa.Table:
    """The rows with what was reported of them. ran: image and code digest that this job ran them with."""
    mine = [_with_image(from_ipc(one.results), ran[0]) for one in reports if one.gen == gen]
    if not mine:
        return rows
    told = pa.concat_tables(mine)
    where = rows_at(rows, told["row"].combine_chunks())
    values = told.drop_columns(["row"])
    for name, value in (("source", job), ("code", ran[1])):
        values = values.append_column(name, _filled(value, ROWS.field(name).type, told.num_rows))
    values = values.append_column("index", pa.array(where, pa.int64()))
    return scatter(rows, where, values)


def _with_image(told: pa.Table, image: str) -> pa.Table:
    """A report with the image that its datums ran in: the job's, if it names none."""
    if IMAGE in told.column_names:
        return told.select([*(each.name for each in RESULTS), IMAGE])
    columns = told.select([each.name for each in RESULTS])
    return columns.append_column(IMAGE, _filled(image, pa.string(), told.num_rows))


def rows_at(table: pa.Table, positions: pa.Array) -> np.ndarray:
    """The table's rows at these positions."""
    places = table["place"].to_numpy()
    order = np.argsort(places, kind="stable")
    found = order[np.searchsorted(places[order], positions.to_numpy(zero_copy_only=False))]
    return np.asarray(found, np.int64)


def slice_of(table: JobTable, first: int, last: int) -> DatumTable:
    """The datums at positions [first, last), in that order, with no more elements than theirs."""
    places = table.rows["place"].to_numpy()
    rows = np.flatnonzero((places >= first) & (places < last))
    return narrowed(table.datums.take(pa.array(rows[np.argsort(places[rows], kind="stable")])))


def narrowed(datums: DatumTable) -> DatumTable:
    """The same datums, with only the elements that they are made of."""
    used, inverse = np.unique(datums.rows.flatten().to_numpy(), return_inverse=True)
    lengths = pc.list_value_length(datums.rows).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    rows = pa.ListArray.from_arrays(pa.array(offsets), pa.array(inverse.astype(np.int32)))
    return DatumTable(datums.slots, datums.elements.take(pa.array(used)), rows, datums.project)


def failed_result(position: int, reason: str) -> bytes:
    """The record of a datum that was set aside, as a report of one row."""
    return to_ipc(results([{"row": position, "state": CODE[DatumState.FAILED], "reason": reason}]))


def served_result(position: int) -> bytes:
    """The record of a service's datum whose code is ended, as a report of one row."""
    return to_ipc(results([{"row": position, "state": CODE[DatumState.SUCCESS], "reason": ""}]))


def encode(table: pa.Table) -> bytes:
    """A table as the file that is kept."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table.combine_chunks())
    return bytes(sink.getvalue())


def decode(data: bytes) -> pa.Table:
    """The reverse of `encode`; of what rows were written without, nothing is known. Raises DataLoss."""
    try:
        # A file names its columns twice, so that not even one row is small enough to stay inside the file set.
        reader = (pa.ipc.open_file if data.startswith(_FILE) else pa.ipc.open_stream)(pa.BufferReader(data))
        return completed(reader.read_all()).cast(ROWS)
    except ValueError as error:  # ArrowInvalid is one, and so is a column too few or too many
        raise DataLoss(f"its rows are no table ({error})") from None


@dataclass
class Tables:
    """Datum tables by their file sets, the last few kept in memory: claims ask for slices of the same one."""

    files: Files
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _cache: OrderedDict[tuple[str, ...], JobTable] = field(default_factory=OrderedDict)

    def save(self, session: Session, table: JobTable) -> list[Sealed]:
        """Make a table durable in a session; what it returns is to be adopted."""
        writer = self.files.store.writer(session)
        writer.put(DATUMS_PATH, table.datums.to_bytes(), datum="", append=False)
        writer.put(ROWS_PATH, encode(table.rows), datum="", append=False)
        if table.records:
            writer.put(RECORDS_PATH, json.dumps(table.records).encode(), datum="", append=False)
        sealed = list(writer.seal())
        self._keep(tuple(one.id for one in sealed), table)
        return sealed

    def load(self, filesets: tuple[str, ...]) -> JobTable:
        """A table by its file sets. Raises Aborted when it was deleted meanwhile, DataLoss."""
        with self._lock:
            known = self._cache.get(filesets)
            if known is not None:
                self._cache.move_to_end(filesets)
                return known
        try:
            table = self._read(filesets)
        except DataLoss as error:
            raise DataLoss(f"the datum table in file set {filesets[0]} cannot be read: {error}") from None
        self._keep(filesets, table)
        return table

    def _read(self, filesets: tuple[str, ...]) -> JobTable:
        with self.files.reading.begin():
            view = self.files.view(filesets)
            parts = [view.file(path) for path in (DATUMS_PATH, ROWS_PATH)]
            if parts[0] is None or parts[1] is None:
                raise DataLoss("it is incomplete")
            more = view.file(RECORDS_PATH)
            records = json.loads(more.bytes()) if more is not None else {}
            return JobTable(
                DatumTable.from_bytes(parts[0].bytes()),
                decode(parts[1].bytes()),
                {int(commit): tuple(filesets) for commit, filesets in records.items()},
            )

    def _keep(self, filesets: tuple[str, ...], table: JobTable) -> None:
        with self._lock:
            self._cache[filesets] = table
            while len(self._cache) > CACHED:
                self._cache.popitem(last=False)
