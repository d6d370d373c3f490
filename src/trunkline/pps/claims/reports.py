"""Reports of finished prefixes: adopted in one transaction with their output, or refused."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from trunkline.catalog.collection import filesets as fileset_rows
from trunkline.catalog.collection import sessions as session_rows
from trunkline.catalog.engine import Tx
from trunkline.catalog.work import claims as claim_rows
from trunkline.catalog.work import jobs as job_rows
from trunkline.catalog.work.claims import ClaimRow, ReportRow
from trunkline.errors import Aborted, InvalidArgument
from trunkline.model.jobs import DatumState
from trunkline.model.results import CODE, IMAGE, RESULTS, from_ipc, to_ipc
from trunkline.pps import events as ev
from trunkline.pps.claims.leases import LEASE_TICKS, need_claim
from trunkline.pps.machine import CLAIMS_TOPIC, COMMAND_TOPIC, JOB_HOLDER, feed, lost
from trunkline.storage import Sealed


@dataclass(frozen=True, slots=True)
class Report:
    """A finished prefix of a claim: rows before `done`. output: file sets with what they wrote; results: `RESULTS`.

    image: digest of the one they ran in, where that is not the version's own; "".
    """

    worker: str
    gen: int
    claim: str
    fence: int
    done: int
    output: tuple[Sealed, ...]
    results: pa.Table
    image: str = ""


def report(tx: Tx, one: Report) -> tuple[int, int]:
    """Adopt a finished prefix; the range that is still the worker's, empty when all is reported.

    Raises Aborted when the claim is not this worker's any more, or its session is over: nothing of it counts.
    """
    row = need_claim(tx, one.claim)
    if row.worker != one.worker or row.fence != one.fence:
        raise Aborted(f"claim {one.claim} belongs to another worker by now; this result comes too late")
    if one.done > row.last:
        if not _take_back(tx, row, one.done):
            lost(tx, row, "it went past the end of its range", counts=False)
            return row.done, row.done
        row = need_claim(tx, one.claim)
    _check(one, row)
    fileset_rows.seal(tx, one.gen, one.output)
    ids = [sealed.id for sealed in one.output]
    if ids:
        fileset_rows.adopt(tx, one.gen, ids, JOB_HOLDER, str(row.job))
    else:
        session_rows.require_open(tx, one.gen)
    if one.done > row.done:
        claim_rows.insert_report(tx, ReportRow(row.job, row.gen, row.done, one.done, tuple(ids), _kept(one)))
        _count(tx, row, one)
    if one.done == row.last:
        claim_rows.delete_claim(tx, row.id)
        tx.emit(CLAIMS_TOPIC, {"pipeline": row.pipeline})
    else:
        claim_rows.advance(tx, row.id, one.done)
        claim_rows.renew(tx, row.id, LEASE_TICKS + 1, None)
    _feed(tx, row, one)
    return one.done, row.last


def _kept(one: Report) -> bytes:
    image = pa.repeat(pa.scalar(one.image), one.results.num_rows)
    return to_ipc(one.results.append_column(IMAGE, image) if one.image else one.results)


def _take_back(tx: Tx, row: ClaimRow, done: int) -> bool:
    """Give a worker the rows up to `done` again, which others took over and it has finished first.

    Otherwise what it did in time would be thrown away with them, and run once more. False, and nothing is changed:
    some of them are reported.
    """
    others = [each for each in claim_rows.claims_of_job(tx, row.job) if each.gen == row.gen and each.last > row.last]
    taken = [each for each in others if each.first < done]
    ends = [row.last, *(each.last for each in taken)]
    if ends[:-1] != [each.first for each in taken] or ends[-1] < done:
        return False
    if any(each.done > each.first or each.finish for each in taken):
        return False
    for each in taken:
        if each.worker is not None:
            why = "the worker that had this range before was done with it first"
            tx.emit(COMMAND_TOPIC, {"worker": each.worker, "claim": each.id, "cancel": why})
        claim_rows.delete_claim(tx, each.id)
        if each.last > done:
            claim_rows.insert_claim(tx, each.job, each.pipeline, each.gen, done, each.last)
    claim_rows.set_last(tx, row.id, done)
    return True


def _check(one: Report, row: ClaimRow) -> None:
    if one.done < row.done:
        raise InvalidArgument(
            f"claim {one.claim}: rows before {row.done} are reported already, not only before {one.done}"
        )
    if not one.results.schema.equals(RESULTS, check_metadata=False):
        raise InvalidArgument(f"claim {one.claim}: the results have columns {one.results.schema.names}")
    wanted = pa.array(range(row.done, one.done), pa.int64())
    if one.results["row"].combine_chunks() != wanted:
        raise InvalidArgument(
            f"claim {one.claim}: a report of rows {row.done} to {one.done} must have one result for each"
        )


def _count(tx: Tx, row: ClaimRow, one: Report) -> None:
    told = {name: pc.sum(one.results[name]).as_py() or 0 for name in job_rows.SUMS}
    told |= {name: pc.max(one.results[name]).as_py() or 0 for name in job_rows.PEAKS}
    job_rows.add_stats(tx, row.job, told)


def _feed(tx: Tx, row: ClaimRow, one: Report) -> None:
    if one.done == row.done:
        return
    states = one.results["state"]
    failed = pc.equal(states, CODE[DatumState.FAILED])
    recovered = pc.sum(pc.equal(states, CODE[DatumState.RECOVERED])).as_py() or 0
    bad = one.results.filter(failed)
    first = bad["reason"][0].as_py() if bad.num_rows else ""
    event = ev.RangeDone(row.gen, one.done - row.done, bad.num_rows, recovered, first)
    if not feed(tx, row.job, event):
        raise Aborted(f"claim {one.claim} is closed: its job does not run any more")


def parse_results(data: bytes) -> pa.Table:
    """The results in a report as it came over the wire. Raises InvalidArgument."""
    try:
        return from_ipc(data)
    except pa.ArrowInvalid as error:
        raise InvalidArgument(f"the results of a report cannot be read: {error}") from None
