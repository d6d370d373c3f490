"""Which datums the workers of a job have in hand."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from trunkline.errors import TrunklineError
from trunkline.model.infos_pps import JobInfo, WorkerStatus
from trunkline.pfs.files import Files
from trunkline.pps.machine import need_job
from trunkline.pps.tables import JobTable, Tables, rows_at


def with_progress(files: Files, tables: Tables, info: JobInfo) -> JobInfo:
    """The job with the datums of its workers named; as it is where none has one, or the job has just gone."""
    if not any(worker.row is not None for worker in info.workers):
        return info
    try:
        row = files.catalog.read(lambda tx: need_job(tx, info.job))
        table = tables.load(row.datums) if row.datums is not None else None
    except TrunklineError:
        return info
    if table is None:
        return info
    return replace(info, workers=tuple(_named(table, worker) for worker in info.workers))


def _named(table: JobTable, worker: WorkerStatus) -> WorkerStatus:
    places = table.rows["place"].to_numpy()
    if worker.row is None or not (places == worker.row).any():
        return worker
    at = int(rows_at(table.rows, pa.array([worker.row]))[0])
    paths = tuple(f"{one.path}/" if one.is_dir and one.path != "/" else one.path for one in table.datums.datum(at))
    return replace(worker, datum=table.rows["id"][at].as_py().hex(), paths=paths)
