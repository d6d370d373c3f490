"""The end of a commit: its layers become one diff, checked; its content becomes runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from trunkline.storage.filesets.runs import Run
from trunkline.storage.filesets.schema import replace
from trunkline.storage.filesets.seal import Sealer
from trunkline.storage.ports import Sealed
from trunkline.storage.reading.view import View
from trunkline.storage.writing.intake import Intake, pack_inline
from trunkline.storage.writing.levels import how_many_to_merge, merge_runs
from trunkline.storage.writing.resolve import Recut, resolve


@dataclass(frozen=True, slots=True)
class Finished:
    """What a commit came to.

    diff: what it changed, the record for ever; None when nothing, or when there is an error. manifest: the runs of its
    content, oldest first, some of them the base's own. error: why the content is not sound, "" when it is; then nothing
    was sealed, and the commit is read as its base with its layers on top. size_bytes, files: of the whole content.
    """

    diff: Sealed | None
    manifest: tuple[Sealed, ...]
    size_bytes: int
    files: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class Finisher:
    """What finishing needs, for one session."""

    sealer: Sealer
    intake: Intake
    open_run: Callable[[Sealed], Run]
    recut: Recut

    def finish(self, runs: Sequence[Sealed], base: View, diff: pa.RecordBatch, since: int) -> Finished:
        """Lay `diff`, canonical and without directories, on the content of `runs`, opened as `base`."""
        if not diff.num_rows:
            return Finished(None, tuple(runs), base.size_bytes, base.count)
        diff, _ = pack_inline(diff, self.intake)
        resolved = resolve(base, diff, self.recut)
        if resolved.error:
            return Finished(None, tuple(runs), resolved.size_bytes, resolved.files, resolved.error)
        roots = (base.hash, resolved.root)
        run = self.sealer.seal([_stamped(resolved.rows, since)], roots)
        record = run if resolved.as_diff else self.sealer.seal([_stamped(diff, since)])
        manifest = self._levelled([*runs, run], diff.num_rows)
        return Finished(record, manifest, resolved.size_bytes, resolved.files)

    def _levelled(self, runs: list[Sealed], diff_rows: int) -> tuple[Sealed, ...]:
        merged = how_many_to_merge([run.rows for run in runs], diff_rows)
        if merged < 2:
            return tuple(runs)
        left, chosen = runs[:-merged], runs[-merged:]
        opened = [(one, self.open_run(one)) for one in chosen]
        return (*left, merge_runs(opened, not left, self.sealer, self.intake))


def _stamped(rows: pa.RecordBatch, since: int) -> pa.RecordBatch:
    return replace(rows, since=pa.array(np.full(rows.num_rows, since, dtype=np.int64)))


def split(sealed: Sequence[Sealed]) -> tuple[list[Sealed], list[Sealed]]:
    """The runs at the bottom of a stack of file sets, oldest first, and the layers on top.

    A run counts as one only on the content it was made for; anywhere else its rows for directories would be wrong.
    """
    root = b""
    for number, one in enumerate(sealed):
        if not one.run or one.over != root:
            return list(sealed[:number]), list(sealed[number:])
        root = one.root
    return list(sealed), []
