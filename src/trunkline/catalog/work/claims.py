"""Queries on claims: ranges of datums that wait for a worker or have one, what was reported, and who died on what."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, delete, func, insert, or_, select, update

from trunkline.ambient import Micros
from trunkline.catalog.engine.fixed import Fixed, given
from trunkline.catalog.engine.tx import AnyRow, Tx
from trunkline.catalog.tables_pps import claims, datum_deaths, reports
from trunkline.errors import DataLoss


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """A range [first, last) of a job's positions, done below `done`. worker None: to be claimed.

    ticks_left: of its lease, or of the pause until it may be claimed.
    """

    id: str
    job: int
    pipeline: int
    gen: int
    first: int
    last: int
    done: int
    fence: int
    worker: str | None
    session: int | None
    leased_us: Micros | None
    ticks_left: int
    row: int | None
    row_started_us: Micros | None
    restart: tuple[int, ...]
    finish: bool = False

    @property
    def left(self) -> int:
        """How many rows are not reported yet."""
        return self.last - self.done

    @property
    def waits(self) -> bool:
        """Whether nobody may claim it yet: it was given back."""
        return self.worker is None and self.ticks_left > 0

    @property
    def in_hand(self) -> int | None:
        """The row that a worker has in hand, as far as is known; None: nobody has one.

        A worker takes rows in order, and says which one runs about once a second: until then it is the first of those
        that are not reported.
        """
        if self.worker is None or not self.left:
            return None
        return self.done if self.row is None else max(self.row, self.done)


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A finished prefix. results: Arrow IPC; kept with its CRC-32 in four bytes behind it."""

    job: int
    gen: int
    first: int
    last: int
    output: tuple[str, ...]
    results: bytes


_INSERT = Fixed(insert(claims))
_ONE = Fixed(select(claims).where(claims.c.id == given("at")))
_OF_JOB = Fixed(select(claims).where(claims.c.job == given("of")).order_by(claims.c.first))
_ALL = Fixed(select(claims).order_by(claims.c.job, claims.c.first))
_TO_TAKE = Fixed(
    select(claims)
    .where(
        or_(
            and_(claims.c.worker.is_(None), claims.c.ticks_left <= 0),
            and_(
                claims.c.last > claims.c.done + 1,
                or_(claims.c.leased_us <= given("before"), claims.c.leased_us > given("now")),
            ),
        )
    )
    .order_by(claims.c.job, claims.c.first)
)
_LEASED = Fixed(
    select(claims.c.job, claims.c.pipeline, func.count(claims.c.worker).label("leased")).group_by(
        claims.c.job, claims.c.pipeline
    )
)
_OF_WORKER = Fixed(select(claims).where(claims.c.worker == given("of")).order_by(claims.c.job, claims.c.first))
_CHANGE = Fixed(update(claims).where(claims.c.id == given("at")))
_ANOTHER_FENCE = {"fence": claims.c.fence + 1, "row": None, "row_started_us": None, "restart": None}
_LEASE = Fixed(update(claims).where(claims.c.id == given("at")).values(**_ANOTHER_FENCE))
_FREE = {"worker": None, "session": None, "leased_us": None, "ticks_left": 0, "first": claims.c.done}
_RELEASE = Fixed(update(claims).where(claims.c.id == given("at")).values(**_FREE, **_ANOTHER_FENCE))
_DELETE = Fixed(delete(claims).where(claims.c.id == given("at")))
_DELETE_OF_JOB = Fixed(delete(claims).where(claims.c.job == given("of")))
_ANY = Fixed(select(claims.c.id).limit(1))
_TIMED = or_(claims.c.worker.is_not(None), claims.c.ticks_left > 0)
_ANY_TIMED = Fixed(select(claims.c.id).where(_TIMED).limit(1))
_HOLD_BACK = Fixed(update(claims).where(claims.c.job == given("of"), claims.c.worker.is_(None)))
_LAST_TICK = and_(claims.c.worker.is_(None), claims.c.ticks_left == 1)
_FREED = Fixed(select(claims.c.pipeline).where(_LAST_TICK).distinct().order_by(claims.c.pipeline))
_DEATHS = Fixed(
    select(datum_deaths.c.row, datum_deaths.c.deaths).where(
        datum_deaths.c.job == given("of"),
        datum_deaths.c.gen == given("in_gen"),
        datum_deaths.c.row.between(given("first"), given("last")),
    )
)
_CRC_BYTES = 4
_REPORT = Fixed(insert(reports))
_REPORTS = Fixed(select(reports).where(reports.c.job == given("of")).order_by(reports.c.seq))
_FORGET = [Fixed(delete(table).where(table.c.job == given("of"))) for table in (claims, datum_deaths, reports)]


