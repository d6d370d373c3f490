"""The runs that a commit's content is read from: few, each much larger than the next, cheap to keep so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from trunkline.storage.filesets.live import newest
from trunkline.storage.filesets.runs import Run, plain
from trunkline.storage.filesets.seal import Sealer
from trunkline.storage.ports import Sealed
from trunkline.storage.writing.intake import Intake, Packer
from trunkline.storage.writing.layers import SLICE_ROWS, even_ranges

FACTOR = 10
MAX_RUNS = 8
"""Commits with more runs are levelled, beside everything else."""
MOST_RUNS = 24
"""A commit never has more: where levelling is so far behind, finishing waits for a part of it."""
FREE_ROWS = 10_000
LAYER_FACTOR = 4


def how_many_to_merge(rows: Sequence[int], diff_rows: int) -> int:
    """How many of the newest runs to merge into one when a commit is finished (1: none), given rows of each, oldest
    first.

    A run should be FACTOR times as large as all that are newer together. At most FACTOR * diff_rows + FREE_ROWS rows
    are rewritten, as long as there are not more than MOST_RUNS: then the fewest rows are that help.
    """
    budget = FACTOR * diff_rows + FREE_ROWS
    merged, total = 1, rows[-1]
    while merged < len(rows):
        older = rows[-merged - 1]
        if older >= FACTOR * total or older + total > budget:
            break
        total += older
        merged += 1
    if len(rows) - merged + 1 <= MOST_RUNS:
        return merged
    small = _too_small(rows)
    return len(rows) - small[-1] if small else 2


def crowd(rows: Sequence[int]) -> tuple[int, int] | None:
    """Which adjacent runs of a finished commit to merge into one: first, and one past the last; None: it has few.

    All that are too small, which makes room for many commits; but not the newest, which the next commits merge with
    their own: nobody would have them in common with what is made of them here.
    """
    if len(rows) <= MAX_RUNS:
        return None
    end, newest = len(rows), 0
    while end and newest + rows[end - 1] <= FREE_ROWS:
        end -= 1
        newest += rows[end]
    end = end if end >= 2 else len(rows)
    small = _too_small(rows[:end])
    return (small[0] if small else end - 2), end


def layers_to_merge(rows: Sequence[int]) -> int:
    """Where those of too many layers begin that should become one, given rows of each, oldest first.

    What is left below is LAYER_FACTOR times as large as all above it, so that a row is merged a few times only.
    """
    small = [at for at in range(len(rows) - 1) if rows[at] < LAYER_FACTOR * sum(rows[at + 1 :])]
    return small[0] if small else len(rows) - 2


def _too_small(rows: Sequence[int]) -> list[int]:
    """Runs that are less than FACTOR times all that are newer together."""
    return [at for at in range(len(rows) - 1) if rows[at] < FACTOR * sum(rows[at + 1 :])]


def merged_rows(runs: Sequence[Run], *, bottom: bool) -> Iterator[pa.RecordBatch]:
    """The rows of adjacent runs, oldest first, as of one; a range of paths at a time. bottom: nothing is under them."""
    newest_first = [run for run in reversed(runs) if run.count]
    trees = [run.trees for run in newest_first]
    for low, high in even_ranges(newest_first, SLICE_ROWS):
        yield plain(newest([run.between(low, high) for run in newest_first], trees, hides=not bottom))


def merge_runs(runs: Sequence[tuple[Sealed, Run]], bottom: bool, sealer: Sealer, intake: Intake) -> Sealed:
    """One run in the place of these adjacent ones, oldest first."""
    packed = map(Packer(intake), merged_rows([run for _, run in runs], bottom=bottom))
    return sealer.seal(packed, roots=(runs[0][0].over, runs[-1][0].root))
