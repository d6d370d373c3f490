"""logs.API, and pps_v2.API/QueryLoki and GetKubeEvents: lines by more than one pipeline or job."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from trunkline.api.rpc.bridge import Bridge
from trunkline.api.rpc.call import Call
from trunkline.api.rpc.events import Events
from trunkline.errors import InvalidArgument, Unimplemented
from trunkline.model.infos_pps import LogLine
from trunkline.model.names import Job, Pipeline
from trunkline.pps import logs as pps_logs
from trunkline.pps.controller import Pps
from trunkline.pps.logs import LOG_TOPIC, LogQuery, Pattern
from trunkline.pps.machine import JOB_TOPIC
from trunkline.pps.pipelines import PIPELINE_TOPIC
from trunkline.wire import infos_pps
from trunkline.wire.gen import logs_pb2 as wire
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.times import micros, span_us, timestamp

SELECTOR = re.compile(r"\s*\{([^}]*)\}\s*")
LABEL = re.compile(r'\s*([A-Za-z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*,?')
FILTER = re.compile(r'\s*(\|=|!=|\|~|!~)\s*(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`)\s*')
LABELS = ("pipelineName", "pipelineProject", "job", "datum")
PLAIN = ("suite", "app", "container", "namespace")
"""Labels that say nothing here: all is of one suite."""


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads lines of a query, and follows them."""

    system: Pps
    bridge: Bridge
    events: Events

    async def lines(self, query: LogQuery, *, follow: bool = False) -> AsyncGenerator[LogLine, None]:
        after = 0
        while True:
            seq = self.events.seq
            work = partial(pps_logs.page, query=query, after=after)
            page = await self.bridge.unary(partial(self.system.files.catalog.read, work))
            after = page.after
            for line in page.lines:
                yield line
            if page.more:
                continue
            if not follow or page.ended:
                return
            await self.events.after(seq, LOG_TOPIC, JOB_TOPIC, PIPELINE_TOPIC)


_NAMED = r"""(?i)^[^a-z]*({0})\b|\b(level|severity|lvl)"?\s*[=:]\s*"?({0})\b"""
LEVELS = {
    wire.LOG_LEVEL_INFO: (Pattern(_NAMED.format("debug|trace"), negate=True),),
    wire.LOG_LEVEL_ERROR: (
        Pattern(_NAMED.format("error|err|fatal|critical|panic|traceback") + "|^the job ended: (FAILURE|UNRUNNABLE)"),
    ),
}
"""Lines from a level on. A line says its level at its beginning, or as `level` or `severity`; else it is of INFO."""


@dataclass(frozen=True, slots=True)
class LogsDoor:
    """logs.API."""

    system: Pps
    bridge: Bridge
    events: Events
    service: str = field(default="logs.API")

    async def GetLogs(self, request: wire.GetLogsRequest, _call: Call) -> AsyncGenerator[wire.GetLogsResponse, None]:
        """Lines in the order of their arrival, oldest first; with `tail` those too that come later."""
        query, limit = self._query(request), request.filter.limit
        skip = request.filter.time_range.offset
        reader, told, last = _Reader(self.system, self.bridge, self.events), 0, 0
        async for line in reader.lines(query, follow=request.tail):
            if skip:
                skip -= 1
                continue
            if limit and told == limit:
                break
            told, last = told + 1, line.at_us
            message = infos_pps.log_message(line)
            yield wire.GetLogsResponse(
                log=wire.LogMessage(
                    verbatim=wire.VerbatimLogMessage(line=line.message.encode(), timestamp=message.ts),
                    native_timestamp=message.ts,
                    pps_log_message=message,
                )
            )
        if request.want_paging_hint:
            yield wire.GetLogsResponse(paging_hint=_hint(request, query, last))

    def _query(self, request: wire.GetLogsRequest) -> LogQuery:
        kind = request.query.WhichOneof("query_type")
        if kind == "admin":
            query = _admin(request.query.admin)
        elif kind == "user":
            query = _user(request.query.user)
        else:
            raise InvalidArgument("whose logs are wanted is not said: the query has neither user nor admin")
        bounds = request.filter.time_range
        one = request.filter.regex
        return replace(
            query,
            since_us=micros(getattr(bounds, "from")) if bounds.HasField("from") else 0,
            until_us=micros(bounds.until) if bounds.HasField("until") else 0,
            user_only=query.user_only or request.filter.user_logs_only,
            patterns=(
                *query.patterns,
                *([Pattern(one.pattern, one.negate)] if one.pattern else []),
                *LEVELS.get(request.filter.level, ()),
            ),
        )


def _hint(request: wire.GetLogsRequest, query: LogQuery, last_us: int) -> wire.PagingHint:
    """Where older and newer lines are: before the first instant asked for, and from the last line on."""
    older, newer = wire.GetLogsRequest(), wire.GetLogsRequest()
    for one in (older, newer):
        one.CopyFrom(request)
        one.filter.ClearField("time_range")
    older.filter.time_range.until.CopyFrom(timestamp(query.since_us))
    getattr(newer.filter.time_range, "from").CopyFrom(timestamp(last_us + 1 if last_us else query.since_us))
    return wire.PagingHint(older=older, newer=newer)


