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

from trunkline.ambient import Micros
from trunkline.catalog.collection import sessions as session_rows
from trunkline.catalog.engine import Tx
from trunkline.catalog.work import claims as claim_rows
from trunkline.catalog.work import jobs as job_rows
from trunkline.catalog.work import pipelines as pipeline_rows
from trunkline.catalog.work.claims import ClaimRow
from trunkline.catalog.work.containers import pipelines_waiting
from trunkline.catalog.work.jobs import JobRow
from trunkline.errors import Aborted, TrunklineError
from trunkline.model.jobs import PipelineState
from trunkline.model.names import Pipeline
from trunkline.pfs.files import Files
from trunkline.pps import events as ev
from trunkline.pps.machine import CLAIMS_TOPIC, COMMAND_TOPIC, feed, lost

LEASE_TICKS = 10
"""A lease lasts this many ticks without a renewal."""
TICK_US = 1_000_000
LEASE_US = LEASE_TICKS * TICK_US

SMALLEST_LEASE = 16
"""Ranges are not divided below this many datums, unless a slow worker holds one, or there are fewer for each worker."""
SHORTEST_US = 50_000
"""Nor below so much work, by what the job's datums have taken so far: a range costs some milliseconds by itself."""
SHARES = 2
"""A worker is leased one of so many shares of its part of what is left: large ranges first, small ones at the end."""
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


@dataclass(frozen=True, slots=True)
class Finish:
    """The worker is to end the code, which would run for ever, and report what it wrote."""

    claim: str


Command = Cancel | Restart | Finish


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


@dataclass
class Leases:
    """Renewals gathered between ticks, so that any number of workers costs one transaction a tick.

    trouble: why nothing that workers do can be saved, as the last ticks found; "" while it can.
    """

    files: Files
    trouble: str = ""
    _failed: int = 0
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
        try:
            self._write_down()
        except TrunklineError as error:
            self._failed += 1
            if self._failed > 1:  # once may be chance
                self.trouble = str(error)
            raise
        self._failed, self.trouble = 0, ""

    def _write_down(self) -> None:
        with self._lock:
            renewed, sessions = dict(self._renewed), set(self._sessions)
            self._renewed.clear()
            self._sessions.clear()
        timed = self.files.catalog.read(claim_rows.any_timed)
        if sessions or timed:
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
        if row.finish:
            commands.append(Finish(one.claim))
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
    freed = claim_rows.freed_by_tick(tx)
    for row in claim_rows.tick(tx):
        lost(tx, row, SILENT.format(LEASE_TICKS))
    _give_way(tx)
    # Who found nothing to do before a worker counted as slow would not look again by himself.
    slow = [row for row in claim_rows.all_claims(tx) if _age(tx, row) < SLOW_US + 2 * TICK_US and _tail(tx, row)]
    for pipeline in sorted({row.pipeline for row in slow} | {*freed}):
        tx.emit(CLAIMS_TOPIC, {"pipeline": pipeline})


def _give_way(tx: Tx) -> None:
    """Where a pipeline has several workers and another none, one of its ranges is halved until it ends soon."""
    rows = claim_rows.all_claims(tx)
    served = Counter(row.pipeline for row in rows if row.worker is not None)
    slow = [row for row in rows if served[row.pipeline] > 1 and _tail(tx, row)]
    if not slow or all(served[row.pipeline] or row.waits for row in rows):
        return
    victim = min(slow, key=lambda row: (row.left, row.job))
    middle = _tail(tx, victim) or victim.last
    if _age(tx, victim) * victim.left > LEASE_US // 2 * max(1, victim.done - victim.first):
        _split(tx, victim, middle)


def _age(tx: Tx, row: ClaimRow) -> Micros:
    """How long a worker has had a claim; 0: it has none. A clock that was set back tells nothing: then it is slow."""
    if row.leased_us is None:
        return 0
    age_us = tx.now_us - row.leased_us
    return age_us if age_us >= 0 else SLOW_US


