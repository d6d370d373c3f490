"""The runs that a commit's content is read from: few, each much larger than the next, cheap to keep so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from trunkline.storage.filesets.live import newest, windows
from trunkline.storage.filesets.runs import Run, plain
from trunkline.storage.filesets.seal import Sealer
from trunkline.storage.ports import Sealed
from trunkline.storage.writing.intake import INLINE_TOTAL, Intake, pack_inline

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
    """The rows of adjacent runs, oldest first, as of one; a window at a time. bottom: nothing lies under them."""
    newest_first = [run for run in reversed(runs) if run.count]
    trees = [run.trees for run in newest_first]
    for low, high in windows(newest_first, "/", None):
        yield plain(newest([run.between(low, high) for run in newest_first], trees, hides=not bottom))


def merge_runs(runs: Sequence[tuple[Sealed, Run]], bottom: bool, sealer: Sealer, intake: Intake) -> Sealed:
    """One run in the place of these adjacent ones, oldest first."""

    def rows() -> Iterator[pa.RecordBatch]:
        inline = 0
        for window in merged_rows([run for _, run in runs], bottom=bottom):
            packed, used = pack_inline(window, intake, INLINE_TOTAL - inline)
            inline += used
            yield packed

    return sealer.seal(rows(), roots=(runs[0][0].over, runs[-1][0].root))
