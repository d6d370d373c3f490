"""Datums of a job as people see them: listed by ID, inspected."""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.catalog import commits as commit_rows
from trunkline.catalog.engine import Tx
from trunkline.catalog.work import claims as claim_rows
from trunkline.catalog.work import jobs as job_rows
from trunkline.catalog.work.jobs import JobRow
from trunkline.errors import InvalidArgument, NotFound
from trunkline.model.datums import Element as DatumElement
from trunkline.model.infos_pps import DatumFile, DatumInfo, ProcessStats
from trunkline.model.jobs import DatumState
from trunkline.model.names import Commit, Job
from trunkline.model.results import CODE, STATES
from trunkline.pfs.files import Files
from trunkline.pps.assemble import Harvest, full_table, gather
from trunkline.pps.machine import need_job
from trunkline.pps.tables import JobTable, Tables
from trunkline.pps.tables import replace as with_columns

MOST = 1000
"""How many datums one page has at most."""

BAD = pa.array([CODE[DatumState.FAILED], CODE[DatumState.RECOVERED]], pa.int8())


def list_datums(
    files: Files,
    tables: Tables,
    job: Job,
    *,
    states: Collection[DatumState] = (),
    after: str = "",
    number: int = MOST,
    reverse: bool = False,
) -> list[DatumInfo]:
    """A page of a job's datums, by ID. after: the ID to go on from, exclusive. None while the job is not planned.

    Raises NotFound, InvalidArgument.
    """
    found = table_of(files, tables, job)
    if found is None:
        return []
    harvest, table, busy = found
    rows = table.rows
    ids = rows["id"].combine_chunks()
    order = by_id(ids, raw_id(after) if after else None, reverse=reverse)
    if states:
        wanted = pa.array([CODE[state] for state in states], pa.int8())
        order = order[pc.is_in(rows["state"].combine_chunks().take(pa.array(order)), value_set=wanted).to_numpy(False)]
    return _infos(files, harvest, table, order[: min(number or MOST, MOST)], busy)


@dataclass(frozen=True, slots=True)
class Failure:
    """A datum that failed, or that err_cmd recovered: why, and how often it was tried."""

    datum: str
    state: DatumState
    reason: str
    tries: int


def list_failures(
    files: Files, tables: Tables, job: Job, number: int = 0, marker: str = "", *, reverse: bool = False
) -> Iterator[Failure]:
    """A job's datums that did not succeed, by ID.

    number: at most so many; 0: all. marker: go on behind the datum of that ID. Raises InvalidArgument, NotFound.
    """
    if number < 0:
        raise InvalidArgument(f"number must be 0 (all) or more, not {number}")
    after = raw_id(marker) if marker else None
    found = table_of(files, tables, job)
    if found is None:
        return
    columns = found[1].rows.select(["id", "state", "reason", "tries"])
    bad = columns.filter(pc.is_in(columns["state"], value_set=BAD))
    for row in by_id(bad["id"].combine_chunks(), after, reverse=reverse)[: number or None].tolist():
        one = {name: bad[name][row].as_py() for name in bad.column_names}
        yield Failure(one["id"].hex(), STATES[one["state"]], one["reason"], one["tries"])


def inspect_datum(files: Files, tables: Tables, job: Job, datum: str) -> DatumInfo:
    """One datum. Raises NotFound, InvalidArgument."""
    found = table_of(files, tables, job)
    if found is not None:
        harvest, table, busy = found
        ids = table.rows["id"].combine_chunks()
        row = pc.index(ids, pa.scalar(raw_id(datum), ids.type)).as_py()
        if row >= 0:
            return _infos(files, harvest, table, np.array([row], np.int64), busy)[0]
    raise NotFound(f"datum {datum} not found in job {job.pipeline.name}@{job.id}")


def by_id(ids: pa.Array, after: bytes | None = None, *, reverse: bool = False) -> np.ndarray:
    """Rows in the order of their IDs. after: only those beyond this ID (before it, with `reverse`)."""
    order = np.asarray(pc.sort_indices(ids.cast(pa.binary())).to_numpy(), np.int64)
    if after is not None:
        search = bisect.bisect_left if reverse else bisect.bisect_right
        at = search(order, after, key=lambda row: ids[int(row)].as_py())
        order = order[:at] if reverse else order[at:]
    return order[::-1] if reverse else order


def raw_id(datum: str) -> bytes:
    """The 32 bytes of a datum's ID. Raises InvalidArgument."""
    try:
        raw = bytes.fromhex(datum)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise InvalidArgument(f'"{datum}" is not the ID of a datum: 64 hex digits are expected')
    return raw


def table_of(files: Files, tables: Tables, job: Job) -> tuple[Harvest, JobTable, set[int]] | None:
    """A job's table with all that is known of its rows by now, and the positions in progress; None: it has none yet."""

    def look(tx: Tx) -> tuple[Harvest | None, set[int]]:
        row = need_job(tx, job)
        rows = (claim.in_hand for claim in claim_rows.claims_of_job(tx, row.seq))
        return gather(tx, row.seq), {one for one in rows if one is not None}

    harvest, busy = files.catalog.read(look)
    if harvest is None or harvest.job.datums is None:
        return None
    table = full_table(tables, harvest)
    if busy:
        places = table.rows["place"].combine_chunks()
        unknown = pc.equal(table.rows["state"].combine_chunks(), CODE[DatumState.UNKNOWN])
        at_work = pc.and_(pc.is_in(places, value_set=pa.array(sorted(busy), pa.int64())), unknown)
        starting = pa.scalar(CODE[DatumState.STARTING], pa.int8())
        states = pc.if_else(at_work, starting, table.rows["state"].combine_chunks())
        table = replace(table, rows=with_columns(table.rows, state=states))
    return harvest, table, busy


def _infos(files: Files, harvest: Harvest, table: JobTable, rows: np.ndarray, busy: set[int]) -> list[DatumInfo]:
    page = table.rows.take(pa.array(rows)).to_pylist()
    elements = table.datums.take(pa.array(rows)).datums(0, len(rows))
    sources = {one["source"] for one in page if one["source"] >= 0}

    def look(tx: Tx) -> tuple[dict[int, JobRow], dict[Commit, int | None]]:
        commits = {Commit(e.slot.source, e.slot.commit) for datum in elements for e in datum}
        finished = {commit: commit_rows.find_commit(tx, commit) for commit in commits}
        return job_rows.get_jobs(tx, sources), {key: row.finished_us for key, row in finished.items() if row}

    jobs, committed = files.catalog.read(look)
    return [
        DatumInfo(
            job=harvest.job.job,
            id=one["id"].hex(),
            index=int(row),
            state=STATES[one["state"]],
            stats=ProcessStats(*(one[name] for name in job_rows.STATS)),
            files=tuple(file_of(element, committed) for element in datum),
            reason=one["reason"] or one["why"],
            image=one["image"],
            tries=one["tries"],
            code_is_older=bool(one["code"]) and one["code"] != harvest.ran[1],
            ran_in=jobs[one["source"]].job if one["source"] in jobs else None,
        )
        for row, one, datum in zip(rows.tolist(), page, elements, strict=True)
    ]


def file_of(element: DatumElement, committed: Mapping[Commit, int | None]) -> DatumFile:
    """A file of a datum. committed: when commits were finished."""
    commit = Commit(element.slot.source, element.slot.commit)
    path = f"{element.path}/" if element.is_dir and element.path != "/" else element.path
    return DatumFile(element.slot.name, commit, path, element.size_bytes, element.hash, committed.get(commit))
