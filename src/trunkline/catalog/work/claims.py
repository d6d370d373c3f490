"""Queries on claims: ranges of datums that wait for a worker or have one, what was reported, and who died on what."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, delete, insert, select, update

from trunkline.ambient import Micros
from trunkline.catalog.engine.tx import AnyRow, Tx
from trunkline.catalog.tables_pps import claims, datum_deaths, reports


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """A range [first, last) of a job's positions, done below `done`. worker None: to be claimed."""

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


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A finished prefix. results: Arrow IPC."""

    job: int
    gen: int
    first: int
    last: int
    output: tuple[str, ...]
    results: bytes


def insert_claim(tx: Tx, job: int, pipeline: int, gen: int, first: int, last: int) -> str:
    """Let workers claim a range; its id."""
    claim = f"{job}.{tx.new_id()}"
    values = {"id": claim, "job": job, "pipeline": pipeline, "gen": gen, "first": first, "last": last, "done": first}
    tx.execute(insert(claims).values(**values, fence=0))
    return claim


def job_of_claim(claim: str) -> int | None:
    """The job that a claim is of, read from its id; None: that is no claim's id."""
    number = claim.partition(".")[0]
    return int(number) if number.isdecimal() else None


def get_claim(tx: Tx, claim: str) -> ClaimRow | None:
    """One claim."""
    row = tx.execute(select(claims).where(claims.c.id == claim)).first()
    return _claim(row) if row else None


def claims_of_job(tx: Tx, job: int) -> list[ClaimRow]:
    """All claims of a job, by position."""
    query = select(claims).where(claims.c.job == job).order_by(claims.c.first)
    return [_claim(row) for row in tx.execute(query).all()]


def all_claims(tx: Tx) -> list[ClaimRow]:
    """All claims, oldest job first, by position."""
    return [_claim(row) for row in tx.execute(select(claims).order_by(claims.c.job, claims.c.first)).all()]


def claims_of_worker(tx: Tx, worker: str) -> list[ClaimRow]:
    """What a worker has leased."""
    query = select(claims).where(claims.c.worker == worker).order_by(claims.c.job, claims.c.first)
    return [_claim(row) for row in tx.execute(query).all()]


def lease(tx: Tx, claim: str, worker: str, session: int, last: int, ticks: int) -> None:
    """Give a claim to a worker under the next fence; it ends at `last` from now on."""
    values = {"worker": worker, "session": session, "last": last, "ticks_left": ticks, "leased_us": tx.now_us}
    query = update(claims).where(claims.c.id == claim)
    tx.execute(query.values(**values, fence=claims.c.fence + 1, row=None, row_started_us=None, restart=None))


def release(tx: Tx, claim: str) -> None:
    """Take a claim from its worker; what is left may be claimed again, under a later fence."""
    values = {"worker": None, "session": None, "leased_us": None, "row": None, "row_started_us": None}
    query = update(claims).where(claims.c.id == claim)
    tx.execute(query.values(**values, first=claims.c.done, fence=claims.c.fence + 1, restart=None))


def set_last(tx: Tx, claim: str, last: int) -> None:
    """Shorten a claim."""
    tx.execute(update(claims).where(claims.c.id == claim).values(last=last))


def advance(tx: Tx, claim: str, done: int) -> None:
    """Rows below `done` are reported."""
    tx.execute(update(claims).where(claims.c.id == claim).values(done=done))


def renew(tx: Tx, claim: str, ticks: int, row: int | None) -> None:
    """Keep a lease, and note the datum in progress."""
    values = {"ticks_left": ticks, "row": row}
    tx.execute(update(claims).where(claims.c.id == claim).values(**values))


def row_started(tx: Tx, claim: str, row: int | None) -> None:
    """Note the datum in progress, and that it has just begun."""
    values = {"row": row, "row_started_us": None if row is None else tx.now_us}
    tx.execute(update(claims).where(claims.c.id == claim).values(**values))


def tick(tx: Tx) -> list[ClaimRow]:
    """One tick of the leader passes; claims whose lease has run out by it."""
    leased = claims.c.worker.is_not(None)
    tx.execute(update(claims).where(leased).values(ticks_left=claims.c.ticks_left - 1))
    query = select(claims).where(and_(leased, claims.c.ticks_left <= 0)).order_by(claims.c.job, claims.c.first)
    return [_claim(row) for row in tx.execute(query).all()]


def set_restart(tx: Tx, claim: str, rows: Sequence[int]) -> None:
    """Ask the worker to end these datums and run them again; none: the request is delivered."""
    text = json.dumps(sorted(rows)) if rows else None
    tx.execute(update(claims).where(claims.c.id == claim).values(restart=text))


def set_finish(tx: Tx, claim: str) -> None:
    """Ask the worker to end the code and keep what it wrote."""
    tx.execute(update(claims).where(claims.c.id == claim).values(finish=True))


def delete_claim(tx: Tx, claim: str) -> None:
    """A range is all reported, or not wanted any more."""
    tx.execute(delete(claims).where(claims.c.id == claim))


def delete_claims(tx: Tx, job: int) -> None:
    """Close all claims of a job."""
    tx.execute(delete(claims).where(claims.c.job == job))


def any_claim(tx: Tx) -> bool:
    """Whether there is a range at all."""
    return tx.execute(select(claims.c.id).limit(1)).first() is not None


def any_leased(tx: Tx) -> bool:
    """Whether a worker holds a claim."""
    return tx.execute(select(claims.c.id).where(claims.c.worker.is_not(None)).limit(1)).first() is not None


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
    here = datum_deaths.c.row.between(first, last - 1)
    where = and_(datum_deaths.c.job == job, datum_deaths.c.gen == gen, here)
    return {row[0]: row[1] for row in tx.execute(select(datum_deaths.c.row, datum_deaths.c.deaths).where(where))}


def insert_report(tx: Tx, report: ReportRow) -> None:
    """Keep a finished prefix."""
    values = {"job": report.job, "gen": report.gen, "first": report.first, "last": report.last}
    tx.execute(insert(reports).values(**values, output=json.dumps(report.output), results=report.results))


def reports_of_job(tx: Tx, job: int) -> list[ReportRow]:
    """What was reported of a job, in order of acknowledgement."""
    rows = tx.execute(select(reports).where(reports.c.job == job).order_by(reports.c.seq)).all()
    return [ReportRow(r.job, r.gen, r.first, r.last, tuple(json.loads(r.output)), r.results) for r in rows]


def forget(tx: Tx, job: int) -> None:
    """Remove claims, deaths and reports of a job."""
    for table in (claims, datum_deaths, reports):
        tx.execute(delete(table).where(table.c.job == job))


def _claim(row: AnyRow) -> ClaimRow:
    values = {name: getattr(row, name) for name in ClaimRow.__slots__ if name not in ("restart", "finish")}
    return ClaimRow(**values, finish=bool(row.finish), restart=tuple(json.loads(row.restart)) if row.restart else ())