def claim(
    tx: Tx,
    worker: str,
    gen: int,
    *,
    max_datums: int = 0,
    pipeline: Pipeline | None = None,
    version: int = 0,
    workers: int = 1,
    gpus: int | None = None,
) -> Leased | None:
    """Lease a range to a worker whose session is open; None: there is nothing to do now.

    max_datums: at most so many; 0: no bound. pipeline: only of this one. version: only of jobs of this version; 0: of
    any. workers: how many there are to share work. gpus: how many devices; None: they are not counted.
    Pipelines take turns: the one with the fewest workers is next. Within a pipeline the oldest job goes first.
    """
    session_rows.require_open(tx, gen)
    # Of a thousand ranges that are leased, few are free or slow: only those are looked at.
    leased = claim_rows.leased_by_job(tx)
    if not leased:
        return None
    jobs = job_rows.get_jobs(tx, {job for job, _, _ in leased})
    if pipeline is not None:
        named = {seq for seq, job in jobs.items() if job.job.pipeline == pipeline and version in (0, job.version)}
    else:
        held_back = pipeline_rows.in_state(tx, PipelineState.CRASHING.value)
        held_back |= pipelines_waiting(tx)
        held_back |= {row.key for row in pipeline_rows.standing(tx)}  # each has a worker that asks for it by name
        named = {job for job, key, _ in leased if key not in held_back}
    busy: dict[int, int] = {}
    for job, key, count in leased:
        busy[key] = busy.get(key, 0) + (count if job in named else 0)
    if gpus is not None:
        idle = gpus - sum(jobs[job].gpus * count for job, _, count in leased)
        named = {job for job in named if not jobs[job].gpus or jobs[job].gpus <= idle}
    rows = [row for row in claim_rows.claims_to_take(tx, SLOW_US) if row.job in named]
    open_ = [row for row in rows if not (bound := jobs[row.job].parallelism) or busy[row.pipeline] < bound]
    free = [row for row in open_ if row.worker is None]
    if free:
        chosen = min(free, key=lambda row: (busy[row.pipeline], row.job, row.first))
        return _lease(tx, chosen, jobs[chosen.job], worker, gen, _take(chosen, jobs[chosen.job], max_datums, workers))
    slow = [row for row in open_ if row.worker != worker and _tail(tx, row) is not None]
    if not slow:
        return None
    victim = max(slow, key=lambda row: (row.left, -row.job))
    middle = _tail(tx, victim) or victim.last
    row = need_claim(tx, _split(tx, victim, middle))
    return _lease(tx, row, jobs[row.job], worker, gen, _take(row, jobs[row.job], max_datums, workers))


def _split(tx: Tx, victim: ClaimRow, middle: int) -> str:
    """Make a range of the tail of another, whose worker is told to begin nothing of it; its id."""
    claim_rows.set_last(tx, victim.id, middle)
    tx.emit(COMMAND_TOPIC, {"worker": victim.worker, "claim": victim.id, "last": middle})
    return claim_rows.insert_claim(tx, victim.job, victim.pipeline, victim.gen, middle, victim.last)


def _tail(tx: Tx, row: ClaimRow) -> int | None:
    """Where the tail half of a slow worker's range begins; None: it is not slow, or has nothing to spare."""
    if _age(tx, row) < SLOW_US:
        return None
    begin = max(row.done, row.first if row.row is None else row.row) + 1
    return row.last - (row.last - begin + 1) // 2 if begin < row.last else None


