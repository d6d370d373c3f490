"""pps_v2.API: datums of jobs, and what datums an input would make."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

import numpy as np
from google.protobuf.empty_pb2 import Empty

from trunkline.api.rpc.call import Call
from trunkline.api.rpc.settling import Settling
from trunkline.errors import InvalidArgument, NotFound
from trunkline.model.datums import DatumTable
from trunkline.model.infos_pps import DatumInfo
from trunkline.model.names import Pipeline, Repo
from trunkline.model.specs import Input
from trunkline.model.specs.writing import read_spec
from trunkline.pfs.reads import Source
from trunkline.pps import datums as pps_datums
from trunkline.pps.controller import Pps
from trunkline.pps.datums import Committed
from trunkline.wire import infos_pps, nouns, specs
from trunkline.wire.gen import pps_v2_pb2 as pps

PAGE = 1000
BATCH = 100
"""How many datums CreateDatum gives at a time where the client leaves it to the server."""
NOWHERE = Pipeline("default", "")
"""Where no pipeline is named; an input without a project then means the default one."""


@dataclass(frozen=True, slots=True)
class DatumDoor:
    """Datums."""

    system: Pps
    settling: Settling
    service: str = field(default="pps_v2.API")

    def InspectDatum(self, request: pps.InspectDatumRequest, _call: Call) -> pps.DatumInfo:
        """One datum of a job."""
        job = nouns.job_of(request.datum.job, "the datum")
        info = pps_datums.inspect_datum(self.system.files, self.system.tables, job, request.datum.id)
        return infos_pps.datum_info(info)

    async def ListDatum(self, request: pps.ListDatumRequest, _call: Call) -> AsyncGenerator[pps.DatumInfo, None]:
        """A job's datums by ID, or those that an input would make now, in the order of running."""
        if request.number < 0:
            raise InvalidArgument(f"number is how many datums are wanted, 0 meaning all; not {request.number}")
        if request.job.id:
            find = partial(self._of_job, request)
        elif request.HasField("input"):
            pipeline = _pipeline_of(request)
            find = partial(_of_table, *await self._preview(request.input, pipeline), pipeline, request)
        else:
            raise InvalidArgument("whose datums are wanted is not said: name a job, or give an input")
        start = partial(_messages, find, request.number)
        async with aclosing(self.settling.bridge.stream(start)) as found:
            async for one in found:
                yield one

    def _of_job(self, request: pps.ListDatumRequest) -> Iterator[DatumInfo]:
        job = nouns.job_of(request.job)
        states = infos_pps.datum_states(request.filter.state)
        after = request.paginationMarker
        while True:
            page = pps_datums.list_datums(
                self.system.files,
                self.system.tables,
                job,
                states=states,
                after=after,
                number=PAGE,
                reverse=request.reverse,
            )
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1].id

    async def _preview(self, message: pps.Input, pipeline: Pipeline) -> tuple[DatumTable, Committed]:
        """The datums that an input would make now, once it is finished, and when it was."""
        unary = self.settling.bridge.unary
        root = await unary(partial(_read, message, pipeline))
        sources = await opened(self.settling, root)
        table = await unary(partial(pps_datums.preview, root, pipeline.project, sources))
        return table, pps_datums.committed(sources)

    async def CreateDatum(
        self, requests: AsyncIterator[pps.CreateDatumRequest], _call: Call
    ) -> AsyncGenerator[pps.DatumInfo, None]:
        """Datums of any input, in the order of running, as many at a time as the client asks for."""
        table, at = None, 0
        finished: Committed = {}
        async for request in requests:
            kind = request.WhichOneof("body")
            if (kind == "start") is (table is not None) or kind is None:
                raise InvalidArgument(
                    "the first message is `start` with an input, every further one `continue`: "
                    f"message {'one' if table is None else 'two or later'} is {kind or 'empty'}"
                )
            asked = request.start.number if kind == "start" else getattr(request, "continue").number
            if asked < 0:
                raise InvalidArgument(f"number is how many datums are wanted, 0 meaning {BATCH}; not {asked}")
            if table is None:
                table, finished = await self._preview(request.start.input, NOWHERE)
            end = min(len(table), at + (asked or BATCH))
            rows = np.arange(at, end)
            start = partial(pps_datums.described, table, NOWHERE, finished, rows)
            async with aclosing(self.settling.bridge.stream(start)) as found:
                async for info in found:
                    yield infos_pps.datum_info(info)
            at = end
            if at >= len(table):
                return  # at once: the client waits for a full batch, or for the end

    def RestartDatum(self, request: pps.RestartDatumRequest, call: Call) -> Empty:
        """End running datums and run them again."""
        job = nouns.job_of(request.job)
        said = pps_datums.restart_datum(self.system.files, self.system.tables, job, list(request.data_filters))
        if said:
            call.notes.append(said)
        return Empty()


async def opened(settling: Settling, root: Input) -> dict[Repo, Source]:
    """What an input reads, once it is finished, without cron inputs whose pipeline is not there yet.

    Raises NotFound, FailedPrecondition.
    """
    found: dict[Repo, Source] = {}
    own = pps_datums.ticks(root)
    for repo, ref in pps_datums.wanted_of(root).items():
        try:
            found[repo] = await settling.opened(repo, ref)
        except NotFound:
            if repo not in own:
                raise
    return found


def _read(message: pps.Input, pipeline: Pipeline) -> Input:
    """An input, which keeps the rules of a spec's."""
    named = {"name": pipeline.name or "preview-of-datums", "project": {"name": pipeline.project}}
    form = {"pipeline": named, "transform": {"cmd": ["true"]}, "input": specs.input_of(message)}
    wanted = read_spec(form).spec.input
    if wanted is None:
        raise InvalidArgument("the input is empty: give one of pfs, cross, union, join, group")
    return wanted


def _pipeline_of(request: pps.ListDatumRequest) -> Pipeline:
    """A pipeline may be named as that of a job without an id: its project enters the IDs of datums."""
    return nouns.pipeline_of(request.job.pipeline) if request.job.pipeline.name else NOWHERE


def _of_table(
    table: DatumTable, finished: Committed, pipeline: Pipeline, request: pps.ListDatumRequest
) -> Iterator[DatumInfo]:
    return pps_datums.list_preview(
        table,
        pipeline,
        finished,
        states=infos_pps.datum_states(request.filter.state),
        after=request.paginationMarker,
        reverse=request.reverse,
    )


def _messages(find: Callable[[], Iterator[DatumInfo]], number: int) -> Iterator[pps.DatumInfo]:
    return map(infos_pps.datum_info, islice(find(), number or None))
