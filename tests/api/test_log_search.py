"""Logs by the newer calls: queries, filters, patterns; through a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import grpc
import pyarrow as pa
import pytest

from trunkline.api.work.logs import LogDoor
from trunkline.api.work.search import LEVELS, parsed
from trunkline.errors import InvalidArgument
from trunkline.model.infos_pps import LogLine
from trunkline.model.names import Pipeline
from trunkline.pps.logs import LogPage, LogQuery, Pattern
from trunkline.wire.gen import logs_pb2 as wire
from trunkline.wire.gen import logs_pb2_grpc, pfs_v2_pb2_grpc, pps_v2_pb2_grpc
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps

EDGES = pps.Pipeline(name="edges")
ABOUT = wire.PipelineLogQuery(pipeline="edges")


class Calls:
    def __init__(self, channel: grpc.Channel) -> None:
        self.logs = logs_pb2_grpc.APIStub(channel)
        self.pps = pps_v2_pb2_grpc.APIStub(channel)

    def lines(self, query: wire.UserLogQuery, **filter_: Any) -> list[str]:
        request = wire.GetLogsRequest(query=wire.LogQuery(user=query), filter=wire.LogFilter(**filter_))
        return [one.log.verbatim.line.decode() for one in self.logs.GetLogs(request)]

    def loki(self, query: str) -> list[str]:
        return [one.message for one in self.pps.QueryLoki(pps.LokiRequest(query=query))]


@pytest.fixture(scope="module")
def calls(channel: grpc.Channel) -> Calls:
    """A pipeline whose only job was stopped, so that the log says so."""
    repo = pfs.Repo(name="data", type="user")
    pfs_v2_pb2_grpc.APIStub(channel).CreateRepo(pfs.CreateRepoRequest(repo=repo))
    where = pfs.Commit(branch=pfs.Branch(repo=repo, name="master"))
    put = pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/a", raw={"value": b"x"}))
    pfs_v2_pb2_grpc.APIStub(channel).ModifyFile(iter([pfs.ModifyFileRequest(set_commit=where), put]))
    made = Calls(channel)
    spec = pps.CreatePipelineRequest(pipeline=EDGES, transform=pps.Transform(cmd=["true"]))
    spec.input.pfs.repo, spec.input.pfs.glob = "data", "/*"
    made.pps.CreatePipeline(spec)
    job = next(iter(made.pps.ListJob(pps.ListJobRequest(pipeline=EDGES)))).job
    made.pps.StopJob(pps.StopJobRequest(job=job, reason="enough of it"))
    whole = wire.UserLogQuery(pipeline_job=wire.PipelineJobLogQuery(pipeline=ABOUT, job=job.id))
    followed = made.logs.GetLogs(wire.GetLogsRequest(query=wire.LogQuery(user=whole), tail=True))
    assert list(followed)  # which ends when the job has
    made.job = job.id  # type: ignore[attr-defined]
    return made


def test_lines_of_a_pipeline_a_project_and_a_job(calls: Calls) -> None:
    found = calls.lines(wire.UserLogQuery(pipeline=ABOUT))
    assert "the job ended: KILLED, enough of it" in found
    assert calls.lines(wire.UserLogQuery(project="default")) == found
    mine = calls.lines(wire.UserLogQuery(job=calls.job))  # type: ignore[attr-defined]
    assert mine
    assert set(mine) <= set(found)
    assert calls.lines(wire.UserLogQuery(job="0" * 32)) == []
    assert calls.lines(wire.UserLogQuery(datum="0" * 64)) == []
    assert calls.lines(wire.UserLogQuery(pipeline=ABOUT), user_logs_only=True) == []


def test_filters(calls: Calls) -> None:
    whole = wire.UserLogQuery(pipeline=ABOUT)
    found = calls.lines(whole)
    assert calls.lines(whole, regex=wire.RegexLogFilter(pattern="KILL(ED)?")) == [x for x in found if "KILL" in x]
    without = calls.lines(whole, regex=wire.RegexLogFilter(pattern="KILL", negate=True))
    assert without == [x for x in found if "KILL" not in x]
    assert calls.lines(whole, limit=1) == found[:1]
    assert calls.lines(whole, time_range=wire.TimeRangeLogFilter(offset=1)) == found[1:]
    assert calls.lines(whole, time_range={"until": {"seconds": 1}}) == []
    hinted = wire.GetLogsRequest(query=wire.LogQuery(user=whole), want_paging_hint=True)
    *_, last = calls.logs.GetLogs(hinted)
    assert list(calls.logs.GetLogs(last.paging_hint.newer))[:-1] == []


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (wire.GetLogsRequest(), grpc.StatusCode.INVALID_ARGUMENT),
        (wire.GetLogsRequest(query={"user": {}}), grpc.StatusCode.INVALID_ARGUMENT),
        (wire.GetLogsRequest(query={"admin": {"pod": "x"}}), grpc.StatusCode.UNIMPLEMENTED),
        (wire.GetLogsRequest(query={"user": {"pipeline": {"pipeline": "none"}}}), grpc.StatusCode.NOT_FOUND),
        (
            wire.GetLogsRequest(query={"user": {"project": "default"}}, filter={"regex": {"pattern": "("}}),
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
    ],
    ids=["nothing", "nobody", "pod", "unknown", "pattern"],
)
def test_what_cannot_be_asked(calls: Calls, request_: wire.GetLogsRequest, code: grpc.StatusCode) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        list(calls.logs.GetLogs(request_))
    assert raised.value.code() is code
    assert raised.value.details()


def test_queries_in_the_language_of_loki(calls: Calls) -> None:
    assert calls.loki('{suite="pachyderm",pipelineName="edges"} |= "KILLED"') == ["the job ended: KILLED, enough of it"]
    assert calls.loki('{pipelineName="edges"} |~ "KILL(ED)?" != "enough"') == []
    assert list(calls.pps.GetKubeEvents(pps.LokiRequest())) == []  # a server without workers has had none


def test_what_is_understood_of_that_language() -> None:
    found = parsed(r'{pipelineName="edges", pipelineProject="p"} |= "a \"b\"" !~ `c\d`')
    assert found.pipeline == Pipeline("p", "edges")
    assert found.patterns == (Pattern('a "b"', regex=False), Pattern(r"c\d", negate=True))
    assert parsed('{job="x"}').set_id == "x"
    for wrong in ("", "edges", '{pod="x"}', '{pipelineName=~"e.*"}', '{job="x"} | json'):
        with pytest.raises(InvalidArgument, match=r"understood|labels"):
            parsed(wrong)


def test_lines_from_a_level_on() -> None:
    lines = [
        "ERROR it broke",
        '{"level": "error", "msg": "x"}',
        "[Critical] full",
        "ts=1 severity=fatal no",
        "Traceback (most recent call last):",
        "the job ended: FAILURE, 1 of 5 datums failed",
        "an error in the middle",
        "the job ended: SUCCESS",
        '{"severity":"info"}',
        "DEBUG looked",
        "level=debug looked",
    ]
    found = {
        level: [line for line in lines if all(one.mask(pa.array([line]))[0] for one in LEVELS.get(level, ()))]
        for level in wire.LogLevel.values()
    }
    assert found[wire.LOG_LEVEL_ERROR] == lines[:6]
    assert found[wire.LOG_LEVEL_INFO] == lines[:9]
    assert found[wire.LOG_LEVEL_UNSET] == found[wire.LOG_LEVEL_DEBUG] == lines


def test_a_level_is_asked_for_by_a_call(calls: Calls) -> None:
    assert calls.lines(wire.UserLogQuery(pipeline=ABOUT), level=wire.LOG_LEVEL_ERROR) == []
    assert calls.lines(wire.UserLogQuery(pipeline=ABOUT), level=wire.LOG_LEVEL_INFO)


class Counted(LogDoor):
    """A log of given pages, and how many lines a caller was made to keep."""

    pages: ClassVar[list[list[str]]] = []

    def _query(self, request: pps.GetLogsRequest) -> LogQuery:
        return LogQuery()

    def _page(self, query: LogQuery, filters: tuple[str, ...], after: int) -> LogPage:
        lines = tuple(LogLine(Pipeline("default", "p"), 1, text) for text in self.pages[after])
        return LogPage(lines, after + 1, after + 1 < len(self.pages), ended=True)


class Straight:
    """Stands for the bridge."""

    async def unary(self, function: Callable[[], Any]) -> Any:
        return function()


@pytest.mark.parametrize("tail", [1, 2, 7, 19, 20, 21, 1000, 2**62])
def test_the_last_lines_are_found_without_keeping_them(monkeypatch: pytest.MonkeyPatch, tail: int) -> None:
    monkeypatch.setattr("trunkline.api.work.logs.STRETCHES", 3)
    numbers = iter(range(100))
    Counted.pages = [[f"{next(numbers)}" for _ in range(size)] for size in (3, 0, 1, 5, 0, 2, 4, 1, 3, 1, 0)]
    door = Counted(None, Straight(), SimpleNamespace(seq=0))  # type: ignore[arg-type]

    async def ask() -> list[str]:
        return [line.message async for line in door.GetLogs(pps.GetLogsRequest(tail=tail), None)]  # type: ignore[arg-type]

    everything = [line for page in Counted.pages for line in page]
    assert asyncio.run(ask()) == everything[-tail:]
