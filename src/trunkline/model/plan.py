"""Which datums of a job run and which do not: a join of the job's table with what earlier jobs did, by columns.

A row is matched by what it is (the names of its elements), and its result is taken over if what it holds is the same.
A base is the job that the output builds on; a donor is a job that failed, whose good results are adopted one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.model.datums import DatumTable
from trunkline.model.jobs import DatumState
from trunkline.model.results import CODE


class RowClass(IntEnum):
    """What is to become of a row; the numbers are part of the format. A row leaves only UNDECIDED."""

    RUN = 0
    SKIP = 1
    ADOPTED = 2
    UNDECIDED = 3


NEW = "new: the last job did not have it"
CHANGED = "changed: it is not what the last job read"
FAILED = "it failed in the last job"
RECOVERED = "it failed in the last job, which err_cmd made good"
NO_RESULT = "the last job has no result for it"
UNCHANGED = "unchanged since the last job"
ADOPTED = "a job that failed had run it already"
WAITING = "waits for the last job to end, which works on it"


@dataclass(frozen=True, slots=True)
class Known:
    """What an earlier job knows. states: for each of its datums a code of `results.STATES`; null: no result.

    In a donor only what it ran or adopted itself counts, so its other rows have null. ended: no state will change.
    """

    table: DatumTable
    states: pa.Array
    ended: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """One entry for each row of the job's table.

    classes: int8, a `RowClass` each. reasons: string. source: int64, the row in the base (SKIP) or in the donor
    (ADOPTED) whose result it takes, else null. gone: int64, rows of the base that the job does not have.
    """

    classes: pa.Array
    reasons: pa.Array
    source: pa.Array
    gone: pa.Array

    def rows(self, wanted: RowClass) -> pa.Array:
        """Positions of the rows of one class, ascending, as int64."""
        return pa.array(np.flatnonzero(pc.equal(self.classes, int(wanted)).to_numpy(zero_copy_only=False)), pa.int64())

    def count(self, wanted: RowClass) -> int:
        """How many rows are of one class."""
        return int(pc.sum(pc.equal(self.classes, int(wanted))).as_py() or 0)


def plan(table: DatumTable, base: Known | None, donor: Known | None = None, *, first: str = NEW) -> Plan:
    """Class and reason of every row. first: the reason to run where there is no base.

    While the base runs, rows that it has unchanged stay UNDECIDED, unless the donor has them; the others are decided.
    """
    count = len(table)
    classes, reasons, source = _all(int(RowClass.RUN), count), _all(first, count), pa.nulls(count, pa.int64())
    gone = pa.array([], pa.int64())
    if base is not None:
        where = _where(table, base)
        classes, reasons, source = _by_base(table, base, where)
        missing = np.ones(len(base.table), bool)
        missing[pc.drop_null(where).to_numpy()] = False
        gone = pa.array(np.flatnonzero(missing), pa.int64())
    if donor is not None:
        where = _where(table, donor)
        adopted = pc.and_(_good(table, donor, where), pc.not_equal(classes, int(RowClass.SKIP)))
        classes = pc.if_else(adopted, int(RowClass.ADOPTED), classes)
        reasons = pc.if_else(adopted, ADOPTED, reasons)
        source = pc.if_else(adopted, where, source)
    return Plan(classes.cast(pa.int8()), reasons, source, gone)


def settle(
    before: Plan, table: DatumTable, base: Known | None, donor: Known | None = None, *, first: str = NEW
) -> Plan:
    """`before` with its UNDECIDED rows decided against `base`; no other row changes."""
    now = plan(table, base, donor, first=first)
    undecided = pc.equal(before.classes, int(RowClass.UNDECIDED))
    return Plan(
        pc.if_else(undecided, now.classes, before.classes),
        pc.if_else(undecided, now.reasons, before.reasons),
        pc.if_else(undecided, now.source, before.source),
        now.gone,
    )


def _where(table: DatumTable, known: Known) -> pa.Array:
    """For each row where `known` has the same datum; null: nowhere."""
    return pc.index_in(table.keys, value_set=known.table.keys).cast(pa.int64())


def _same(table: DatumTable, known: Known, where: pa.Array) -> pa.Array:
    """Whether it holds the same there."""
    return pc.fill_null(pc.equal(table.contents, known.table.contents.take(where)), False)


def _good(table: DatumTable, known: Known, where: pa.Array) -> pa.Array:
    """Whether it holds the same there, and has a result that can be taken over."""
    wanted = pa.array([CODE[DatumState.SUCCESS], CODE[DatumState.SKIPPED]], known.states.type)
    usable = pc.fill_null(pc.is_in(known.states.take(where), value_set=wanted), False)
    return pc.and_(_same(table, known, where), usable)


def _by_base(table: DatumTable, base: Known, where: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
    same = _same(table, base, where)
    states = base.states.take(where)
    waits = pc.and_(same, pa.scalar(not base.ended))
    skipped = pc.and_(_good(table, base, where), pa.scalar(base.ended))
    classes = pc.if_else(waits, int(RowClass.UNDECIDED), pc.if_else(skipped, int(RowClass.SKIP), int(RowClass.RUN)))
    cases = {
        NEW: pc.is_null(where),
        CHANGED: pc.invert(same),
        WAITING: waits,
        UNCHANGED: skipped,
        FAILED: pc.fill_null(pc.equal(states, CODE[DatumState.FAILED]), False),
        RECOVERED: pc.fill_null(pc.equal(states, CODE[DatumState.RECOVERED]), False),
    }
    texts = (_all(text, len(where)) for text in (*cases, NO_RESULT))
    reasons = pc.case_when(pc.make_struct(*cases.values()), *texts)
    return classes, reasons, pc.if_else(skipped, where, pa.scalar(None, pa.int64()))


def _all(value: str | int, length: int) -> pa.Array:
    return pa.repeat(pa.scalar(value), length)