def _take(row: ClaimRow, job: JobRow, max_datums: int, workers: int) -> int:
    """How many datums of a range are leased at once: as the spec says, or else a share of what is left.

    Where bytes count too, it is `shorten` that keeps to both bounds: what is left over stays in one piece.
    """
    placed, sharing = int(job.core["placed"]), job.parallelism or workers
    most = max(min(SMALLEST_LEASE, -(-placed // sharing)), row.left // (SHARES * sharing), _quick(row, job, sharing))
    if job.sets_per_worker:
        most = max(1, placed // (job.sets_per_worker * sharing))
    elif job.set_datums or job.set_bytes:
        most = job.set_datums if not job.set_bytes else LARGEST_LEASE
    return min(most, LARGEST_LEASE, max_datums or row.left, row.left)


def _quick(row: ClaimRow, job: JobRow, sharing: int) -> int:
    """How many datums make SHORTEST_US, by those that have run, or a worker's whole part of what is left if those are
    fewer; what is left after half of them goes to one worker. 0: none has run."""
    run = sum(int(job.core[name]) for name in ("processed", "failed", "recovered"))
    took_us = sum(job.stats[name] for name in ("download_us", "process_us", "upload_us"))
    enough = SHORTEST_US * run // max(took_us, 1)
    return row.left if row.left <= enough // 2 else min(enough, -(-row.left // sharing))


def shorten(tx: Tx, leased: Leased, last: int) -> Leased:
    """Leave the rows of a lease from `last` on to others. Raises Aborted when it is not the worker's any more."""
    row = need_claim(tx, leased.claim.id)
    if row.fence != leased.claim.fence or row.done != leased.claim.done:
        raise Aborted(f"claim {row.id} belongs to another worker by now")
    if last < row.last:
        claim_rows.set_last(tx, row.id, last)
        claim_rows.insert_claim(tx, row.job, row.pipeline, row.gen, last, row.last)
        tx.emit(CLAIMS_TOPIC, {"pipeline": row.pipeline})
    return Leased(need_claim(tx, row.id), leased.job)


def _lease(tx: Tx, row: ClaimRow, job: JobRow, worker: str, gen: int, take: int) -> Leased:
    last = row.done + take
    if last < row.last:
        claim_rows.insert_claim(tx, row.job, row.pipeline, row.gen, last, row.last)
    claim_rows.lease(tx, row.id, worker, gen, last, LEASE_TICKS + 1)
    return Leased(need_claim(tx, row.id), job)


def need_claim(tx: Tx, claim_id: str) -> ClaimRow:
    """One claim. Raises Aborted when it is closed."""
    row = claim_rows.get_claim(tx, claim_id)
    if row is None:
        raise Aborted(f"claim {claim_id} is closed: its job was stopped, or the range is all reported")
    return row


def worker_gone(tx: Tx, worker: str, why: str, *, counts: bool = True) -> None:
    """A worker has ended: its claims are free again at once.

    counts: whether its death is laid at the door of the datums that it ran; not when we ended it ourselves.
    """
    for row in claim_rows.claims_of_worker(tx, worker):
        lost(tx, row, why, counts=counts)
        if row.session is not None:
            session_rows.end_session(tx, row.session)


def give_back(tx: Tx, worker: str, claim_id: str, fence: int, why: str) -> None:
    """A worker can do nothing with its claim, and no code is to blame: it is free again after a pause.

    why: what cannot be done, for people. Raises Aborted when the claim is not the worker's any more.
    """
    row = need_claim(tx, claim_id)
    if row.worker != worker or row.fence != fence:
        raise Aborted(f"claim {claim_id} belongs to another worker by now")
    if row.finish:
        return lost(tx, row, why, counts=False)
    waits = any(each.waits for each in claim_rows.claims_of_job(tx, row.job))
    if not feed(tx, row.job, ev.RangeGivenBack(row.gen, row.id, why, waits)):
        claim_rows.delete_claim(tx, row.id)


def all_gone(tx: Tx, mine: str = "") -> None:
    """This server starts, and its workers have ended with the last one: their claims are free, nobody is to blame.

    mine: what the names of its workers begin with, where others have some too.
    """
    for row in claim_rows.all_claims(tx):
        if row.worker is not None and row.worker.startswith(mine):
            lost(tx, row, "the server was started again", counts=False)


def restart_rows(tx: Tx, job: JobRow, rows: Sequence[int]) -> int:
    """Ask workers to end those of these rows that they run now, and run them again; how many there are.

    A row that only waits in a leased range has nothing to end. A worker that has yet to say what it runs is asked all
    the same: it ends a row that it has in hand, and no other.
    """
    count = 0
    for row in claim_rows.claims_of_job(tx, job.seq):
        told = row.row is not None and row.row >= row.done
        asked = [one for one in rows if row.done <= one < row.last and (one == row.row or not told)]
        if row.worker is not None and asked:
            claim_rows.set_restart(tx, row.id, asked)
            tx.emit(COMMAND_TOPIC, {"worker": row.worker, "claim": row.id, "restart": asked})
            count += len(asked)
    return count
