"""All that it takes to run a datum of a past job again, somewhere else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.catalog.engine import Tx
from trunkline.catalog.work import jobs as job_rows
from trunkline.catalog.work.jobs import JobRow
from trunkline.errors import FailedPrecondition, NotFound
from trunkline.model.jobs import DatumState
from trunkline.model.names import Job
from trunkline.model.results import STATES
from trunkline.pfs.files import Files
from trunkline.pps.claims.handout import Handed, hand_again
from trunkline.pps.datums.listing import raw_id, table_of
from trunkline.pps.tables import JobTable, Tables, narrowed


@dataclass(frozen=True, slots=True)
class Replay:
    """A datum as the job that ran it handed it to a worker, and how it ended there. row: its row in that job."""

    handed: Handed
    row: int
    state: DatumState
    reason: str


def replay(files: Files, tables: Tables, job: Job, datum: str) -> Replay:
    """What a datum of a job ran, and on what: with the code and the commits of the job whose result it has.

    Raises NotFound, InvalidArgument, FailedPrecondition where that job is gone.
    """
    found = table_of(files, tables, job)
    table = found[1] if found is not None else None
    row = _row_of(table, datum) if table is not None else None
    if found is None or table is None or row is None:
        raise NotFound(f"datum {datum} not found in job {job.pipeline.name}@{job.id}")
    source = table.rows["source"][row].as_py()
    ran = found[0].job
    if source >= 0 and source != ran.seq:
        ran = files.catalog.read(lambda tx: _need(tx, source, job))
        other = table_of(files, tables, ran.job)
        table = other[1] if other is not None else table
        row = _row_of(table, datum)
        if row is None:
            raise FailedPrecondition(f"job {ran.job.id}, which ran datum {datum}, has no record of it any more")
    part = narrowed(table.datums.take(pa.array(np.array([row]))))
    records = table.records
    handed = files.catalog.read(lambda tx: hand_again(tx, ran, part, row, records))
    return Replay(handed, row, STATES[table.rows["state"][row].as_py()], table.rows["reason"][row].as_py())


def _row_of(table: JobTable, datum: str) -> int | None:
    ids = table.rows["id"].combine_chunks()
    row = int(pc.index(ids, pa.scalar(raw_id(datum), ids.type)).as_py())
    return row if row >= 0 else None


def _need(tx: Tx, seq: int, job: Job) -> JobRow:
    row = job_rows.get_job(tx, seq)
    if row is None:
        raise FailedPrecondition(
            f"the job that ran it was deleted; what job {job.pipeline.name}@{job.id} has is its result"
        )
    return row
