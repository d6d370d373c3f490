"""Datums that an input would make, before there is a job."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.ambient import Micros
from trunkline.errors import NotFound
from trunkline.model.datums import DatumTable
from trunkline.model.infos_pps import DatumInfo
from trunkline.model.inputs import MATCHES, evaluate
from trunkline.model.jobs import DatumState
from trunkline.model.names import Commit, Job, Pipeline, Repo
from trunkline.model.specs import CronInput, Input, leaves_of
from trunkline.pfs.reads import Source
from trunkline.pps.datums.listing import file_of, raw_id
from trunkline.pps.planning import match, with_commits

PAGE = 1000

Committed = Mapping[Commit, Micros | None]


def wanted_of(root: Input) -> dict[Repo, str]:
    """What an input reads, as references: a commit or a branch of each repo."""
    return {leaf.source: leaf.commit or leaf.branch for leaf in leaves_of(root)}


def preview(root: Input, project: str, sources: Mapping[Repo, Source]) -> DatumTable:
    """The datums that an input would make. sources: what it reads, as `wanted_of` says, opened.

    A cron input without a source has not ticked yet: its repo is made with its pipeline.
    """
    commits = dict.fromkeys(wanted_of(root), "") | {repo: source.commit.id for repo, source in sources.items()}
    matches = [
        match(sources[leaf.source].view, leaf) if leaf.source in sources else MATCHES.empty_table()
        for leaf in leaves_of(root)
    ]
    return evaluate(with_commits(root, commits), matches, project)


def ticks(root: Input) -> set[Repo]:
    """The repos of an input's own ticks, which are not there before its pipeline is."""
    return {leaf.source for leaf in leaves_of(root) if isinstance(leaf, CronInput)}


def committed(sources: Mapping[Repo, Source]) -> Committed:
    """When each commit that an input reads was finished; None where it is open."""
    return {source.commit: source.committed_us for source in sources.values()}


def list_preview(
    table: DatumTable,
    pipeline: Pipeline,
    finished: Committed,
    *,
    states: Collection[DatumState] = (),
    after: str = "",
    reverse: bool = False,
) -> Iterator[DatumInfo]:
    """Datums of a `preview` in the order of running, or the reverse; their states are UNKNOWN.

    finished: as `committed` says. after: the ID of a datum to begin after. Raises InvalidArgument where it is none,
    NotFound where it is not there.
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
    return described(table, pipeline, finished, rows)


def described(table: DatumTable, pipeline: Pipeline, finished: Committed, rows: np.ndarray) -> Iterator[DatumInfo]:
    """Some datums of a preview, in the order of `rows`. finished: as `committed` says."""
    nowhere = Job(pipeline, "")
    for start in range(0, len(rows), PAGE):
        wanted = pa.array(rows[start : start + PAGE])
        ids = pc.take(table.ids, wanted).to_pylist()
        elements = table.take(wanted).datums(0, len(wanted))
        for row, raw, datum in zip(wanted.to_pylist(), ids, elements, strict=True):
            files = tuple(file_of(one, finished) for one in datum)
            yield DatumInfo(nowhere, raw.hex(), row, DatumState.UNKNOWN, files=files)