def insert_claim(tx: Tx, job: int, pipeline: int, gen: int, first: int, last: int) -> str:
    """Let workers claim a range; its id."""
    claim = f"{job}.{tx.new_id()}"
    values = {"id": claim, "job": job, "pipeline": pipeline, "gen": gen, "first": first, "last": last, "done": first}
    tx.execute(_INSERT, {**values, "fence": 0})
    return claim


def job_of_claim(claim: str) -> int | None:
    """The job that a claim is of, read from its id; None: that is no claim's id."""
    number = claim.partition(".")[0]
    return int(number) if number.isdecimal() else None


def get_claim(tx: Tx, claim: str) -> ClaimRow | None:
    """One claim."""
    row = tx.execute(_ONE, {"at": claim}).first()
    return _claim(row) if row else None


def claims_of_job(tx: Tx, job: int) -> list[ClaimRow]:
    """All claims of a job, by position."""
    return [_claim(row) for row in tx.execute(_OF_JOB, {"of": job}).all()]


def all_claims(tx: Tx) -> list[ClaimRow]:
    """All claims, oldest job first, by position."""
    return [_claim(row) for row in tx.execute(_ALL).all()]


def claims_to_take(tx: Tx, slow_us: Micros) -> list[ClaimRow]:
    """Claims that wait for a worker, and those with more than one row left whose worker has had them for so long.

    Or since an instant that is still to come. Oldest job first, by position.
    """
    now_us = tx.now_us
    return [_claim(row) for row in tx.execute(_TO_TAKE, {"before": now_us - slow_us, "now": now_us}).all()]


def leased_by_job(tx: Tx) -> list[tuple[int, int, int]]:
    """For each job that has claims: its number, its pipeline's key, and how many of the claims have a worker."""
    return [(row.job, row.pipeline, row.leased) for row in tx.execute(_LEASED).all()]


def claims_of_worker(tx: Tx, worker: str) -> list[ClaimRow]:
    """What a worker has leased."""
    return [_claim(row) for row in tx.execute(_OF_WORKER, {"of": worker}).all()]


def lease(tx: Tx, claim: str, worker: str, session: int, last: int, ticks: int) -> None:
    """Give a claim to a worker under the next fence; it ends at `last` from now on."""
    values = {"worker": worker, "session": session, "last": last, "ticks_left": ticks, "leased_us": tx.now_us}
    tx.execute(_LEASE, {"at": claim, **values})


def release(tx: Tx, claim: str) -> None:
    """Take a claim from its worker; what is left may be claimed again, under a later fence."""
    tx.execute(_RELEASE, {"at": claim})


def hold_back(tx: Tx, job: int, ticks: int) -> None:
    """Let nobody claim what no worker of a job has before so many ticks have passed."""
    tx.execute(_HOLD_BACK, {"of": job, "ticks_left": ticks})


def set_last(tx: Tx, claim: str, last: int) -> None:
    """Shorten a claim."""
    tx.execute(_CHANGE, {"at": claim, "last": last})


def advance(tx: Tx, claim: str, done: int) -> None:
    """Rows below `done` are reported."""
    tx.execute(_CHANGE, {"at": claim, "done": done})


def renew(tx: Tx, claim: str, ticks: int, row: int | None) -> None:
    """Keep a lease, and note the datum in progress."""
    tx.execute(_CHANGE, {"at": claim, "ticks_left": ticks, "row": row})


def row_started(tx: Tx, claim: str, row: int | None) -> None:
    """Note the datum in progress, and that it has just begun."""
    tx.execute(_CHANGE, {"at": claim, "row": row, "row_started_us": None if row is None else tx.now_us})


def tick(tx: Tx) -> list[ClaimRow]:
    """One tick of the leader passes; claims whose lease has run out by it."""
    tx.execute(update(claims).where(_TIMED).values(ticks_left=claims.c.ticks_left - 1))
    leased = claims.c.worker.is_not(None)
    query = select(claims).where(and_(leased, claims.c.ticks_left <= 0)).order_by(claims.c.job, claims.c.first)
    return [_claim(row) for row in tx.execute(query).all()]


