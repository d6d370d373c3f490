"""Datums that an input would make, before there is a job."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.errors import NotFound
from trunkline.model.datums import DatumTable
from trunkline.model.infos_pps import DatumFile, DatumInfo
from trunkline.model.inputs import evaluate
from trunkline.model.jobs import DatumState
from trunkline.model.names import Commit, Job, Pipeline, Repo
from trunkline.model.specs import Input, leaves_of
from trunkline.pfs import reads
from trunkline.pfs.files import Files
from trunkline.pps.datums.listing import raw_id
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
    """Datums of a `preview` in the order of running, or the reverse; their states are UNKNOWN.

    after: the ID of a datum to begin after. Raises InvalidArgument where it is none, NotFound where it is not there.
    """
    wanted = raw_id(after) if after else None
    if states and DatumState.UNKNOWN not in states:
        return iter(())
    rows = np.arange(len(table))
    if reverse:
        rows = rows[::-1]
    if wanted is not None:
        at = pc.index(table.ids, pa.scalar(wanted, table.ids.type)).as_py()
        if at < 0:
            raise NotFound(f"the input makes no datum {after} now; list from the start, without paginationMarker")
        rows = rows[np.flatnonzero(rows == at)[0] + 1 :]
    return described(table, pipeline, rows)


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
