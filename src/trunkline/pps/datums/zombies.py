"""Zombies: files of an output commit whose datum its job does not have, so that no later job would take them away."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from trunkline.catalog.engine import Tx
from trunkline.catalog.work import jobs as job_rows
from trunkline.catalog.work import pipelines as pipeline_rows
from trunkline.catalog.work.jobs import JobRow
from trunkline.errors import FailedPrecondition
from trunkline.model.jobs import JobState
from trunkline.model.names import Repo
from trunkline.pfs import reads
from trunkline.pfs.graph.refs import need_commit
from trunkline.pps.controller import Pps


def in_commit(pps: Pps, repo: Repo, ref: str) -> Iterator[str]:
    """Zombies of one output commit, a sentence for each. Raises NotFound, FailedPrecondition for any other commit."""
    yield from _zombies(pps, pps.files.catalog.read(lambda tx: _job_of(tx, repo, ref)))


def _job_of(tx: Tx, repo: Repo, ref: str) -> JobRow:
    commit = need_commit(tx, repo, ref)
    job = job_rows.by_commits(tx, [commit.seq]).get(commit.seq)
    if job is None or job.output_commit != commit.seq:
        raise FailedPrecondition(
            f"{commit.commit} is not the output of a job: zombies are files of datums that are gone"
        )
    if not job.ended or job.state != JobState.SUCCESS.value:
        raise FailedPrecondition(f"the job of {commit.commit} is {job.state}; look when it has succeeded")
    return job


def everywhere(pps: Pps) -> Iterator[str]:
    """Zombies of the newest good output of every pipeline, a sentence for each."""
    for row in pps.files.catalog.read(lambda tx: pipeline_rows.list_pipelines(tx, [])):
        good = [JobState.SUCCESS.value]
        key = row.key
        for job in pps.files.catalog.read(lambda tx: job_rows.list_jobs(tx, pipeline=key, states=good, limit=1)):  # noqa: B023
            yield from _zombies(pps, job)


def _zombies(pps: Pps, job: JobRow) -> Iterator[str]:
    if job.datums is None:
        return
    known = pa.array([one.hex() for one in pps.tables.load(job.datums).rows["id"].to_pylist()], pa.string())
    source = reads.need_source(pps.files, job.job.pipeline.output, job.job.id)
    for page in source.view.files("/"):
        left = page.filter(pc.invert(pc.is_in(page["datum"], value_set=known)))
        for path, datum in zip(left["path"].to_pylist(), left["datum"].to_pylist(), strict=True):
            yield f"I-9: {path} in {source.commit} is of datum {datum}, which job {job.job} does not have"
