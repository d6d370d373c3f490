"""Datums."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import click

from trunkline.cli import complete
from trunkline.cli.commands.work.named import METAVAR, a_job
from trunkline.cli.late import job_view, own, pps, worker_calls, worker_messages
from trunkline.cli.options import command, no_pager_option, number_option, project_option, raw_options
from trunkline.cli.session import Session, pass_session
from trunkline.errors import FailedPrecondition, InvalidArgument, NotFound, Unimplemented

if TYPE_CHECKING:
    from trunkline.wire.gen.pps_v2_pb2 import DatumInfo
    from trunkline.wire.gen.pps_v2_pb2 import Job as PpsJob


@command()
@click.argument("job", metavar=f"[{METAVAR}]", required=False, shell_complete=complete.pipelines)
@click.option("-f", "--file", "spec", metavar="SPEC", help="Not of a job: those that this spec would have now.")
@number_option
@click.option("--after", metavar="DATUM", help="Only those after this one.")
@click.option("--reverse", is_flag=True, help="From the end; --after then means before.")
@project_option
@raw_options
@no_pager_option
@pass_session
def list_(
    session: Session, job: str | None, spec: str | None, number: int | None, after: str | None, reverse: bool,
    project: str | None, raw: str, no_pager: bool,
) -> None:  # fmt: skip
    """List the datums of a job, or those that a spec would have.

    The pipeline alone is its newest job; a branch or tag may stand for the id, too.
    """
    if (job is None) is (spec is None):
        raise click.UsageError("give either a job or --file SPEC")
    request = pps.ListDatumRequest(number=number or 0, paginationMarker=after or "", reverse=reverse)
    if job is not None:
        request.job.CopyFrom(a_job(session, job, project))
    if spec is not None:
        from trunkline.cli.commands.work.specs import single_spec

        described = single_spec(session, spec, session.project(project))
        request.input.CopyFrom(described.input)
        request.job.pipeline.CopyFrom(described.pipeline)
    infos = session.client.pps.ListDatum(request)
    if raw:
        session.raw(infos, raw)
    else:
        reasons = _Reasons(session, request.job)
        rows = (job_view.datum_row(info, reasons.of(info), spared=reasons.spared(info)) for info in infos)
        session.table(job_view.DATUM_HEADER, rows, pager=not no_pager)


class _Reasons:
    """Why datums of a job did not succeed; asked for when the first such one comes."""

    def __init__(self, session: Session, job: PpsJob) -> None:
        self._session, self._job = session, job
        self._known: dict[str, str] | None = None
        self._spared: bool | None = None

    def of(self, info: DatumInfo) -> str:
        """The reason, "" for none."""
        if info.state not in (pps.FAILED, pps.RECOVERED) or not self._job.id:
            return ""
        if self._known is None:
            self._known = {}
            with contextlib.suppress(Unimplemented):  # by a server without this call
                told = self._session.client.datums.ListDatumFailure(own.ListDatumFailureRequest(job=self._job))
                self._known.update((one.datum, one.reason) for one in told)
        return self._known.get(info.datum.id, "")

    def spared(self, info: DatumInfo) -> bool:
        """Whether the datum failed and its job has succeeded without it."""
        if info.state != pps.FAILED or not self._job.id:
            return False
        if self._spared is None:
            self._spared = _succeeded(self._session, self._job)
        return self._spared


def _succeeded(session: Session, job: PpsJob) -> bool:
    with contextlib.suppress(NotFound, Unimplemented):  # deleted meanwhile, or no server that knows
        return session.client.pps.InspectJob(pps.InspectJobRequest(job=job)).state == pps.JOB_SUCCESS
    return False


@command()
@click.argument("job", metavar=METAVAR, shell_complete=complete.pipelines)
@click.argument("datum")
@project_option
@raw_options
@pass_session
def inspect(session: Session, job: str, datum: str, project: str | None, raw: str) -> None:
    """Show a datum in full."""
    at = pps.Datum(job=a_job(session, job, project), id=datum)
    info = session.client.pps.InspectDatum(pps.InspectDatumRequest(datum=at))
    if raw:
        session.raw([info], raw)
    else:
        known = None
        with contextlib.suppress(Unimplemented):  # by a server without this call
            known = session.client.datums.InspectDatumUsage(own.InspectDatumUsageRequest(datum=at))
        spared = info.state == pps.FAILED and _succeeded(session, at.job)
        session.details(job_view.datum_details(info, known, spared=spared))
        if info.state == pps.FAILED:
            session.note(
                f"`pachctl logs --job {job} --datum {info.datum.id}` shows what the code said, "
                f"`pachctl replay {job} {info.datum.id}` runs it again on this machine."
            )


@command()
@click.argument("job", metavar="PIPELINE@ID", shell_complete=complete.pipelines)
@click.argument("files", metavar="PATH[,PATH...]")
@project_option
@pass_session
def restart(session: Session, job: str, files: str, project: str | None) -> None:
    """Start the datums over that these files are in."""
    filters = [one.strip() for one in files.split(",") if one.strip()]
    if not filters:
        raise InvalidArgument("name at least one file of the datums to start over")
    at = a_job(session, job, project, newest=False)
    session.client.pps.RestartDatum(pps.RestartDatumRequest(job=at, data_filters=filters))


@command()
@click.option("--error", metavar="TEXT", default="", help="What went wrong with the last datum, which has failed then.")
def next_datum(error: str) -> None:
    """Have the last datum taken in, and wait for the next one.

    Only for code that runs in a pipeline with datum_batching. The variables of the datum are in /pfs/.env.
    """
    if _asked_at_socket(error):
        return
    import grpc

    port = os.environ.get("PPS_WORKER_GRPC_PORT", "")
    if not port:
        raise FailedPrecondition("there is no worker here: `pachctl next datum` is for code inside a batching pipeline")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            worker_calls.WorkerStub(channel).NextDatum(worker_messages.NextDatumRequest(error=error))
        except grpc.RpcError as refused:
            raise FailedPrecondition(str(refused.details())) from None


def _asked_at_socket(error: str) -> bool:
    """Ask the worker at its socket, which takes no library. False: there is none that can be reached."""
    from trunkline.worker.batching import asking

    address = os.environ.get(asking.VARIABLE, "")
    try:
        if address and not asking.ask(address, error):
            raise FailedPrecondition("the worker serves this code no more")
    except OSError:
        return False
    return bool(address)
