"""Pipelines: created, updated, stopped, started, deleted, each in one transaction with their repos and branches.

A version of a pipeline is a commit of its spec repo, and the output branch has that branch in its provenance beside the
inputs: so a new version makes a new output commit, and with it a job, like new data does.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace

from trunkline.catalog import branches as branch_rows
from trunkline.catalog import commits as commit_rows
from trunkline.catalog import repos as repo_rows
from trunkline.catalog.engine import Tx
from trunkline.catalog.metadata import set_of_pipeline
from trunkline.catalog.work import jobs as job_rows
from trunkline.catalog.work import logs as log_rows
from trunkline.catalog.work import pipelines as pipeline_rows
from trunkline.catalog.work.pipelines import PipelineRow, VersionRow
from trunkline.errors import AlreadyExists, FailedPrecondition, NotFound
from trunkline.model.datums import code_digest
from trunkline.model.infos import Origin
from trunkline.model.jobs import JobState, PipelineState, next_pipeline_state
from trunkline.model.names import MASTER, Branch, Commit, Pipeline, Repo, check_pipeline, check_project
from trunkline.model.provenance import downstream_first
from trunkline.model.specs import PipelineSpec
from trunkline.pfs import outputs
from trunkline.pfs.graph import branches, metadata, repos
from trunkline.pfs.graph.changes import Change
from trunkline.pfs.graph.refs import need_project, need_repo
from trunkline.pps import lineage, machine
from trunkline.pps.images.resolving import CONTAINER, LOOKED_FOR, POD, Rules, Where, resolve
from trunkline.pps.schedules import inputs as schedules
from trunkline.pps.secrets import check_places, missing
from trunkline.pps.standing.wishes import check_kind, check_ports, close_open_commit, kind_of

PIPELINE_TOPIC = "pipeline"
"""Events of this topic: {"pipeline", "state"}; a pipeline was created, changed or deleted (state "")."""


def create_pipeline(
    change: Change,
    spec: PipelineSpec,
    user_spec: str,
    *,
    update: bool = False,
    reprocess: bool = False,
    rules: Rules = Rules(),
    by: str = "",
) -> VersionRow:
    """Make a pipeline, or with `update` make or replace it; the version made. A job starts at once on what inputs hold.

    user_spec: what the person wrote, as JSON. reprocess: forget what was done, so that every datum runs.
    Raises AlreadyExists, NotFound (an input repo), InvalidArgument.
    """
    tx, pipeline = change.tx, spec.pipeline
    check_project(pipeline.project)
    check_pipeline(pipeline.name, pipeline.project)
    need_project(tx, pipeline.project)
    known = pipeline_rows.find_pipeline(tx, pipeline)
    if known is None:
        known = _new(tx, spec)
    elif not update:
        raise AlreadyExists(
            f"pipeline {pipeline} already exists; change it with `pachctl update pipeline`, or choose another name"
        )
    check_kind(known, spec)
    schedules.prepare(change, known, spec)
    inputs = _input_branches(tx, spec)
    check_places(spec)
    if lacks := missing(tx, spec):
        raise FailedPrecondition(f"pipeline {pipeline} cannot have what it needs: {lacks}")
    where = resolve(tx, spec.transform.image, rules, spec.own.runner)
    if where.runner == POD:
        rules.admit(spec)
    else:
        check_ports(tx, spec, where.runner == CONTAINER)
    row = _new_version(change, known, spec, user_spec, where, reprocess=reprocess, by=by)
    if known.version:
        _end_jobs(tx, known, f"the pipeline was updated to version {row.version}")
        close_open_commit(tx, known, f"the spout was updated to version {row.version}")
        _leave_old_branch(change, known, spec)
        repos.create_repo(tx, pipeline.output, spec.description, update=True)
        _retire(tx, pipeline)
    if known.stopped:
        _set_provenance(change, spec, [])
    else:
        _set_provenance(change, spec, inputs)
        reason = LOOKED_FOR if where.runner == CONTAINER else ""
        set_state(tx, pipeline_rows.get_pipeline(tx, known.key) or known, PipelineState.RUNNING, reason)
    return row


def keeps_older_results(tx: Tx, row: VersionRow) -> bool:
    """Whether this version runs other code than the one before it, while what that code made stays as it is."""
    before = pipeline_rows.get_version(tx, row.pipeline, row.version - 1)
    return before is not None and before.salt == row.salt and _code(before) != _code(row)


def _code(row: VersionRow) -> str:
    return code_digest(PipelineSpec.from_json(row.effective_spec).transform, row.image_digest)


def _input_branches(tx: Tx, spec: PipelineSpec) -> list[tuple[Branch, bool]]:
    """The branches that the inputs read, each with whether its commits alone start nothing."""
    found: dict[Branch, bool] = {}
    for leaf in spec.leaves:
        need_repo(tx, leaf.source)
        branch = Branch(leaf.source, leaf.branch)
        found[branch] = found.get(branch, True) and leaf.never
    return list(found.items())


def _new(tx: Tx, spec: PipelineSpec) -> PipelineRow:
    pipeline = spec.pipeline
    if repo_rows.find_repo(tx, pipeline.output) is not None:
        raise AlreadyExists(
            f"pipeline {pipeline} cannot be created: a repo of that name exists already, and a pipeline's output repo "
            "is its own; choose another name, or delete the repo"
        )
    key = pipeline_rows.insert_pipeline(tx, pipeline, PipelineState.STARTING.value)
    repos.create_repo(tx, pipeline.output, spec.description)
    repos.create_repo(tx, pipeline.spec)
    pipeline_rows.set_kind(tx, key, kind_of(spec))
    if kind_of(spec) == machine.TRANSFORM:  # no others have datums to keep records of
        repos.create_repo(tx, pipeline.meta)
    row = pipeline_rows.get_pipeline(tx, key)
    if row is None:
        raise NotFound(f"pipeline {pipeline} vanished within its own transaction")
    return row


def _new_version(
    change: Change, known: PipelineRow, spec: PipelineSpec, user_spec: str, where: Where, *, reprocess: bool, by: str
) -> VersionRow:
    tx = change.tx
    before = pipeline_rows.get_version(tx, known.key, known.version) if known.version else None
    kept = spec.salt or (before.salt if before else "")
    salt = tx.new_id() if reprocess or not kept else kept
    _spec_commit(change, known.pipeline)
    row = VersionRow(
        pipeline=known.key,
        version=known.version + 1,
        spec_commit=change.id,
        salt=salt,
        user_spec=user_spec,
        effective_spec=replace(spec, salt=salt).to_json(),
        runner=where.runner,
        image_digest=where.digest,
        runner_note=where.note,
        created_us=tx.now_us,
        created_by=by,
    )
    pipeline_rows.insert_version(tx, row)
    return row


def _spec_commit(change: Change, pipeline: Pipeline) -> None:
    """An empty, finished commit on the spec branch: what a version is known by."""
    tx = change.tx
    repo = need_repo(tx, pipeline.spec)
    branch = branch_rows.find_branch(tx, Branch(pipeline.spec, MASTER))
    seq = change.new_commit(repo, MASTER, origin=Origin.USER, parent=branch.head if branch else None)
    commit_rows.fix_base(tx, seq, None)
    commit_rows.set_finishing(tx, seq, error="", description="")
    commit_rows.set_finished(tx, seq, error="", size_bytes=0, files=0)
    change.tell(seq)
    if branch is None:
        key = branch_rows.insert_branch(tx, repo.key, MASTER, seq)
    else:
        key = branch.key
        branch_rows.set_head(tx, key, seq)
    change.touch(key)


def _set_provenance(change: Change, spec: PipelineSpec, inputs: Sequence[tuple[Branch, bool]]) -> None:
    provenance = [*(up for up, _ in inputs), *([Branch(spec.pipeline.spec, MASTER)] if inputs else [])]
    written = [Branch(repo, spec.output_branch) for repo in _outputs(change.tx, spec.pipeline)]
    for branch in written:  # else one's old provenance would tie another branch of the same repo to another's new one
        if branch_rows.find_branch(change.tx, branch) is not None:
            branches.create_branch(change, branch, provenance=())
    for branch in written:
        branches.create_branch(change, branch, provenance=provenance, never=[up for up, quiet in inputs if quiet])


def _outputs(tx: Tx, pipeline: Pipeline) -> list[Repo]:
    """What its jobs write: the output, and the records of datums where there are any."""
    return [repo for repo in (pipeline.output, pipeline.meta) if repo_rows.find_repo(tx, repo) is not None]


def _leave_old_branch(change: Change, known: PipelineRow, spec: PipelineSpec) -> None:
    """An output branch that is not written any more depends on nothing any more."""
    before = pipeline_rows.get_version(change.tx, known.key, known.version)
    old = PipelineSpec.from_json(before.effective_spec).output_branch if before else spec.output_branch
    if old != spec.output_branch:
        for repo in _outputs(change.tx, known.pipeline):
            branches.create_branch(change, Branch(repo, old), provenance=())


def _end_jobs(tx: Tx, known: PipelineRow, reason: str) -> None:
    for job in job_rows.open_jobs(tx, known.key):
        machine.stop(tx, job, reason)


def set_state(tx: Tx, known: PipelineRow, state: PipelineState, reason: str = "") -> None:
    """Say how a pipeline is doing. Raises Internal for a move that the table of states does not have."""
    now = PipelineState(known.state)
    if state is now and reason == known.reason:
        return
    if state is not now:
        state = next_pipeline_state(now, state)
    pipeline_rows.set_state(tx, known.key, state.value, reason)
    tx.emit(PIPELINE_TOPIC, {"pipeline": known.key, "state": state.value})


def need_pipeline(tx: Tx, pipeline: Pipeline) -> PipelineRow:
    """One pipeline. Raises NotFound with the nearest names."""
    row = pipeline_rows.find_pipeline(tx, pipeline)
    if row is None:
        near = difflib.get_close_matches(pipeline.name, pipeline_rows.similar_names(tx, pipeline), n=3)
        advice = f"; did you mean {' or '.join(near)}?" if near else ""
        raise NotFound(f"pipeline {pipeline} not found{advice}")
    return row


def edit_metadata(tx: Tx, pipeline: Pipeline, operation: metadata.Operation) -> None:
    """Change what people attached to a pipeline; it stays through updates. Raises NotFound, AlreadyExists."""
    known = need_pipeline(tx, pipeline)
    set_of_pipeline(tx, known.key, metadata.applied(known.metadata, operation, f"pipeline {pipeline}"))


def current_spec(tx: Tx, known: PipelineRow) -> PipelineSpec:
    """What a pipeline is to do now."""
    return lineage.spec_of(tx, known.key, known.version)


def stop_pipeline(change: Change, pipeline: Pipeline) -> None:
    """Let a pipeline start no more jobs, and end those that run. Raises NotFound."""
    known = need_pipeline(change.tx, pipeline)
    if known.stopped:
        return
    _set_provenance(change, current_spec(change.tx, known), [])
    schedules.pause(change.tx, known.key)
    _end_jobs(change.tx, known, "the pipeline was stopped")
    close_open_commit(change.tx, known, "the spout was stopped")
    state = next_pipeline_state(PipelineState(known.state), PipelineState.PAUSED)
    pipeline_rows.set_stopped(change.tx, known.key, True, state.value)
    change.tx.emit(PIPELINE_TOPIC, {"pipeline": known.key, "state": state.value})
    _retire(change.tx, pipeline)


def start_pipeline(change: Change, pipeline: Pipeline) -> None:
    """Let a stopped pipeline work again, with a job on what its inputs hold now. Raises NotFound.

    Where the last job is on just that there is another one only if it did not end well: mostly the stop ended it.
    """
    tx = change.tx
    known = need_pipeline(tx, pipeline)
    if not known.stopped:
        return
    spec = current_spec(tx, known)
    starting = next_pipeline_state(PipelineState(known.state), PipelineState.STARTING)
    pipeline_rows.set_stopped(tx, known.key, False, starting.value)
    schedules.go_on(tx, known.key)
    _set_provenance(change, spec, _input_branches(tx, spec))
    _again_if_bad(change, known, spec)
    set_state(tx, replace(known, state=starting.value), PipelineState.RUNNING)


def _again_if_bad(change: Change, known: PipelineRow, spec: PipelineSpec) -> None:
    tx = change.tx
    output = branch_rows.find_branch(tx, Branch(known.pipeline.output, spec.output_branch))
    job = job_rows.by_commits(tx, [output.head]).get(output.head) if output else None
    # The commit of a job that was stopped a moment ago may still be open: the job knows first that it ended badly.
    if job is None or not (job.core["error"] or job.state == JobState.KILLED.value):
        return
    for repo in (known.pipeline.output, known.pipeline.meta):
        branch = branch_rows.find_branch(tx, Branch(repo, spec.output_branch))
        if branch is not None:
            change.touch(branch.key, anew=True)


def delete_pipeline(
    change: Change, pipeline: Pipeline, *, force: bool = False, keep_repo: bool = False, must_exist: bool = False
) -> bool:
    """Remove a pipeline with its jobs, logs and repos; whether there was one.

    keep_repo: its output stays, as a plain repo, and so do its ticks.
    Raises FailedPrecondition while other pipelines read its output, unless `force`; NotFound with `must_exist`.
    """
    tx = change.tx
    known = pipeline_rows.find_pipeline(tx, pipeline)
    if known is None:
        if must_exist:
            need_pipeline(tx, pipeline)
        return False
    spec = current_spec(tx, known)
    _end_commits(tx, known)
    while page := job_rows.list_jobs(tx, pipeline=known.key, limit=500):
        for job in page:
            machine.remove(tx, job)
    log_rows.delete_segments(tx, pipeline=known.key)
    ticks = schedules.tick_repos(tx, known.key)
    pipeline_rows.delete_pipeline(tx, known.key)
    if keep_repo:
        branches.create_branch(change, Branch(pipeline.output, spec.output_branch), provenance=())
        for repo in (*_outputs(tx, pipeline)[1:], pipeline.spec):
            repos.delete_repo(change, repo, force=True)
    else:
        repos.delete_repo(change, pipeline.output, force=force, called=f"pipeline {pipeline}")
        schedules.drop_repos(change, ticks)
    tx.emit(PIPELINE_TOPIC, {"pipeline": known.key, "state": ""})
    _retire(tx, pipeline)
    return True


def _retire(tx: Tx, pipeline: Pipeline) -> None:
    tx.emit(machine.RETIRED_TOPIC, {"project": pipeline.project, "name": pipeline.name})


def delete_pipelines(
    change: Change, projects: Sequence[str] = (), *, force: bool = False, keep_repo: bool = False
) -> list[Pipeline]:
    """Remove the pipelines of some projects (none: all), each before those whose output it reads; what was removed.

    Raises FailedPrecondition while a pipeline of another project reads what goes, unless `force`.
    """
    reads: dict[Pipeline, list[Pipeline]] = {}
    for row in pipeline_rows.list_pipelines(change.tx, projects):
        sources = [leaf.source for leaf in current_spec(change.tx, row).leaves]
        reads[row.pipeline] = [Pipeline(repo.project, repo.name) for repo in sources]
    gone = downstream_first(reads, reads)
    for pipeline in gone:
        delete_pipeline(change, pipeline, force=force, keep_repo=keep_repo)
    return gone


def _end_commits(tx: Tx, known: PipelineRow) -> None:
    """Close what open jobs were to write, so that nothing waits for them for ever."""
    for job in job_rows.open_jobs(tx, known.key):
        outputs.abandon(tx, job.output_commit, job.meta_commit, base=None, error="the pipeline was deleted")


def spec_commit_of(known: PipelineRow, row: VersionRow) -> Commit:
    """The commit that a version is known by."""
    return Commit(known.pipeline.spec, row.spec_commit)
