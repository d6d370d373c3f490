"""Pipelines as rows and details."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from trunkline.ambient import Micros
from trunkline.cli.show import units
from trunkline.cli.show.dag import Node
from trunkline.cli.show.inputs import shorthand
from trunkline.cli.show.repos import Pairs, When
from trunkline.cli.show.tables import Cell, Row
from trunkline.wire.gen import pps_v2_pb2 as pps

PIPELINE_HEADER = (
    "PROJECT", "NAME", "VERSION", "INPUT", "CREATED", "STATE / LAST JOB", "ALERTS", "DESCRIPTION",
)  # fmt: skip

ALERT_HEADER = ("PROJECT", "PIPELINE", "ALERT")

_STATE_COLOURS = {
    "starting": "yellow",
    "restarting": "yellow",
    "standby": "yellow",
    "paused": "yellow",
    "running": "green",
    "success": "green",
    "failure": "red",
    "crashing": "red",
    "killed": "red",
    "unrunnable": "red",
}
_TROUBLED = (pps.PIPELINE_FAILURE, pps.PIPELINE_CRASHING)


def state_colour(word: str) -> str:
    """The colour of a state's short name; none for states on the way."""
    return _STATE_COLOURS.get(word, "")


def pipeline_state(state: pps.PipelineState.ValueType) -> str:
    """A pipeline state's short name: `running`."""
    return pps.PipelineState.Name(state).removeprefix("PIPELINE_").removeprefix("STATE_").lower()


def job_state(state: pps.JobState.ValueType) -> str:
    """A job state's short name: `success`."""
    return pps.JobState.Name(state).removeprefix("JOB_").removeprefix("STATE_").lower()


def is_troubled(info: pps.PipelineInfo) -> bool:
    """Whether the pipeline needs somebody to look at it."""
    return info.state in _TROUBLED or info.last_job_state in (pps.JOB_FAILURE, pps.JOB_UNRUNNABLE)


def alert(info: pps.PipelineInfo, now_us: Micros) -> str:
    """What somebody should know of a pipeline that does not fail; empty for nothing."""
    details = info.details
    if details.HasField("maximum_expected_uptime") and details.HasField("workers_started_at"):
        up_us = now_us - details.workers_started_at.ToMicroseconds()
        if up_us > details.maximum_expected_uptime.ToMicroseconds():
            return f"up for {units.span(up_us)}"
    return ""


def alert_rows(status: pps.CheckStatusResponse) -> Iterator[Row]:
    """Each alert of a pipeline."""
    for one in status.alerts:
        yield status.project.name, status.pipeline.name, one


def pipeline_row(info: pps.PipelineInfo, when: When, now_us: Micros) -> Row:
    """A pipeline with its state and its last job's; in the colour of the worse of the two."""
    state = pipeline_state(info.state)
    last = job_state(info.last_job_state) if info.last_job_state else "-"
    worse = last if is_troubled(info) and info.state not in _TROUBLED else state
    return (
        info.pipeline.project.name,
        info.pipeline.name,
        str(info.version),
        shorthand(info.details.input, info.pipeline.project.name),
        when(info.details.created_at),
        Cell(f"{state} / {last}", state_colour(worse)),
        alert(info, now_us) or "-",
        info.details.description,
    )


def pipeline_details(info: pps.PipelineInfo, when: When) -> Pairs:
    """A pipeline in full."""
    details = info.details
    yield "Name", info.pipeline.name
    if details.description:
        yield "Description", details.description
    yield "Project", info.pipeline.project.name
    yield "Version", str(info.version)
    yield "Created", when(details.created_at)
    if details.HasField("updated_at"):
        yield "Updated", when(details.updated_at)
    if details.created_by:
        yield "Created by", details.created_by
    yield "State", pipeline_state(info.state)
    if info.reason or details.reason:
        yield "Reason", info.reason or details.reason
    if info.last_job_state:
        yield "Last Job", job_state(info.last_job_state)
    if details.recent_error:
        yield "Recent Error", details.recent_error
    yield "Workers Available", f"{details.workers_available}/{details.workers_requested}"
    yield "Stopped", "true" if info.stopped else "false"
    yield from _limits(details)
    yield "Input", block(details.input)
    yield "Output Branch", details.output_branch or "master"
    yield "Transform", block(details.transform)
    if details.HasField("egress"):
        yield "Egress", block(details.egress)
    if info.metadata:
        yield "Metadata", ", ".join(f"{key}={value}" for key, value in sorted(info.metadata.items()))
    if info.user_spec_json:
        yield "User Spec", spec_text(info.user_spec_json)
    if info.effective_spec_json:
        yield "Effective Spec", spec_text(info.effective_spec_json)


def _limits(details: pps.PipelineInfo.Details) -> Pairs:
    if details.HasField("parallelism_spec"):
        yield "Parallelism Spec", block(details.parallelism_spec)
    if details.HasField("resource_requests"):
        yield "Resource Requests", block(details.resource_requests)
    if details.HasField("resource_limits"):
        yield "Resource Limits", block(details.resource_limits)
    yield from timeouts(details.datum_timeout, details.job_timeout)
    if details.datum_tries:
        yield "Datum Tries", str(details.datum_tries)
    if details.HasField("service"):
        yield "Service", block(details.service)
    if details.HasField("spout"):
        yield "Spout", block(details.spout)


def timeouts(datum: Duration, job: Duration) -> Pairs:
    """The timeouts that are set."""
    if datum.seconds or datum.nanos:
        yield "Datum Timeout", units.seconds(datum.seconds + datum.nanos / 1e9)
    if job.seconds or job.nanos:
        yield "Job Timeout", units.seconds(job.seconds + job.nanos / 1e9)


def block(message: Message) -> str:
    """A part of a spec as indented JSON, snake_case."""
    return json.dumps(MessageToDict(message, preserving_proto_field_name=True), indent=2, ensure_ascii=False)


def spec_text(text: str) -> str:
    """A stored spec, indented; as it is where it is no JSON."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except json.JSONDecodeError:
        return text


def graph(infos: Sequence[pps.PipelineInfo]) -> tuple[list[Node], dict[str, list[str]]]:
    """The pipelines and the repos they read, as boxes and for each box those that lead to it."""
    home = {info.pipeline.project.name for info in infos}
    written = {_node_name(info.pipeline.project.name, info.pipeline.name, home) for info in infos}
    nodes, parents = [], {}
    for info in infos:
        project = info.pipeline.project.name
        name = _node_name(project, info.pipeline.name, home)
        nodes.append(Node(name, colour=state_colour(pipeline_state(info.state))))
        parents[name] = [_node_name(owner or project, repo, home) for owner, repo in _inputs(info.details.input)]
    repos = {one for many in parents.values() for one in many} - written
    return [*(Node(one, source=True) for one in sorted(repos)), *nodes], parents


def _node_name(project: str, name: str, home: set[str]) -> str:
    return name if {project} == home else f"{project}/{name}"


def _inputs(input: pps.Input) -> Iterator[tuple[str, str]]:
    if input.HasField("pfs"):
        yield input.pfs.project, input.pfs.repo
    if input.HasField("cron"):
        yield input.cron.project, input.cron.repo or input.cron.name
    for field in ("cross", "union", "join", "group"):
        for member in getattr(input, field):
            yield from _inputs(member)
