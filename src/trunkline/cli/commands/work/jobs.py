"""Jobs and job sets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from itertools import islice

import click

from trunkline.cli import complete, places
from trunkline.cli.commands.work.named import METAVAR, a_job
from trunkline.cli.commands.work.states import JOB_STATES, history_option, state_option
from trunkline.cli.late import job_view, names, own, pipeline_view, pps, progress, transactions
from trunkline.cli.options import (
    all_projects_option,
    command,
    full_timestamps_option,
    no_pager_option,
    number_option,
    project_option,
    raw_options,
)
from trunkline.cli.session import Session, pass_session
from trunkline.errors import InvalidArgument, Unimplemented
from trunkline.model.names import is_id


@command()
@click.argument("set_id", metavar="[ID]", required=False)
@click.option("-x", "--expand", is_flag=True, help="Show the jobs of the sets, not the sets.")
@click.option("-p", "--pipeline", metavar="NAME", shell_complete=complete.pipelines, help="Only this pipeline's jobs.")
@history_option
@click.option("-i", "--input", "inputs", metavar="REPO@REF", multiple=True, help="Only jobs that read this commit.")
@state_option(JOB_STATES)
@number_option
@all_projects_option
@project_option
@raw_options
@full_timestamps_option
@no_pager_option
@pass_session
def list_(
    session: Session, set_id: str | None, expand: bool, pipeline: str | None, history: int, inputs: tuple[str, ...],
    state: tuple[str, ...], number: int | None, all_projects: bool, project: str | None, raw: str, full: bool,
    no_pager: bool,
) -> None:  # fmt: skip
    """List job sets, the jobs of one set, or the jobs of a pipeline, newest first."""
    in_project = session.project(project)
    projects = [] if all_projects else [names.project(in_project)]
    wanted = set(state)
    if set_id is None and not (expand or pipeline or inputs):
        request = pps.ListJobSetRequest(projects=projects, details=bool(raw))
        found = (one for one in session.client.pps.ListJobSet(request) if not wanted or _in(one.jobs, wanted))
        sets = list(islice(found, number))
        if raw:
            session.raw(sets, raw)
        else:
            when = session.when(full)
            session.table(job_view.SET_HEADER, (job_view.set_row(one, when) for one in sets), pager=not no_pager)
        return
    if set_id is not None:
        if pipeline or inputs:
            raise click.UsageError("give either the id of a job set, or --pipeline and --input")
        jobs = _jobs_of_set(session, set_id, wait=False, details=bool(raw))
    else:
        request_jobs = pps.ListJobRequest(history=history, details=bool(raw), projects=projects)
        if pipeline:
            request_jobs.pipeline.CopyFrom(names.pipeline(places.pipeline(pipeline, in_project)))
        for one in inputs:
            at = places.commit(one, in_project)
            request_jobs.input_commit.append(names.commit(at.repo, at.target))
        jobs = session.client.pps.ListJob(request_jobs)
    chosen = islice((job for job in jobs if not wanted or _in([job], wanted)), number)
    if raw:
        session.raw(chosen, raw)
    else:
        _table(session, chosen, full, not no_pager)


def _in(jobs: Iterable[pps.JobInfo], wanted: set[str]) -> bool:
    return any(pipeline_view.job_state(job.state) in wanted for job in jobs)


def _table(session: Session, jobs: Iterable[pps.JobInfo], full: bool, pager: bool) -> None:
    when, now_us = session.when(full), session.ambient.now_us()
    session.table(job_view.JOB_HEADER, (job_view.job_row(job, when, now_us) for job in jobs), pager=pager)


def _jobs_of_set(session: Session, set_id: str, *, wait: bool, details: bool) -> Iterable[pps.JobInfo]:
    if not is_id(set_id):
        raise InvalidArgument(
            f'"{set_id}" is no id of a job set (32 hex digits); `pachctl list job -p NAME` shows a pipeline\'s jobs'
        )
    request = pps.InspectJobSetRequest(job_set=pps.JobSet(id=set_id), wait=wait, details=details)
    return session.client.pps.InspectJobSet(request)


@command()
@click.argument("job", metavar=METAVAR, shell_complete=complete.pipelines)
@project_option
@raw_options
@full_timestamps_option
@pass_session
def inspect(session: Session, job: str, project: str | None, raw: str, full: bool) -> None:
    """Show a job in full.

    The pipeline alone is its newest job; a branch or tag may stand for the id, too.
    """
    at = a_job(session, job, project)
    info = session.client.pps.InspectJob(pps.InspectJobRequest(job=at, details=True))
    if raw:
        session.raw([info], raw)
    else:
        usage = None
        with contextlib.suppress(Unimplemented):  # by a server without this call
            usage = session.client.datums.InspectJobUsage(own.InspectJobUsageRequest(job=at))
        session.details(job_view.job_details(info, session.when(full), session.ambient.now_us(), usage))


@command()
@click.argument("job", metavar=f"ID | {METAVAR}", shell_complete=complete.pipelines)
@project_option
@raw_options
@full_timestamps_option
@pass_session
def wait(session: Session, job: str, project: str | None, raw: str, full: bool) -> None:
    """Wait until a job, or every job of a set, is over; then show it."""
    jobs: list[pps.JobInfo]
    if is_id(job):
        with progress.waiting(f"job set {job}"):
            jobs = list(_jobs_of_set(session, job, wait=True, details=bool(raw)))
    else:
        at = a_job(session, job, project)
        with progress.waiting(f"job {job}"):
            jobs = [session.client.pps.InspectJob(pps.InspectJobRequest(job=at, wait=True, details=bool(raw)))]
    if raw:
        session.raw(jobs, raw)
    else:
        _table(session, jobs, full, False)


@command()
@click.argument("job", metavar="PIPELINE@ID | ID", shell_complete=complete.pipelines)
@project_option
@pass_session
def stop(session: Session, job: str, project: str | None) -> None:
    """Stop a job, or every job of a set that still runs."""
    if not is_id(job):
        at = a_job(session, job, project, newest=False)
        session.client.pps.StopJob(pps.StopJobRequest(job=at))
        session.added_to_transaction()
        return
    infos = _jobs_of_set(session, job, wait=False, details=False)
    requests = [pps.StopJobRequest(job=info.job) for info in infos if not job_view.is_over(info)]
    if not requests:
        session.note("no job of this set still runs")
    elif session.context.transaction:
        for request in requests:
            session.client.pps.StopJob(request)
        session.added_to_transaction()
    else:  # together: a job whose input failed a moment ago would end as one that cannot run
        batch = (transactions.TransactionRequest(stop_job=request) for request in requests)
        session.client.transactions.BatchTransaction(transactions.BatchTransactionRequest(requests=batch))


@command()
@click.argument("job", metavar="PIPELINE@ID", shell_complete=complete.pipelines)
@project_option
@pass_session
def delete(session: Session, job: str, project: str | None) -> None:
    """Delete a job; one that runs is stopped first."""
    at = a_job(session, job, project, newest=False)
    session.client.pps.DeleteJob(pps.DeleteJobRequest(job=at))
