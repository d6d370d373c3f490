"""Queries on instructions: slow work that stands for a job until its result is in."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import and_, delete, insert, literal_column, select, update

from trunkline.ambient import Micros
from trunkline.catalog.engine.fixed import Fixed, given
from trunkline.catalog.engine.tx import Tx
from trunkline.catalog.tables_pps import instructions, jobs


@dataclass(frozen=True, slots=True)
class InstructionRow:
    """Slow work still to be done for a job."""

    serial: int
    job: int
    work: str
    gen: int
    base: int | None
    error: str
    not_before_us: Micros


_OF_JOB = and_(instructions.c.job == given("of"), instructions.c.work == given("to"))
_REPLACED = Fixed(delete(instructions).where(_OF_JOB))
_INSERT = Fixed(insert(instructions))
_OPEN_OF = select(jobs.c.seq).where(jobs.c.pipeline == given("of"), jobs.c.phase != literal_column("'ended'"))
_HASTEN = Fixed(
    update(instructions)
    .where(instructions.c.work == given("to"), instructions.c.job.in_(_OPEN_OF))
    .values(not_before_us=0)
)
_STRIKE = Fixed(delete(instructions).where(instructions.c.serial == given("at")))
_STRIKE_OLDER = Fixed(delete(instructions).where(instructions.c.job == given("of"), instructions.c.gen < given("from")))
_FIND = Fixed(select(instructions).where(_OF_JOB))
_OF_PIPELINE = Fixed(select(instructions).where(instructions.c.job.in_(_OPEN_OF)).order_by(instructions.c.serial))
_LIST = Fixed(select(instructions).order_by(instructions.c.serial))


def put(tx: Tx, job: int, work: str, gen: int, base: int | None, error: str, not_before_us: Micros) -> None:
    """Ask for slow work; the same work asked for before is replaced."""
    tx.execute(_REPLACED, {"of": job, "to": work})
    values = {"job": job, "work": work, "gen": gen, "base": base, "error": error, "not_before_us": not_before_us}
    tx.execute(_INSERT, values)


def hasten(tx: Tx, pipeline: int, work: str) -> bool:
    """What a pipeline's jobs wait to do is due now; whether there is anything."""
    return tx.execute(_HASTEN, {"of": pipeline, "to": work}).rowcount > 0


def strike(tx: Tx, serial: int) -> None:
    """The work is done, or will be asked for anew."""
    tx.execute(_STRIKE, {"at": serial})


def strike_older(tx: Tx, job: int, gen: int) -> None:
    """Work of older generations is not wanted any more."""
    tx.execute(_STRIKE_OLDER, {"of": job, "from": gen})


def find(tx: Tx, job: int, work: str) -> InstructionRow | None:
    """Work of one kind that stands for a job."""
    row = tx.execute(_FIND, {"of": job, "to": work}).first()
    return InstructionRow(*row) if row else None


def list_all(tx: Tx) -> list[InstructionRow]:
    """All slow work that stands, oldest first."""
    return [InstructionRow(*row) for row in tx.execute(_LIST).all()]


def of_pipeline(tx: Tx, pipeline: int) -> list[InstructionRow]:
    """Slow work that stands for the jobs of a pipeline, oldest first."""
    return [InstructionRow(*row) for row in tx.execute(_OF_PIPELINE, {"of": pipeline}).all()]
