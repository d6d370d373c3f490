"""pps_v2.API/GetLogs: lines that are there, and lines that come."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field, replace
from functools import partial

from trunkline.api.rpc.bridge import Bridge
from trunkline.api.rpc.call import Call
from trunkline.api.rpc.events import Events
from trunkline.errors import InvalidArgument
from trunkline.model.names import Job
from trunkline.pps import datums as pps_datums
from trunkline.pps import logs as pps_logs
from trunkline.pps.controller import Pps
from trunkline.pps.logs import LOG_TOPIC, LogPage, LogQuery
from trunkline.pps.machine import JOB_TOPIC
from trunkline.pps.pipelines import PIPELINE_TOPIC
from trunkline.wire import infos_pps, nouns
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.times import span_us

STRETCHES = 1000
"""So many stretches of a log are remembered while its last lines are looked for; then two become one."""


@dataclass(frozen=True, slots=True)
class LogDoor:
    """Logs. A follower is a coroutine that wakes when lines arrive."""

    system: Pps
    bridge: Bridge
    events: Events
    service: str = field(default="pps_v2.API")

    async def GetLogs(self, request: pps.GetLogsRequest, _call: Call) -> AsyncGenerator[pps.LogMessage, None]:
        """Lines in order; with `tail` only the last ones of those that are there, with `follow` those that come."""
        if request.tail < 0:
            raise InvalidArgument(f"tail is how many of the last lines are wanted, 0 meaning all; not {request.tail}")
        query = await self.bridge.unary(partial(self._query, request))
        filters = tuple(request.data_filters) if query.datums is None else ()
        page_of = partial(self._page, query, filters)
        after, left_out = await self._tail(page_of, request.tail) if request.tail else (0, 0)
        while True:
            seq = self.events.seq
            page = await self.bridge.unary(partial(page_of, after))
            after = page.after
            for line in page.lines:
                if left_out:
                    left_out -= 1
                else:
                    yield infos_pps.log_message(line)
            if page.more:
                continue
            if not request.follow or page.ended:
                return
            await self.events.after(seq, LOG_TOPIC, JOB_TOPIC, PIPELINE_TOPIC)

    async def _tail(self, page_of: Callable[[int], LogPage], tail: int) -> tuple[int, int]:
        """Where the last `tail` lines begin: a place in the log, and how many lines after it are not among them.

        Lines are counted and not kept, since somebody may ask for any number of them.
        """
        stretches: deque[tuple[int, int]] = deque()
        count, after, more = 0, 0, True
        while more:
            page = await self.bridge.unary(partial(page_of, after))
            if page.lines:
                stretches.append((after, len(page.lines)))
                count += len(page.lines)
            after, more = page.after, page.more
            while stretches and count - stretches[0][1] >= tail:
                count -= stretches.popleft()[1]
            if len(stretches) > STRETCHES:
                pairs = itertools.zip_longest(*[iter(stretches)] * 2, fillvalue=(0, 0))
                stretches = deque((first[0], first[1] + second[1]) for first, second in pairs)
        return (stretches[0][0], max(0, count - tail)) if stretches else (after, 0)

    def _page(self, query: LogQuery, filters: tuple[str, ...], after: int) -> LogPage:
        page = self.system.files.catalog.read(lambda tx: pps_logs.page(tx, query, after))
        lines = pps_datums.with_inputs(self.system.files, self.system.tables, page.lines, filters)
        return replace(page, lines=lines)

    def _query(self, request: pps.GetLogsRequest) -> LogQuery:
        named = request.datum.job if request.datum.id else request.job
        job = nouns.job_of(named) if named.id else None
        since = span_us(request.since) if request.HasField("since") else 0
        return LogQuery(
            pipeline=nouns.pipeline_of(request.pipeline) if request.pipeline.name and job is None else None,
            job=job,
            datums=self._datums(request, job),
            master=request.master,
            since_us=self.system.files.ambient.now_us() - since if since > 0 else 0,
        )

    def _datums(self, request: pps.GetLogsRequest, job: Job | None) -> frozenset[str] | None:
        """IDs of the datums meant; None: all, or those that the filters choose in each job."""
        if request.datum.id:
            return frozenset([request.datum.id])
        filters = list(request.data_filters)
        if not filters or job is None:
            return None
        return pps_datums.matching_ids(self.system.files, self.system.tables, job, filters)
