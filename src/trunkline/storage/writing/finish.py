"""The end of a commit: its layers become one diff, checked; its content becomes runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from trunkline.storage.filesets.runs import Run
from trunkline.storage.filesets.schema import replace
from trunkline.storage.filesets.seal import Sealer
from trunkline.storage.ports import Sealed
from trunkline.storage.reading.view import View
from trunkline.storage.writing.intake import Intake, Packer
from trunkline.storage.writing.layers import Layers, Spool
from trunkline.storage.writing.levels import how_many_to_merge, merge_runs
from trunkline.storage.writing.resolve import Change, Treatment, resolve


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
    """What finishing needs, for one session. scratch: a folder for rows that wait, when they are many."""

    sealer: Sealer
    intake: Intake
    open_run: Callable[[Sealed], Run]
    recut: Change
    scratch: Path

    def finish(self, runs: Sequence[Sealed], base: View, layers: Layers, since: int) -> Finished:
        """Lay layers on the content of `runs`, opened as `base`."""
        treatment = Treatment(Packer(self.intake), self.recut)
        with Spool(self.scratch) as spool:
            resolved = resolve(base, layers, spool, treatment)
            if resolved.error or not resolved.diff_rows:
                return Finished(None, tuple(runs), resolved.size_bytes, resolved.files, resolved.error)
            roots = (base.hash, resolved.root)
            run = self.sealer.seal((_stamped(rows, since) for rows in resolved.batches), roots)
        record = run if resolved.as_diff else self._record(layers, since)
        manifest = self._levelled([*runs, run], resolved.diff_rows)
        return Finished(record, manifest, resolved.size_bytes, resolved.files)

    def _record(self, layers: Layers, since: int) -> Sealed:
        pack = Packer(self.intake)
        return self.sealer.seal(_stamped(pack(layers.between(*range_)), since) for range_ in layers.ranges())

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
