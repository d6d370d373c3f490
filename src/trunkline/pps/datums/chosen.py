"""Datums of a job chosen by the files they are made of: for their logs, and to be run again."""

from __future__ import annotations

import base64
import binascii
import contextlib
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.errors import FailedPrecondition, NotFound
from trunkline.model.infos_pps import InputFile, LogLine
from trunkline.model.jobs import DatumState
from trunkline.model.names import Job, Pipeline
from trunkline.model.results import CODE
from trunkline.pfs.files import Files
from trunkline.pps.claims import restart_rows
from trunkline.pps.datums.listing import raw_id, table_of
from trunkline.pps.machine import need_job
from trunkline.pps.tables import JobTable, Tables

ID_DIGITS = 64
MOST_FILES = 64
"""So many files of a datum are told with each line that it printed."""


def matching(table: JobTable, filters: Sequence[str]) -> np.ndarray:
    """Which rows have, for each filter, an element with that path or content hash (hex or base64)."""
    datums = table.datums
    lengths = pc.list_value_length(datums.rows).to_numpy(zero_copy_only=False)
    owners = np.repeat(np.arange(len(datums)), lengths)
    found = np.ones(len(datums), bool)
    for text in filters:
        wanted = pc.equal(datums.elements["path"], text.rstrip("/") or "/")
        for digest in _digests(text):
            wanted = pc.or_(wanted, pc.equal(datums.elements["hash"], pa.scalar(digest, pa.binary())))
        hits = wanted.combine_chunks().take(datums.rows.flatten()).to_numpy(zero_copy_only=False)
        found &= np.bincount(owners[hits], minlength=len(datums)) > 0
    return found


def _digests(text: str) -> list[bytes]:
    found = []
    with contextlib.suppress(ValueError):
        found.append(bytes.fromhex(text))
    with contextlib.suppress(binascii.Error, ValueError):
        found.append(base64.b64decode(text, validate=True))
    return [one for one in found if len(one) == 32]


def matching_ids(files: Files, tables: Tables, job: Job, filters: Sequence[str]) -> frozenset[str]:
    """IDs of the datums that match filters as `matching` has them, for logs. Raises NotFound."""
    found = table_of(files, tables, job)
    if found is None:
        return frozenset()
    rows = np.flatnonzero(matching(found[1], filters))
    return frozenset(one.hex() for one in found[1].rows["id"].take(pa.array(rows)).to_pylist())


def with_inputs(
    files: Files, tables: Tables, lines: Sequence[LogLine], filters: Sequence[str] = ()
) -> tuple[LogLine, ...]:
    """Lines of logs with the files of the datums they are about; with `filters` only those of datums that match."""
    by_job: dict[Job, set[str]] = {}
    for line in lines:
        if line.datum and line.job:
            by_job.setdefault(Job(line.pipeline, line.job), set()).add(line.datum)
    known: dict[tuple[Pipeline, str, str], tuple[InputFile, ...]] = {}
    for job, ids in by_job.items():
        known |= _inputs(files, tables, job, ids, filters)
    return tuple(
        replace(line, inputs=known.get((line.pipeline, line.job, line.datum), ()))
        for line in lines
        if not filters or (line.pipeline, line.job, line.datum) in known
    )


def _inputs(
    files: Files, tables: Tables, job: Job, ids: Collection[str], filters: Sequence[str]
) -> dict[tuple[Pipeline, str, str], tuple[InputFile, ...]]:
    """The first files of some datums of a job, of those that match the filters; none when the job has gone."""
    try:
        found = table_of(files, tables, job)
    except NotFound:
        found = None
    if found is None:
        return {}
    table = found[1]
    column = table.rows["id"].combine_chunks()
    wanted = pa.array([raw_id(one) for one in ids if len(one) == ID_DIGITS], column.type)
    chosen = pc.is_in(column, value_set=wanted).to_numpy(zero_copy_only=False)
    if filters:
        chosen = chosen & matching(table, filters)
    rows = pa.array(np.flatnonzero(chosen))
    lists = pc.list_slice(table.datums.rows.take(rows), 0, MOST_FILES)
    files_of = table.datums.elements.select(["path", "hash"]).take(lists.flatten()).to_pylist()
    shown = iter([(one["path"], one["hash"]) for one in files_of])
    names, counts = column.take(rows).to_pylist(), pc.list_value_length(lists).to_pylist()
    return {
        (job.pipeline, job.id, name.hex()): tuple(islice(shown, count))
        for name, count in zip(names, counts, strict=True)
    }


def restart_datum(files: Files, tables: Tables, job: Job, filters: Sequence[str]) -> str:
    """End the running datums whose inputs match all filters, and run them again.

    Returns a sentence where there was nothing to end, since what matches has yet to begin; else "". Raises NotFound
    where no datum matches, FailedPrecondition when those that do have ended.
    """
    found = table_of(files, tables, job)
    row = files.catalog.read(lambda tx: need_job(tx, job))
    name = f"job {job.pipeline.name}@{job.id}"
    named = f"datum of {name}" + f" with the inputs {', '.join(filters)}" * bool(filters)
    if found is None:
        if row.ended:
            raise FailedPrecondition(f"{name} has ended and had no datums; there is nothing to start over")
        return f"{name} has no datums yet: all of them will run from their start"
    chosen = matching(found[1], filters)
    if not chosen.any():
        raise NotFound(f"no {named}")
    states, places = (found[1].rows[column].to_numpy()[chosen] for column in ("state", "place"))
    waiting = np.isin(states, [CODE[DatumState.UNKNOWN], CODE[DatumState.STARTING]])
    positions = [int(place) for place in places[waiting] if place >= 0]
    if files.catalog.transact(lambda tx: restart_rows(tx, row, positions)):
        return ""
    if waiting.any():
        return f"no worker runs a {named} now: {waiting.sum()} will run from the start"
    raise FailedPrecondition(
        f"each {named} has ended or was skipped ({len(states)}); only what runs can be started over. "
        "`pachctl update pipeline --reprocess` runs all of them again"
    )
