"""Datums handed to workers: ranges leased under a fence, kept by renewals, ended by reports of finished prefixes.

A worker leases a range of positions. It reports from the front: rows and output of a finished prefix are adopted in one
transaction that requires its session open and its fence current, so a late worker's result is refused and each row
counts once. When nothing is left to lease, an idle worker takes the tail half of the longest range that a slow worker
holds; that one finds out at its next report. Leases are counted in ticks of this server while it runs, not by a clock.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from trunkline.ambient import Micros
from trunkline.catalog.collection import filesets as fileset_rows
from trunkline.catalog.collection import sessions as session_rows
from trunkline.catalog.engine import Tx
from trunkline.catalog.work import claims as claim_rows
from trunkline.catalog.work import jobs as job_rows
from trunkline.catalog.work import pipelines as pipeline_rows
from trunkline.catalog.work.claims import ClaimRow, ReportRow
from trunkline.catalog.work.jobs import JobRow
from trunkline.errors import Aborted, InvalidArgument
from trunkline.model.datums import DatumTable
from trunkline.model.jobs import DatumState
from trunkline.model.names import Commit, Pipeline
from trunkline.model.results import CODE, RESULTS, from_ipc, to_ipc
from trunkline.model.specs import PipelineSpec
from trunkline.pfs import outputs
from trunkline.pfs.files import Files
from trunkline.pfs.images import ImageInfo, inspect_image
from trunkline.pps import events as ev
from trunkline.pps.machine import CLAIMS_TOPIC, COMMAND_TOPIC, JOB_HOLDER, feed, lost
from trunkline.pps.tables import Tables, slice_of
from trunkline.storage import Sealed

LEASE_TICKS = 10
"""A lease lasts this many ticks without a renewal."""
TICK_US = 1_000_000
LEASE_US = LEASE_TICKS * TICK_US

SMALLEST_LEASE = 16
"""Ranges are not divided below this many datums, unless a slow worker holds one."""
SHARES = 4
LARGEST_LEASE = 2000
"""So that a lease travels in one message, and a worker that dies has little that others wait for."""
SLOW_US = 1_000_000
"""Only a worker that has held its range for so long is taken for slow."""
SILENT = "no sign of life from the worker for {0} s"


@dataclass(frozen=True, slots=True)
class Cancel:
    """The worker is to stop working on a claim."""

    claim: str
    reason: str


@dataclass(frozen=True, slots=True)
class Restart:
    """The worker is to end these datums and run them again."""

    claim: str
    rows: tuple[int, ...]


Command = Cancel | Restart


@dataclass(frozen=True, slots=True)
class Renewal:
    """A claim that its worker keeps. row: the datum in progress, None for none."""

    claim: str
    fence: int
    row: int | None = None


@dataclass(frozen=True, slots=True)
class Leased:
    """A range that a worker now has: rows [first, last) of a job's order of running."""

    claim: ClaimRow
    job: JobRow


@dataclass(frozen=True, slots=True)
class Report:
    """A finished prefix of a claim: rows before `done`. output: file sets with what they wrote; results: `RESULTS`."""

    worker: str
    gen: int
    claim: str
    fence: int
    done: int
    output: tuple[Sealed, ...]
    results: pa.Table


@dataclass
class Leases:
    """Renewals gathered between ticks, so that any number of workers costs one transaction a tick."""

    files: Files
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _renewed: dict[str, Renewal] = field(default_factory=dict)
    _sessions: set[int] = field(default_factory=set)

    def renew(self, worker: str, gen: int, renewals: Sequence[Renewal]) -> list[Command]:
        """Keep claims and the session; what stands for them. A claim that is not the worker's any more is cancelled."""
        commands, kept = self.files.catalog.read(lambda tx: _look(tx, worker, renewals))
        with self._lock:
            self._sessions.add(gen)
            self._renewed.update((one.claim, one) for one in kept)
        delivered = [one.claim for one in commands if isinstance(one, Restart)]
        if delivered:
            self.files.catalog.transact(lambda tx: _delivered(tx, delivered))
        return commands

    def tick(self) -> None:
        """Call once a second. Writes down what was renewed, and gives up claims that nobody renews."""
        with self._lock:
            renewed, sessions = dict(self._renewed), set(self._sessions)
            self._renewed.clear()
            self._sessions.clear()
        leased = self.files.catalog.read(claim_rows.any_leased)
        if sessions or leased:
            self.files.catalog.transact(lambda tx: _tick(tx, renewed, sessions))


def _look(tx: Tx, worker: str, renewals: Sequence[Renewal]) -> tuple[list[Command], list[Renewal]]:
    commands: list[Command] = []
    kept: list[Renewal] = []
    for one in renewals:
        row = claim_rows.get_claim(tx, one.claim)
        if row is None or row.fence != one.fence or row.worker != worker:
            commands.append(Cancel(one.claim, "this range is not the worker's any more"))
            continue
        kept.append(one)
        if row.restart:
            commands.append(Restart(one.claim, row.restart))
    return commands, kept


