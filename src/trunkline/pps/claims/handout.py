"""A leased range with everything that its worker needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from trunkline.ambient import Micros
from trunkline.catalog.collection import sessions as session_rows
from trunkline.catalog.engine import Tx
from trunkline.catalog.work import claims as claim_rows
from trunkline.catalog.work import pipelines as pipeline_rows
from trunkline.catalog.work.claims import ClaimRow
from trunkline.catalog.work.containers import CONTAINER, POD
from trunkline.catalog.work.jobs import JobRow
from trunkline.errors import Aborted
from trunkline.model.datums import DatumTable
from trunkline.model.names import Commit, Pipeline
from trunkline.model.specs import PipelineSpec
from trunkline.pfs import outputs
from trunkline.pfs.files import Files
from trunkline.pfs.images import ImageInfo
from trunkline.pps.claims.leases import Leased, claim, shorten
from trunkline.pps.images.where import image_of
from trunkline.pps.tables import Tables, slice_of


@dataclass(frozen=True, slots=True)
class Handed:
    """All that a worker needs for a range that it has leased. datums: those of the range, in order of running.

    inputs: the file sets of each input's commit. deaths: for rows on which workers died, how many. image: where the
    code runs, None for the host's own files. contained: in a container.
    """

    leased: Leased
    spec: PipelineSpec
    spec_commit: str
    image: ImageInfo | None
    inputs: tuple[Input, ...]
    datums: DatumTable
    deaths: dict[int, int]
    contained: bool = False


@dataclass(frozen=True, slots=True)
class Input:
    """A commit that the datums read, the file sets it is made of, oldest first, and when it was finished (0: not)."""

    commit: Commit
    filesets: tuple[str, ...]
    finished_us: Micros = 0


def hand_out(
    files: Files,
    tables: Tables,
    worker: str,
    session: int | Callable[[Tx], int],
    *,
    max_datums: int = 0,
    pipeline: Pipeline | None = None,
    version: int = 0,
    workers: int = 1,
    gpus: int | None = None,
) -> Handed | None:
    """`claim`, with everything that the worker needs for the range.

    session: the worker's; or what says or opens it, in which case it has ended where there is nothing to do.
    """

    def work(tx: Tx) -> Leased | None:
        gen = session if isinstance(session, int) else session(tx)
        one = claim(
            tx, worker, gen, max_datums=max_datums, pipeline=pipeline, version=version, workers=workers, gpus=gpus
        )
        if one is None and not isinstance(session, int):
            session_rows.end_session(tx, gen)
        return one

    leased = files.catalog.transact(work)
    if leased is None or leased.job.datums is None:
        return None
    table = tables.load(leased.job.datums)
    part = slice_of(table, leased.claim.done, leased.claim.last)
    if leased.job.set_bytes and (fit := _fitting(part, leased.job)) < len(part):
        whole, last = leased, leased.claim.done + fit
        leased = files.catalog.transact(lambda tx: shorten(tx, whole, last))
        part = slice_of(table, leased.claim.done, leased.claim.last)
    given = leased
    return files.catalog.read(lambda tx: _handed(tx, given, part, table.records))


def _fitting(datums: DatumTable, job: JobRow) -> int:
    """How many datums make a set by number and size: the first one in any case, and that with which it is reached."""
    sums = np.cumsum(datums.sizes.to_numpy())
    return min(int(np.searchsorted(sums, job.set_bytes)) + 1, job.set_datums or len(datums))


def hand_again(tx: Tx, job: JobRow, datums: DatumTable, row: int, records: Mapping[int, tuple[str, ...]]) -> Handed:
    """What a worker would get for one datum of a job, without a lease: nothing that is done with it counts.

    Raises Aborted when the pipeline was deleted.
    """
    claim = ClaimRow(
        id=f"{job.seq}.replay",
        job=job.seq,
        pipeline=job.pipeline,
        gen=0,
        first=row,
        last=row + 1,
        done=row,
        fence=0,
        worker=None,
        session=None,
        leased_us=None,
        ticks_left=0,
        row=None,
        row_started_us=None,
        restart=(),
    )
    return replace(_handed(tx, Leased(claim, job), datums, records), deaths={})


def _handed(tx: Tx, leased: Leased, datums: DatumTable, records: Mapping[int, tuple[str, ...]]) -> Handed:
    job = leased.job
    version = pipeline_rows.get_version(tx, job.pipeline, job.version)
    if version is None:
        raise Aborted(f"the pipeline of job {job.job} was deleted")
    inputs = tuple(
        Input(
            commit.commit,
            records.get(commit.seq) or tuple(outputs.content_filesets(tx, commit.seq)),
            commit.finished_us or 0,
        )
        for commit in outputs.inputs_of(tx, job.output_commit)
    )
    return Handed(
        leased=leased,
        spec=PipelineSpec.from_json(version.effective_spec),
        spec_commit=version.spec_commit,
        image=image_of(tx, version),
        contained=version.runner in (CONTAINER, POD),
        inputs=inputs,
        datums=datums,
        deaths=claim_rows.deaths_in(tx, job.seq, leased.claim.gen, leased.claim.done, leased.claim.last),
    )
