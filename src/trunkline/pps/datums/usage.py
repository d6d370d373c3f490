"""What datums took: time, processor, memory and bytes; of a job which took the most, and what reuse saved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.catalog.work import jobs as job_rows
from trunkline.errors import InvalidArgument, NotFound
from trunkline.model.infos_pps import ProcessStats
from trunkline.model.jobs import DatumState
from trunkline.model.names import Job
from trunkline.model.plan import RowClass
from trunkline.model.results import STATES
from trunkline.pfs.files import Files
from trunkline.pps.datums.listing import raw_id, table_of
from trunkline.pps.machine import need_job
from trunkline.pps.tables import JobTable, Tables

SHOWN = 5
MOST = 1000
"""How many datums are named: if nobody says, and at most."""
REUSED = pa.array([int(RowClass.SKIP), int(RowClass.ADOPTED)], pa.int8())


@dataclass(frozen=True, slots=True)
class DatumUsage:
    """What one datum took when it ran, in this job or in the one whose result holds. paths: of its inputs.

    reason: why it did not succeed, or "".
    """

    datum: str
    paths: tuple[str, ...]
    state: DatumState
    stats: ProcessStats
    reason: str = ""
    tries: int = 0


@dataclass(frozen=True, slots=True)
class JobUsage:
    """What a job took so far. spent: summed over what it ran; saved: what `reused` datums took when they ran.

    slowest, largest: of the datums that it ran itself, those with the most time, and with the most bytes in and out.
    """

    spent: ProcessStats
    saved: ProcessStats
    reused: int
    slowest: tuple[DatumUsage, ...]
    largest: tuple[DatumUsage, ...]


def job_usage(files: Files, tables: Tables, job: Job, number: int = 0) -> JobUsage:
    """A job's sums and its extremes, `number` of each (0: `SHOWN`). Raises NotFound, InvalidArgument."""
    if not 0 <= number <= MOST:
        raise InvalidArgument(f"{number} datums cannot be named: between 1 and {MOST} can")
    found = table_of(files, tables, job)
    if found is None:
        spent = ProcessStats(**files.catalog.read(lambda tx: need_job(tx, job)).stats)
        return JobUsage(spent, ProcessStats(), 0, (), ())
    harvest, table, _ = found
    rows = table.rows
    reused = rows.filter(pc.is_in(rows["class"], value_set=REUSED))
    ran = pc.equal(rows["source"], harvest.job.seq).to_numpy(zero_copy_only=False)
    time = _sum(rows, "download_us", "process_us", "upload_us")
    size = _sum(rows, "download_bytes", "upload_bytes")
    return JobUsage(
        ProcessStats(**harvest.job.stats),
        _total(reused),
        reused.num_rows,
        _usages(table, _most(time, ran, number or SHOWN)),
        _usages(table, _most(size, ran, number or SHOWN)),
    )


def datum_usage(files: Files, tables: Tables, job: Job, datum: str) -> DatumUsage:
    """What one datum took. Raises NotFound, InvalidArgument."""
    found = table_of(files, tables, job)
    if found is not None:
        ids = found[1].rows["id"].combine_chunks()
        row = pc.index(ids, pa.scalar(raw_id(datum), ids.type)).as_py()
        if row >= 0:
            return _usages(found[1], np.array([row]))[0]
    raise NotFound(f"datum {datum} not found in job {job.pipeline.name}@{job.id}")


def _sum(rows: pa.Table, *names: str) -> np.ndarray:
    return np.asarray(np.sum([rows[name].to_numpy() for name in names], axis=0))


def _total(rows: pa.Table) -> ProcessStats:
    sums = {name: pc.sum(rows[name]).as_py() or 0 for name in job_rows.SUMS}
    return ProcessStats(**sums, **{name: pc.max(rows[name]).as_py() or 0 for name in job_rows.PEAKS})


def _most(values: np.ndarray, among: np.ndarray, number: int) -> np.ndarray:
    """The rows with the greatest values, greatest first; of equal ones the first."""
    rows = np.flatnonzero(among)
    if len(rows) > number:
        least = np.partition(values[rows], -number)[-number]
        rows = rows[values[rows] >= least]
    return rows[np.argsort(-values[rows], kind="stable")][:number]


def _usages(table: JobTable, rows: np.ndarray) -> tuple[DatumUsage, ...]:
    wanted = pa.array(rows, pa.int64())
    known = table.rows.take(wanted).to_pylist()
    elements = table.datums.take(wanted).datums(0, len(rows))
    return tuple(
        DatumUsage(
            one["id"].hex(),
            tuple(f"{e.path}/" if e.is_dir and e.path != "/" else e.path for e in datum),
            STATES[one["state"]],
            ProcessStats(**{name: one[name] for name in job_rows.STATS}),
            one["reason"],
            one["tries"],
        )
        for one, datum in zip(known, elements, strict=True)
    )
