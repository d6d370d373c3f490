"""What a version needs before it can read: repos of ticks with their schedules, branches with triggers."""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.catalog import branches as branch_rows
from trunkline.catalog import repos as repo_rows
from trunkline.catalog.engine import Tx
from trunkline.catalog.repos import RepoRow
from trunkline.catalog.work import crons as cron_rows
from trunkline.catalog.work import pipelines as pipeline_rows
from trunkline.catalog.work.pipelines import PipelineRow
from trunkline.errors import FailedPrecondition, InvalidArgument
from trunkline.model.infos import Trigger
from trunkline.model.names import MASTER, Branch, Pipeline
from trunkline.model.specs import CronInput, PfsInput, PipelineSpec
from trunkline.model.specs.cron import next_tick
from trunkline.pfs.graph import branches, repos
from trunkline.pfs.graph.changes import Change
from trunkline.pfs.graph.refs import need_repo
from trunkline.pfs.graph.triggers import SCHEDULE_TOPIC


def prepare(change: Change, known: PipelineRow, spec: PipelineSpec) -> None:
    """Make tick repos and trigger branches of a version, and set its schedules.

    Raises InvalidArgument, FailedPrecondition (a repo that cannot take ticks), NotFound.
    """
    _prepare_crons(change.tx, known, spec)
    _prepare_triggers(change, spec)


def _prepare_crons(tx: Tx, known: PipelineRow, spec: PipelineSpec) -> None:
    before = {row.repo: row for row in cron_rows.crons_of(tx, known.key)}
    leaves = {leaf.source: leaf for leaf in spec.leaves if isinstance(leaf, CronInput)}
    if len(leaves) < sum(isinstance(leaf, CronInput) for leaf in spec.leaves):
        raise InvalidArgument(
            f"two cron inputs of pipeline {spec.pipeline} put their ticks into one repo; give each a name of its own"
        )
    for source, leaf in leaves.items():
        found = repo_rows.find_repo(tx, source)
        repo = found or repos.create_repo(tx, source, f'ticks of the input "{leaf.name}" of {spec.pipeline}')
        old = before.pop(repo.key, None)
        if old is None:
            _refuse_foreign(tx, spec.pipeline, leaf, repo)
        key = old.key if old else cron_rows.insert_cron(tx, known.key, repo.key, made=found is None)
        if old and (old.spec, old.start_us) == (leaf.spec, leaf.start_us):
            from_us = old.ticked_us
        elif leaf.start_us is not None and (old is None or old.start_us != leaf.start_us):
            from_us = leaf.start_us
        else:
            from_us = tx.now_us
        cron_rows.set_schedule(
            tx,
            key,
            spec=leaf.spec,
            overwrite=leaf.overwrite,
            start_us=leaf.start_us,
            ticked_us=from_us,
            due_us=None if known.stopped else next_tick(leaf.spec, from_us),
        )
        tx.emit(SCHEDULE_TOPIC, {})
    for gone in before.values():
        cron_rows.set_schedule(
            tx, gone.key, spec="@never", overwrite=False, start_us=None, ticked_us=gone.ticked_us, due_us=None
        )


def _refuse_foreign(tx: Tx, pipeline: Pipeline, leaf: CronInput, repo: RepoRow) -> None:
    """A repo that something else writes to takes no ticks."""
    advice = 'choose another one with "repo", or leave that out'
    other = cron_rows.cron_of_repo(tx, repo.key)
    if other is not None:
        owner = pipeline_rows.get_pipeline(tx, other.pipeline)
        whose = f"pipeline {owner.pipeline}" if owner else "another pipeline"
        raise FailedPrecondition(
            f'the cron input "{leaf.name}" of {pipeline} cannot tick in repo {repo.repo}, which has those of {whose}; '
            f"{advice}"
        )
    if len(repo_rows.repos_named(tx, repo.repo.project, repo.repo.name)) > 1:
        raise FailedPrecondition(
            f'the cron input "{leaf.name}" of {pipeline} cannot tick in repo {repo.repo}, which belongs to a pipeline; '
            f"{advice}"
        )


def _prepare_triggers(change: Change, spec: PipelineSpec) -> None:
    seen: dict[Branch, Trigger] = {}
    for leaf in spec.leaves:
        if not isinstance(leaf, PfsInput) or leaf.trigger is None:
            continue
        branch = Branch(leaf.source, leaf.branch)
        if seen.setdefault(branch, leaf.trigger) != leaf.trigger:
            raise InvalidArgument(
                f"two inputs of pipeline {spec.pipeline} give branch {branch} different triggers; a branch has one"
            )
        need_repo(change.tx, leaf.source)
        source = Branch(leaf.source, leaf.trigger.branch)
        if branch_rows.find_branch(change.tx, source) is None:
            branches.create_branch(change, source)
        known = branch_rows.find_branch(change.tx, branch)
        if known is None or known.trigger != leaf.trigger:
            branches.create_branch(change, branch, trigger=leaf.trigger)


def pause(tx: Tx, pipeline: int) -> None:
    """Let a pipeline's cron inputs tick no more."""
    for row in cron_rows.crons_of(tx, pipeline):
        cron_rows.set_due(tx, row.key, None)


def go_on(tx: Tx, pipeline: int) -> None:
    """Let them tick again, from where they were: what has been missed is made up for, tick by tick."""
    for row in cron_rows.crons_of(tx, pipeline):
        cron_rows.set_due(tx, row.key, next_tick(row.spec, row.ticked_us))
        tx.emit(SCHEDULE_TOPIC, {})


def tick_repos(tx: Tx, pipeline: int) -> list[int]:
    """Keys of the repos that were made for a pipeline's ticks."""
    return [row.repo for row in cron_rows.crons_of(tx, pipeline) if row.made]


def drop_repos(change: Change, keys: Sequence[int]) -> None:
    """Delete tick repos whose pipeline is gone, but for those that others read."""
    for repo in repo_rows.get_repos(change.tx, keys).values():
        if not branch_rows.has_dependents(change.tx, repo.key):
            repos.delete_repo(change, repo.repo)


def tick_branch(repo: RepoRow) -> Branch:
    """The branch that ticks are committed to."""
    return Branch(repo.repo, MASTER)
