"""Datums that an input would make, before there is a job."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.model.datums import DatumTable
from trunkline.model.infos_pps import DatumFile, DatumInfo
from trunkline.model.inputs import evaluate
from trunkline.model.jobs import DatumState
from trunkline.model.names import Commit, Job, Pipeline, Repo
from trunkline.model.specs import Input, leaves_of
from trunkline.pfs import reads
from trunkline.pfs.files import Files
from trunkline.pps.datums.listing import by_id, raw_id
from trunkline.pps.planning import match, with_commits

PAGE = 1000


def preview(files: Files, root: Input, project: str) -> DatumTable:
    """The datums that an input would make of what its branches hold now. Raises NotFound, FailedPrecondition."""
    sources = {}
    commits: dict[Repo, str] = {}
    for leaf in leaves_of(root):
        sources[leaf.source] = reads.need_source(files, leaf.source, leaf.commit or leaf.branch)
        commits[leaf.source] = sources[leaf.source].commit.id
    matches = [match(sources[leaf.source].view, leaf) for leaf in leaves_of(root)]
    return evaluate(with_commits(root, commits), matches, project)


def list_preview(
    table: DatumTable,
    pipeline: Pipeline,
    *,
    states: Collection[DatumState] = (),
    after: str = "",
    reverse: bool = False,
) -> Iterator[DatumInfo]:
    """Datums of a `preview` by ID, as `list_datums` has those of a job; their states are UNKNOWN."""
    if states and DatumState.UNKNOWN not in states:
        return iter(())
    return described(table, pipeline, by_id(table.ids, raw_id(after) if after else None, reverse=reverse))


def described(table: DatumTable, pipeline: Pipeline, rows: np.ndarray) -> Iterator[DatumInfo]:
    """Some datums of a preview, in the order of `rows`."""
    nowhere = Job(pipeline, "")
    for start in range(0, len(rows), PAGE):
        wanted = pa.array(rows[start : start + PAGE])
        ids = pc.take(table.ids, wanted).to_pylist()
        elements = table.take(wanted).datums(0, len(wanted))
        for row, raw, datum in zip(wanted.to_pylist(), ids, elements, strict=True):
            files = tuple(
                DatumFile(
                    one.slot.name,
                    Commit(one.slot.source, one.slot.commit),
                    f"{one.path}/" if one.is_dir and one.path != "/" else one.path,
                    one.size_bytes,
                    one.hash,
                )
                for one in datum
            )
            yield DatumInfo(nowhere, raw.hex(), row, DatumState.UNKNOWN, files=files)