def _user(asked: wire.UserLogQuery) -> LogQuery:
    match asked.WhichOneof("user_type"):
        case "project":
            return LogQuery(project=asked.project, everything=True)
        case "pipeline":
            return LogQuery(pipeline=_pipeline(asked.pipeline), everything=True)
        case "datum":
            return LogQuery(anywhere=True, datums=frozenset([asked.datum]))
        case "job":
            return LogQuery(set_id=asked.job, everything=True)
        case "pipeline_job":
            job = Job(_pipeline(asked.pipeline_job.pipeline), asked.pipeline_job.job)
            return LogQuery(job=job, everything=True)
        case "job_datum":
            return LogQuery(set_id=asked.job_datum.job, datums=frozenset([asked.job_datum.datum]))
        case "pipeline_datum":
            wanted = asked.pipeline_datum
            return LogQuery(pipeline=_pipeline(wanted.pipeline), datums=frozenset([wanted.datum]))
    raise InvalidArgument("whose logs are wanted is not said: name a project, a pipeline, a job or a datum")


def _admin(asked: wire.AdminLogQuery) -> LogQuery:
    match asked.WhichOneof("admin_type"):
        case "master":
            return LogQuery(pipeline=_pipeline(asked.master), master=True)
        case "user":
            return _user(asked.user)
        case "logql":
            return parsed(asked.logql)
        case "pod" | "pod_container" | "app" | "storage" as kind:
            raise Unimplemented(
                f"logs by {kind} are a cluster's, and this server is one process: its log is on its standard error; "
                "ask by pipeline, job or datum, or with master for what it says of a pipeline"
            )
    raise InvalidArgument("whose logs are wanted is not said: the admin query is empty")


def _pipeline(asked: wire.PipelineLogQuery) -> Pipeline:
    return Pipeline(asked.project or "default", asked.pipeline)


def parsed(text: str) -> LogQuery:
    """A query in Loki's language, as far as it asks for what is here: labels and filters of lines.

    Raises InvalidArgument with what is understood.
    """
    found = SELECTOR.match(text)
    if found is None:
        raise InvalidArgument(
            f'a query begins with labels, such as {{pipelineName="edges"}}; found: {text or "nothing"}'
        )
    labels = dict(LABEL.findall(found.group(1)))
    unknown = [name for name in labels if name not in (*LABELS, *PLAIN)]
    if unknown or LABEL.sub("", found.group(1)).strip():
        raise InvalidArgument(
            f"{{{found.group(1)}}} is not understood: labels are {', '.join(LABELS)}, each with = and a quoted text"
        )
    patterns, at = [], found.end()
    while (one := FILTER.match(text, at)) is not None:
        sign, quoted, bare = one.groups()
        patterns.append(Pattern(bare if quoted is None else _unquoted(quoted), sign[0] == "!", sign[1] == "~"))
        at = one.end()
    if text[at:].strip():
        raise InvalidArgument(f"{text[at:].strip()} is not understood: after the labels come |= != |~ !~ with a text")
    project = labels.get("pipelineProject", "")
    named = Pipeline(project or "default", labels["pipelineName"]) if "pipelineName" in labels else None
    return LogQuery(
        pipeline=named,
        project="" if named else project,
        set_id=labels.get("job", ""),
        datums=frozenset([labels["datum"]]) if "datum" in labels else None,
        anywhere=True,
        everything="datum" not in labels,
        patterns=tuple(patterns),
    )


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t"}.get(found.group(1), found.group(1)), text)


@dataclass(frozen=True, slots=True)
class ClusterLogDoor:
    """What a cluster's own tools would say. happened: what the fleet of workers went through, as JSON texts."""

    system: Pps
    bridge: Bridge
    events: Events
    happened: Callable[[int], Sequence[str]]
    service: str = field(default="pps_v2.API")

    async def QueryLoki(self, request: pps.LokiRequest, _call: Call) -> AsyncGenerator[pps.LokiLogMessage, None]:
        """Lines of logs that a query in Loki's language asks for."""
        query = replace(parsed(request.query), since_us=self._since(request))
        async for line in _Reader(self.system, self.bridge, self.events).lines(query):
            yield pps.LokiLogMessage(message=line.message)

    async def GetKubeEvents(self, request: pps.LokiRequest, _call: Call) -> AsyncGenerator[pps.LokiLogMessage, None]:
        """What happened to the workers of this machine, since there is no Kubernetes that tells."""
        for text in self.happened(self._since(request)):
            yield pps.LokiLogMessage(message=text)

    def _since(self, request: pps.LokiRequest) -> int:
        span = span_us(request.since) if request.HasField("since") else 0
        return self.system.files.ambient.now_us() - span if span > 0 else 0