def _delivered(tx: Tx, claims: Iterable[str]) -> None:
    for claim in claims:
        claim_rows.set_restart(tx, claim, [])


def _tick(tx: Tx, renewed: dict[str, Renewal], sessions: set[int]) -> None:
    session_rows.renew(tx, sorted(sessions))
    for one in renewed.values():
        row = claim_rows.get_claim(tx, one.claim)
        if row is None or row.fence != one.fence:
            continue
        if row.row != one.row:
            claim_rows.row_started(tx, one.claim, one.row)
        claim_rows.renew(tx, one.claim, LEASE_TICKS + 1, one.row)
    for row in claim_rows.tick(tx):
        lost(tx, row, SILENT.format(LEASE_TICKS))
    _give_way(tx)
    # Who found nothing to do before a worker counted as slow would not look again by himself.
    slow = [row for row in claim_rows.all_claims(tx) if _age(tx, row) < SLOW_US + 2 * TICK_US and _tail(tx, row)]
    for pipeline in sorted({row.pipeline for row in slow}):
        tx.emit(CLAIMS_TOPIC, {"pipeline": pipeline})


def _give_way(tx: Tx) -> None:
    """Where a pipeline has several workers and another none, one of its ranges is halved until it ends soon."""
    rows = claim_rows.all_claims(tx)
    served = Counter(row.pipeline for row in rows if row.worker is not None)
    slow = [row for row in rows if served[row.pipeline] > 1 and _tail(tx, row)]
    if not slow or all(served[row.pipeline] for row in rows):
        return
    victim = min(slow, key=lambda row: (row.left, row.job))
    middle = _tail(tx, victim) or victim.last
    if _age(tx, victim) * victim.left > LEASE_US // 2 * max(1, victim.done - victim.first):
        claim_rows.set_last(tx, victim.id, middle)
        claim_rows.insert_claim(tx, victim.job, victim.pipeline, victim.gen, middle, victim.last)


def _age(tx: Tx, row: ClaimRow) -> Micros:
    """How long a worker has had a claim; 0: it has none."""
    return 0 if row.leased_us is None else tx.now_us - row.leased_us


def claim(tx: Tx, worker: str, gen: int, *, max_datums: int = 0, pipeline: Pipeline | None = None) -> Leased | None:
    """Lease a range to a worker whose session is open; None: there is nothing to do now.

    max_datums: at most so many; 0: no bound. pipeline: only of this one. Pipelines take turns: the one with the fewest
    workers is next. Within a pipeline the oldest job goes first.
    """
    session_rows.require_open(tx, gen)
    rows = claim_rows.all_claims(tx)
    jobs = job_rows.get_jobs(tx, {row.job for row in rows})
    if pipeline is not None:
        rows = [row for row in rows if jobs[row.job].job.pipeline == pipeline]
    busy: dict[int, int] = {}
    for row in rows:
        busy[row.pipeline] = busy.get(row.pipeline, 0) + (row.worker is not None)
    open_ = [row for row in rows if not (bound := jobs[row.job].parallelism) or busy[row.pipeline] < bound]
    free = [row for row in open_ if row.worker is None]
    if free:
        chosen = min(free, key=lambda row: (busy[row.pipeline], row.job, row.first))
        return _lease(tx, chosen, jobs[chosen.job], worker, gen, max_datums)
    slow = [row for row in open_ if row.worker != worker and _tail(tx, row) is not None]
    if not slow:
        return None
    victim = max(slow, key=lambda row: (row.left, -row.job))
    middle = _tail(tx, victim) or victim.last
    claim_rows.set_last(tx, victim.id, middle)
    fresh = claim_rows.insert_claim(tx, victim.job, victim.pipeline, victim.gen, middle, victim.last)
    row = _need(tx, fresh)
    return _lease(tx, row, jobs[row.job], worker, gen, max_datums)


def _tail(tx: Tx, row: ClaimRow) -> int | None:
    """Where the tail half of a slow worker's range begins; None: it is not slow, or has nothing to spare."""
    if _age(tx, row) < SLOW_US:
        return None
    begin = max(row.done, row.first if row.row is None else row.row) + 1
    return row.last - (row.last - begin + 1) // 2 if begin < row.last else None


