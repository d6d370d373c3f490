"""Which datums of a job run and which do not: a join of the job's table with what earlier jobs did, by columns.

A row is matched by what it is (the names of its elements), and its result is taken over if what it holds is the same.
A base is the job that the output builds on; a donor is a job that failed, whose good results are adopted one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
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

_GOOD = (CODE[DatumState.SUCCESS], CODE[DatumState.SKIPPED])
_BAD = {CODE[DatumState.FAILED]: FAILED, CODE[DatumState.RECOVERED]: RECOVERED}


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
    return _decided(table, np.ones(len(table), bool), None, base, donor, first)


def settle(
    before: Plan, table: DatumTable, base: Known | None, donor: Known | None = None, *, first: str = NEW
) -> Plan:
    """`before` with its UNDECIDED rows decided against `base`; no other row changes."""
    undecided = pc.equal(before.classes, int(RowClass.UNDECIDED)).to_numpy(zero_copy_only=False)
    return _decided(table, undecided, before, base, donor, first)


def _decided(
    table: DatumTable,
    wanted: np.ndarray[tuple[int], np.dtype[np.bool_]],
    before: Plan | None,
    base: Known | None,
    donor: Known | None,
    first: str,
) -> Plan:
    rows = pa.array(np.flatnonzero(wanted))
    every = len(rows) == len(table)
    keys = table.keys if every else table.keys.take(rows)
    contents = table.contents if every else table.contents.take(rows)
    nothing = pa.nulls(len(rows), pa.int64())
    classes = pa.array(np.zeros(len(rows), np.int8))
    reasons, source = _all(first, len(rows)), nothing
    if base is not None:
        classes, reasons, source = _by_base(keys, contents, base)
    if donor is not None:
        where, _, good = _matched(keys, contents, donor, (CODE[DatumState.SUCCESS], CODE[DatumState.SKIPPED]))
        adopted = pc.and_(good, pc.not_equal(classes, int(RowClass.SKIP)))
        classes = pc.if_else(adopted, pa.scalar(int(RowClass.ADOPTED), pa.int8()), classes)
        reasons = pc.if_else(adopted, ADOPTED, reasons)
        source = pc.if_else(adopted, where, source)
    if before is not None:
        mask = pa.array(wanted)
        classes = pc.replace_with_mask(before.classes, mask, classes)
        reasons = pc.replace_with_mask(before.reasons, mask, reasons)
        source = pc.replace_with_mask(before.source, mask, source)
    return Plan(classes, reasons, source, _gone(table, base))


def _by_base(keys: pa.Array, contents: pa.Array, base: Known) -> tuple[pa.Array, pa.Array, pa.Array]:
    where, same, good = _matched(keys, contents, base, _GOOD)
    states = base.states.take(where)
    there = pc.is_valid(where)
    waits = pc.and_(same, pa.scalar(not base.ended))
    skipped = pc.and_(good, pa.scalar(base.ended))
    classes = pc.if_else(waits, int(RowClass.UNDECIDED), pc.if_else(skipped, int(RowClass.SKIP), int(RowClass.RUN)))
    reasons = pc.case_when(
        pc.make_struct(
            pc.invert(there), pc.invert(same), waits, skipped, *(pc.fill_null(pc.equal(states, c), False) for c in _BAD)
        ),
        *(_all(text, len(keys)) for text in (NEW, CHANGED, WAITING, UNCHANGED, *_BAD.values(), NO_RESULT)),
    )
    return classes.cast(pa.int8()), reasons, pc.if_else(skipped, where, pa.scalar(None, pa.int64()))


def _matched(
    keys: pa.Array, contents: pa.Array, known: Known, good: Sequence[int]
) -> tuple[pa.Array, pa.Array, pa.Array]:
    """For each row: where `known` has it (null: nowhere), whether it holds the same, and whether its result is good."""
    where = pc.index_in(keys, value_set=known.table.keys).cast(pa.int64())
    same = pc.fill_null(pc.equal(contents, known.table.contents.take(where)), False)
    usable = pc.fill_null(pc.is_in(known.states.take(where), value_set=pa.array(good, known.states.type)), False)
    return where, same, pc.and_(same, usable)


def _gone(table: DatumTable, base: Known | None) -> pa.Array:
    if base is None:
        return pa.array([], pa.int64())
    missing = pc.invert(pc.is_in(base.table.keys, value_set=table.keys))
    return pa.array(np.flatnonzero(missing.to_numpy(zero_copy_only=False)), pa.int64())


def _all(text: str, length: int) -> pa.Array:
    return pa.array([text]).take(pa.array(np.zeros(length, np.int8)))
