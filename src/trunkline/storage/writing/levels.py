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
FREE_ROWS = 10_000


def how_many_to_merge(rows: Sequence[int], diff_rows: int) -> int:
    """How many of the newest runs to merge into one (1: none), given rows of each, oldest first.

    A run should be FACTOR times as large as all that are newer together. At most FACTOR * diff_rows + FREE_ROWS rows
    are rewritten, until there would be more than MAX_RUNS: then all that are too small are, once, which makes room for
    many commits.
    """
    budget = FACTOR * diff_rows + FREE_ROWS
    merged, total = 1, rows[-1]
    while merged < len(rows):
        older = rows[-merged - 1]
        if older >= FACTOR * total or older + total > budget:
            break
        total += older
        merged += 1
    if len(rows) - merged + 1 <= MAX_RUNS:
        return merged
    newer = [sum(rows[at + 1 :]) for at in range(len(rows))]
    too_small = [at for at in range(len(rows) - 1) if rows[at] < FACTOR * newer[at]]
    return len(rows) - too_small[0] if too_small else 2


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