def _lease(tx: Tx, row: ClaimRow, job: JobRow, worker: str, gen: int, max_datums: int) -> Leased:
    take = min(max(SMALLEST_LEASE, row.left // SHARES), LARGEST_LEASE, max_datums or row.left, row.left)
    last = row.done + take
    if last < row.last:
        claim_rows.insert_claim(tx, row.job, row.pipeline, row.gen, last, row.last)
    claim_rows.lease(tx, row.id, worker, gen, last, LEASE_TICKS + 1)
    return Leased(_need(tx, row.id), job)


def _need(tx: Tx, claim_id: str) -> ClaimRow:
    row = claim_rows.get_claim(tx, claim_id)
    if row is None:
        raise Aborted(f"claim {claim_id} is closed: its job was stopped, or the range is all reported")
    return row


def report(tx: Tx, one: Report) -> tuple[int, int]:
    """Adopt a finished prefix; the range that is still the worker's, empty when all is reported.

    Raises Aborted when the claim is not this worker's any more, or its session is over: nothing of it counts.
    """
    row = _need(tx, one.claim)
    if row.worker != one.worker or row.fence != one.fence:
        raise Aborted(f"claim {one.claim} belongs to another worker by now; this result comes too late")
    if one.done > row.last:
        lost(tx, row, "it went past the end of its range", counts=False)
        return row.done, row.done
    _check(one, row)
    fileset_rows.seal(tx, one.gen, one.output)
    ids = [sealed.id for sealed in one.output]
    if ids:
        fileset_rows.adopt(tx, one.gen, ids, JOB_HOLDER, str(row.job))
    else:
        session_rows.require_open(tx, one.gen)
    if one.done > row.done:
        claim_rows.insert_report(tx, ReportRow(row.job, row.gen, row.done, one.done, tuple(ids), to_ipc(one.results)))
        _count(tx, row, one)
    if one.done == row.last:
        claim_rows.delete_claim(tx, row.id)
        tx.emit(CLAIMS_TOPIC, {"pipeline": row.pipeline})
    else:
        claim_rows.advance(tx, row.id, one.done)
        claim_rows.renew(tx, row.id, LEASE_TICKS + 1, None)
    _feed(tx, row, one)
    return one.done, row.last


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
    sums = {name: pc.sum(one.results[name]).as_py() or 0 for name in job_rows.STATS}
    job_rows.add_stats(tx, row.job, sums)


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


def worker_gone(tx: Tx, worker: str, why: str, *, counts: bool = True) -> None:
    """A worker has ended: its claims are free again at once.

    counts: whether its death is laid at the door of the datums that it ran; not when we ended it ourselves.
    """
    for row in claim_rows.claims_of_worker(tx, worker):
        lost(tx, row, why, counts=counts)


def all_gone(tx: Tx) -> None:
    """This server starts, and its workers have ended with the last one: every claim is free, nobody is to blame."""
    for row in claim_rows.all_claims(tx):
        if row.worker is not None:
            lost(tx, row, "the server was started again", counts=False)


@dataclass(frozen=True, slots=True)
class Handed:
    """All that a worker needs for a range that it has leased. datums: those of the range, in order of running.

    inputs: the file sets of each input's commit. deaths: for rows on which workers died, how many. image: where the
    code runs, None for the host's own files.
    """

    leased: Leased
    spec: PipelineSpec
    spec_commit: str
    image: ImageInfo | None
    inputs: tuple[Input, ...]
    datums: DatumTable
    deaths: dict[int, int]


@dataclass(frozen=True, slots=True)
class Input:
    """A commit that the datums read, and the file sets it is made of, oldest first."""

    commit: Commit
    filesets: tuple[str, ...]


def hand_out(
    files: Files, tables: Tables, worker: str, gen: int, *, max_datums: int = 0, pipeline: Pipeline | None = None
) -> Handed | None:
    """`claim`, with everything that the worker needs for the range."""
    leased = files.catalog.transact(lambda tx: claim(tx, worker, gen, max_datums=max_datums, pipeline=pipeline))
    if leased is None or leased.job.datums is None:
        return None
    table = tables.load(leased.job.datums)
    part = slice_of(table, leased.claim.done, leased.claim.last)
    return files.catalog.read(lambda tx: _handed(tx, leased, part))


def _handed(tx: Tx, leased: Leased, datums: DatumTable) -> Handed:
    job = leased.job
    version = pipeline_rows.get_version(tx, job.pipeline, job.version)
    if version is None:
        raise Aborted(f"the pipeline of job {job.job} was deleted")
    inputs = tuple(
        Input(commit.commit, tuple(outputs.content_filesets(tx, commit.seq)))
        for commit in outputs.inputs_of(tx, job.output_commit)
    )
    return Handed(
        leased=leased,
        spec=PipelineSpec.from_json(version.effective_spec),
        spec_commit=version.spec_commit,
        image=inspect_image(tx, version.image_digest) if version.image_digest else None,
        inputs=inputs,
        datums=datums,
        deaths=claim_rows.deaths_in(tx, job.seq, leased.claim.gen, leased.claim.done, leased.claim.last),
    )


def restart_rows(tx: Tx, job: JobRow, rows: Sequence[int]) -> int:
    """Ask workers to end those of these rows that they run, and run them again; how many lie in a leased range."""
    count = 0
    for row in claim_rows.claims_of_job(tx, job.seq):
        mine = [position for position in rows if row.worker is not None and row.done <= position < row.last]
        if mine:
            claim_rows.set_restart(tx, row.id, mine)
            tx.emit(COMMAND_TOPIC, {"worker": row.worker, "claim": row.id, "restart": mine})
            count += len(mine)
    return count


def parse_results(data: bytes) -> pa.Table:
    """The results in a report as it came over the wire. Raises InvalidArgument."""
    try:
        return from_ipc(data)
    except pa.ArrowInvalid as error:
        raise InvalidArgument(f"the results of a report cannot be read: {error}") from None
