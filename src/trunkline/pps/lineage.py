"""A job among others: the inputs it waits for, the job it builds on, the one whose results it may take over."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from trunkline.catalog import commits as commit_rows
from trunkline.catalog import history as history_rows
from trunkline.catalog.commits import CommitRow
from trunkline.catalog.engine import Tx
from trunkline.catalog.work import jobs as job_rows
from trunkline.catalog.work import pipelines as pipeline_rows
from trunkline.catalog.work.jobs import JobRow
from trunkline.errors import NotFound
from trunkline.model.jobs import JobState
from trunkline.model.names import SPEC_REPO, Pipeline
from trunkline.model.specs import PipelineSpec
from trunkline.pfs import outputs
from trunkline.pps import events as ev
from trunkline.pps.decide import JobCore, Phase
from trunkline.pps.events import Ending, JobEvent

FIRST_PAGE, PAGE = 4, 50
BLAMED = 3
"""How many causes a job that cannot run names."""


def core_of(row: JobRow) -> JobCore:
    """What the rules know of a job."""
    ending = row.core["base_ending"]
    values: dict[str, Any] = dict(row.core)
    return JobCore(
        **values
        | {
            "state": JobState(row.core["state"]),
            "phase": Phase(row.core["phase"]),
            "base_ending": Ending(ending) if ending else None,
            "base_planned": bool(row.core["base_planned"]),
            "settling": bool(row.core["settling"]),
            "egress": bool(row.core["egress"]),
        }
    )


def spec_of(tx: Tx, pipeline: int, version: int) -> PipelineSpec:
    """What one version of a pipeline is to do."""
    row = pipeline_rows.get_version(tx, pipeline, version)
    if row is None:
        raise NotFound(f"version {version} of the pipeline is gone: the pipeline was deleted")
    return PipelineSpec.from_json(row.effective_spec)


def look_at_inputs(tx: Tx, row: JobRow) -> JobEvent | None:
    """Whether every input commit is finished, and well; None: not yet."""
    inputs = outputs.inputs_of(tx, row.output_commit)
    if not all(commit.finished for commit in inputs):
        return None
    bad = [commit for commit in inputs if commit.error]
    if not bad:
        return ev.InputsReady()
    return ev.InputsFailed(tuple(_blame(tx, commit) for commit in _first_causes(tx, bad)))


def _first_causes(tx: Tx, bad: list[CommitRow]) -> list[CommitRow]:
    """Where errors began: behind an input that could not run are its bad inputs. Each once, the first few."""
    causes: list[CommitRow] = []
    waiting, seen = deque(bad), {commit.seq for commit in bad}
    while waiting and len(causes) < BLAMED:
        commit = waiting.popleft()
        job = job_rows.by_commits(tx, [commit.seq]).get(commit.seq)
        above = outputs.inputs_of(tx, commit.seq) if job and job.state == JobState.UNRUNNABLE.value else []
        behind = [one for one in above if one.error]
        if not behind:
            causes.append(commit)
        waiting.extend(one for one in behind if one.seq not in seen)
        seen.update(one.seq for one in behind)
    return causes


def _blame(tx: Tx, commit: CommitRow) -> str:
    repo = commit.commit.repo
    if repo.type != SPEC_REPO and pipeline_rows.find_pipeline(tx, Pipeline(repo.project, repo.name)):
        return f"the upstream pipeline {repo.name} failed in commit {repo.name}@{commit.commit.id} ({commit.error})"
    return f"the input commit {repo.name}@{commit.commit.id} has an error ({commit.error})"


def choose_base(tx: Tx, row: JobRow, gen: int, older_than: int | None) -> ev.BaseChosen:
    """The nearest older job of this pipeline that is good, or may become it, along the history of the output branch."""
    nothing = ev.BaseChosen(gen, None)
    if not spec_of(tx, row.pipeline, row.version).skips:
        return nothing
    passed = True
    for job in older_jobs(tx, row, leap=True):
        if passed and _hopeful(job):
            passed = False  # whoever stands on this job need not look at those between again
            job_rows.set_values(tx, row.seq, look_from=job.output_commit)
        if older_than is not None and job.seq >= older_than:
            continue
        if job.salt != row.salt:
            return nothing  # every datum's hash differs: nothing could be skipped
        core = core_of(job)
        if core.state is JobState.SUCCESS and core.over:
            return ev.BaseChosen(gen, job.seq, planned=True, ending=Ending.GOOD)
        if core.over or core.phase is Phase.INPUTS:
            continue
        if core.error and (job.datums is None or not _same_code(tx, job, row)):
            continue  # a lost cause, and nothing to adopt
        return ev.BaseChosen(gen, job.seq, planned=job.datums is not None)
    return nothing


def _hopeful(job: JobRow) -> bool:
    """Whether a job has ended well, or may still."""
    return not job.ended or job.state == JobState.SUCCESS.value


def older_jobs(tx: Tx, row: JobRow, *, leap: bool = False) -> Iterator[JobRow]:
    """Jobs whose output commits are ancestors of this job's, nearest first, back to the nearest good one.

    Not those whose output was forgotten: there is nothing left to build on. leap: some of those that ended badly are
    left out, as an earlier search has passed them: a thousand failures in a row are not looked at by each new job.
    """
    start: int | None = row.output_commit
    limit = FIRST_PAGE
    while start is not None:
        line = history_rows.line(tx, start, limit)
        start, limit = line[-1].parent if len(line) == limit else None, PAGE
        jobs = job_rows.by_commits(tx, [commit.seq for commit in line])
        for commit in line:
            job = jobs.get(commit.seq)
            if job is None or job.seq == row.seq or commit.forgotten:
                continue
            yield job
            if job.state == JobState.SUCCESS.value and job.ended:
                return
            if leap and not _hopeful(job) and job.look_from is not None and _is_there(tx, job.look_from):
                start = job.look_from
                break


def _is_there(tx: Tx, commit: int) -> bool:
    return commit_rows.get_commit(tx, commit) is not None


def adoption_source(tx: Tx, row: JobRow) -> JobRow | None:
    """The nearest job since the last good one that ended badly with a datum table, if its code and salt are the same.

    What that one adopted is part of its own output, so there is no need to look further back.
    """
    for job in older_jobs(tx, row):
        if job.ended and job.state != JobState.SUCCESS.value and job.datums is not None:
            return job if job.salt == row.salt and _same_code(tx, job, row) else None
    return None


def _same_code(tx: Tx, one: JobRow, other: JobRow) -> bool:
    """Whether two jobs of a pipeline are of one version, or of versions that say the same, as a rerun's do.

    Of one image, too: its name may stand for another one since.
    """
    if one.version == other.version:
        return True
    versions = [pipeline_rows.get_version(tx, one.pipeline, job.version) for job in (one, other)]
    return len({row and (row.effective_spec, row.image_digest) for row in versions}) == 1
