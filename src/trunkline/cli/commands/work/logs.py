"""What user code printed, and what the workers did."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterable

import click

from trunkline.cli import complete, places
from trunkline.cli.commands.work.named import METAVAR, a_job
from trunkline.cli.late import Duration, json_format, names, pps
from trunkline.cli.options import command, project_option
from trunkline.cli.session import Session, pass_session

_DAY_US = 86_400_000_000
_MARGIN = 5
"""How many times more messages a tail asks for: the system's own lines are among them."""


def read_span(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    """A length of time such as `90s`, `5m` or `1h30m`, in microseconds."""
    if value is None:
        return None
    from trunkline.model.specs.scalars import span_us  # the overall help loads this module, and needs none of specs

    try:
        return span_us(value)
    except ValueError as error:
        raise click.BadParameter(f'"{value}": {error}') from error


def read_pattern(_ctx: click.Context, _param: click.Parameter, value: str | None) -> re.Pattern[str] | None:
    """A regular expression."""
    try:
        return None if value is None else re.compile(value)
    except re.error as error:
        raise click.BadParameter(f'"{value}" is no regular expression: {error}') from error


@command()
@click.option("-p", "--pipeline", metavar="NAME", shell_complete=complete.pipelines, help="The logs of this pipeline.")
@click.option("-j", "--job", metavar=METAVAR, shell_complete=complete.pipelines, help="The logs of this job.")
@click.option("--datum", metavar="ID", help="Only of this datum.")
@click.option("--inputs", metavar="PATH,...", help="Only of datums with these files (paths or hashes).")
@click.option("--master", is_flag=True, help="What the controller did, not the workers.")
@click.option("--worker", metavar="ID", help="Only of this worker.")
@click.option("-f", "--follow", is_flag=True, help="Go on as more comes, until Ctrl-C.")
@click.option("--since", metavar="SPAN", callback=read_span, help="How far back, such as 10m; 24h, or all of a job.")
@click.option("-t", "--tail", metavar="N", type=click.IntRange(min=1), default=None, help="Only the last N lines.")
@click.option("--grep", metavar="REGEX", callback=read_pattern, help="Only lines that match this regular expression.")
@click.option("--raw", is_flag=True, help="Whole messages as JSON, the system's own lines too.")
@project_option
@pass_session
def logs(
    session: Session, pipeline: str | None, job: str | None, datum: str | None, inputs: str | None, master: bool,
    worker: str | None, follow: bool, since: int | None, tail: int | None, grep: re.Pattern[str] | None, raw: bool,
    project: str | None,
) -> None:  # fmt: skip
    """Show what a pipeline's or a job's code printed."""
    if pipeline and job:
        raise click.UsageError("give either --pipeline or --job; a job names its pipeline")
    if not (pipeline or job):
        raise click.UsageError("give --pipeline NAME or --job PIPELINE[@ID]")
    in_project = session.project(project)
    request = pps.GetLogsRequest(
        data_filters=[one for one in (inputs or "").split(",") if one], master=master, follow=follow, tail=tail or 0
    )
    if pipeline:
        request.pipeline.CopyFrom(names.pipeline(places.pipeline(pipeline, in_project)))
    if job:
        request.job.CopyFrom(a_job(session, job, project))
    if datum:
        request.datum.CopyFrom(pps.Datum(job=request.job, id=datum))
    if since is None and pipeline:
        since = _DAY_US
    if since is not None:
        request.since.CopyFrom(Duration(seconds=since // 1_000_000, nanos=since % 1_000_000 * 1000))

    def wanted(message: pps.LogMessage) -> bool:
        if grep is not None and not grep.search(message.message):
            return False
        return (not worker or message.worker_id == worker) and (raw or master or message.user)

    if tail and not follow:
        messages: Iterable[pps.LogMessage] = _last(session, request, tail, wanted)
    else:
        messages = filter(wanted, session.client.pps.GetLogs(request))
    for message in messages:
        if raw:
            click.echo(json_format.MessageToJson(message, preserving_proto_field_name=True, indent=None))
        else:
            click.echo(message.message.rstrip("\n"))


def _last(
    session: Session, request: pps.GetLogsRequest, tail: int, wanted: Callable[[pps.LogMessage], bool]
) -> Iterable[pps.LogMessage]:
    """The last `tail` messages that are wanted. The server counts those too that are not, so it is asked for more."""
    request.tail = _MARGIN * tail
    found = list(session.client.pps.GetLogs(request))
    chosen = [message for message in found if wanted(message)]
    if len(chosen) < tail and len(found) >= request.tail:
        request.tail = 0
        return deque(filter(wanted, session.client.pps.GetLogs(request)), tail)
    return chosen[-tail:]


@command()
@click.argument("query")
@click.option("--since", metavar="SPAN", callback=read_span, help="How far back, such as 10m; all if not given.")
@pass_session
def loki(session: Session, query: str, since: int | None) -> None:
    """Show lines that a query in Loki's language asks for, such as '{pipelineName="edges"} |= "error"'."""
    for message in session.client.pps.QueryLoki(_asked(since, query)):
        click.echo(message.message)


@command()
@click.option("--since", metavar="SPAN", callback=read_span, help="How far back, such as 10m; all if not given.")
@click.option("--raw", is_flag=True, help="Each event as JSON.")
@pass_session
def kube_events(session: Session, since: int | None, raw: bool) -> None:
    """Show what became of the server's workers, as a cluster's events would."""
    from google.protobuf.timestamp_pb2 import Timestamp

    when = session.when(False)
    rows = []
    for message in session.client.pps.GetKubeEvents(_asked(since, "")):
        if raw:
            click.echo(message.message)
            continue
        event = json.loads(message.message)
        seconds, micros = divmod(int(event["lastTimestampUs"]), 1_000_000)
        seen = when(Timestamp(seconds=seconds, nanos=micros * 1000))
        rows.append((seen, event["type"], event["reason"], event["object"], event["message"]))
    if not raw:
        session.table(("LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"), rows)


def _asked(since: int | None, query: str) -> pps.LokiRequest:
    request = pps.LokiRequest(query=query)
    if since is not None:
        request.since.CopyFrom(Duration(seconds=since // 1_000_000, nanos=since % 1_000_000 * 1000))
    return request