def freed_by_tick(tx: Tx) -> list[int]:
    """Pipelines with claims that were held back and may be claimed after the next tick."""
    return [row.pipeline for row in tx.execute(_FREED).all()]


def set_restart(tx: Tx, claim: str, rows: Sequence[int]) -> None:
    """Ask the worker to end these datums and run them again; none: the request is delivered."""
    text = json.dumps(sorted(rows)) if rows else None
    tx.execute(_CHANGE, {"at": claim, "restart": text})


def set_finish(tx: Tx, claim: str) -> None:
    """Ask the worker to end the code and keep what it wrote."""
    tx.execute(_CHANGE, {"at": claim, "finish": True})


def delete_claim(tx: Tx, claim: str) -> None:
    """A range is all reported, or not wanted any more."""
    tx.execute(_DELETE, {"at": claim})


def delete_claims(tx: Tx, job: int) -> None:
    """Close all claims of a job."""
    tx.execute(_DELETE_OF_JOB, {"of": job})


def any_claim(tx: Tx) -> bool:
    """Whether there is a range at all."""
    return tx.execute(_ANY).first() is not None


def any_timed(tx: Tx) -> bool:
    """Whether a worker holds a claim, or one is held back: ticks matter."""
    return tx.execute(_ANY_TIMED).first() is not None


def count_death(tx: Tx, job: int, gen: int, row: int, why: str) -> int:
    """A worker died while this datum ran; how many have by now."""
    where = and_(datum_deaths.c.job == job, datum_deaths.c.gen == gen, datum_deaths.c.row == row)
    known = tx.execute(select(datum_deaths.c.deaths).where(where)).first()
    if known is None:
        tx.execute(insert(datum_deaths).values(job=job, gen=gen, row=row, deaths=1, why=why))
        return 1
    tx.execute(update(datum_deaths).where(where).values(deaths=known[0] + 1, why=why))
    return int(known[0]) + 1


def deaths_in(tx: Tx, job: int, gen: int, first: int, last: int) -> dict[int, int]:
    """Rows of a range on which workers died, and how many each."""
    values = {"of": job, "in_gen": gen, "first": first, "last": last - 1}
    return {row[0]: row[1] for row in tx.execute(_DEATHS, values)}


def insert_report(tx: Tx, report: ReportRow) -> None:
    """Keep a finished prefix."""
    values = {"job": report.job, "gen": report.gen, "first": report.first, "last": report.last}
    tx.execute(_REPORT, {**values, "output": json.dumps(report.output), "results": _sealed(report.results)})


def reports_of_job(tx: Tx, job: int) -> list[ReportRow]:
    """What was reported of a job, in order of acknowledgement. Raises DataLoss."""
    rows = tx.execute(_REPORTS, {"of": job}).all()
    return [ReportRow(r.job, r.gen, r.first, r.last, tuple(json.loads(r.output)), _opened(r)) for r in rows]


def damaged_reports(tx: Tx, above: int, limit: int = 500) -> tuple[list[str], int | None]:
    """A sentence for each damaged report, of those after seq `above`; and where to go on, None at the end."""
    rows = tx.execute(select(reports).where(reports.c.seq > above).order_by(reports.c.seq).limit(limit)).all()
    wrong = [f"I-11: {_damage(row)}" for row in rows if not _is_whole(row.results)]
    return wrong, rows[-1].seq if rows else None


def _sealed(results: bytes) -> bytes:
    return results + zlib.crc32(results).to_bytes(_CRC_BYTES, "big")


def _is_whole(sealed: bytes) -> bool:
    return _sealed(sealed[:-_CRC_BYTES]) == sealed


def _opened(row: AnyRow) -> bytes:
    if not _is_whole(row.results):
        raise DataLoss(_damage(row))  # Arrow would take it for what it says, and may read past its end
    return bytes(row.results[:-_CRC_BYTES])


def _damage(row: AnyRow) -> str:
    return f"what was reported of job {row.job}, datums {row.first} to {row.last - 1} in its order, is damaged"


def forget(tx: Tx, job: int) -> None:
    """Remove claims, deaths and reports of a job."""
    for removal in _FORGET:
        tx.execute(removal, {"of": job})


def _claim(row: AnyRow) -> ClaimRow:
    values = {name: getattr(row, name) for name in ClaimRow.__slots__ if name not in ("restart", "finish")}
    return ClaimRow(**values, finish=bool(row.finish), restart=tuple(json.loads(row.restart)) if row.restart else ())
