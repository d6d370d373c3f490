"""pps_v2.API: jobs and job sets, and waiting for them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice

from google.protobuf.empty_pb2 import Empty

from trunkline.api.filters.jq import wanted_by
from trunkline.api.rpc.bridge import Bridge
from trunkline.api.rpc.call import Call
from trunkline.api.rpc.events import Events
from trunkline.api.work import changes
from trunkline.catalog.engine import thing
from trunkline.model.infos_pps import JobInfo, JobSetInfo
from trunkline.model.names import Commit, Job
from trunkline.pfs.files import Files
from trunkline.pfs.graph import commits as pfs_commits
from trunkline.pps import jobs as pps_jobs
from trunkline.pps.machine import JOB_TOPIC
from trunkline.wire import infos_pps, nouns
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.times import micros

PAGE = 500


def _newest(info: JobSetInfo) -> int:
    return max((job.created_us for job in info.jobs), default=0)


@dataclass(frozen=True, slots=True)
class JobDoor:
    """Jobs and job sets. trouble: why no worker at all runs, "" while one does. progress: names datums in hand.

    unsaved: why nothing that jobs do can be saved, "" while it can.
    """

    files: Files
    bridge: Bridge
    events: Events
    trouble: Callable[[], str] = lambda: ""
    progress: Callable[[JobInfo], JobInfo] = lambda info: info
    unsaved: Callable[[], str] = lambda: ""
    service: str = field(default="pps_v2.API")

    async def InspectJob(self, request: pps.InspectJobRequest, _call: Call) -> pps.JobInfo:
        """One job; with `wait`, when it has ended."""
        job = nouns.job_of(request.job)
        info = await self._reach(job, wait=request.wait)
        return infos_pps.job_info(info, details=request.details)

    async def _reach(self, job: Job, *, wait: bool) -> JobInfo:
        while True:
            seq = self.events.seq
            info = await self.events.look(seq, job, partial(self.bridge.unary, partial(self._inspect, job)))
            if info.state.terminal or not wait:
                return info
            await self.events.after(seq, thing(JOB_TOPIC, info.seq))

    def _inspect(self, job: Job) -> JobInfo:
        info = self._held(self.progress(self.files.catalog.read(lambda tx: pps_jobs.inspect_job(tx, job))))
        if info.reason.startswith("waits for a worker") and (trouble := self.trouble()):
            return replace(info, reason=f"waits for a worker: {trouble}")
        return info

    def _held(self, info: JobInfo) -> JobInfo:
        """A job as it does with a server that can save nothing, which no row can say."""
        if info.state.terminal or not (why := self.unsaved()):
            return info
        return replace(info, reason=f"waits, since nothing of it can be saved: {why}; tried again every second")

    async def InspectJobSet(self, request: pps.InspectJobSetRequest, _call: Call) -> AsyncGenerator[pps.JobInfo, None]:
        """The jobs of a set; with `wait`, each when it has ended."""
        told: set[Job] = set()
        while True:
            found = await self.bridge.unary(partial(self._set, request.job_set.id))
            fresh = [info for info in found.jobs if info.job not in told]
            for info in fresh:
                told.add(info.job)
                reached = await self._reach(info.job, wait=True) if request.wait else info
                yield infos_pps.job_info(reached, details=request.details)
            if not fresh or not request.wait:
                return

    def _set(self, set_id: str) -> JobSetInfo:
        return self.files.catalog.read(lambda tx: pps_jobs.inspect_set(tx, set_id, details=True))

    def ListJob(self, request: pps.ListJobRequest, _call: Call) -> Iterator[pps.JobInfo]:
        """Jobs, newest first; after the marker's instant (before it, when in reverse)."""
        page = partial(
            pps_jobs.list_jobs,
            projects=[nouns.project_of(project) for project in request.projects],
            pipeline=nouns.pipeline_of(request.pipeline) if request.pipeline.name else None,
            inputs=self._inputs(request),
            history=request.history,
            oldest_first=request.reverse,
            limit=PAGE,
            details=request.details,
        )
        found = map(self._held, self._after(request, self._pages(page, reverse=request.reverse)))
        with wanted_by(request.jqFilter) as wanted:
            shown = (infos_pps.job_info(info, details=request.details) for info in found)
            yield from islice(filter(wanted, shown), request.number if request.number > 0 else None)

    @staticmethod
    def _after(request: pps.ListJobRequest, infos: Iterator[JobInfo]) -> Iterator[JobInfo]:
        """Those beyond the marker of a request."""
        if not request.HasField("paginationMarker"):
            return infos
        marker = micros(request.paginationMarker)
        return (one for one in infos if (one.created_us > marker if request.reverse else one.created_us < marker))

    def _inputs(self, request: pps.ListJobRequest) -> list[Commit]:
        """Commits that jobs must read, looked up: a client may name a branch."""
        named = [nouns.commit_of(commit, "an input commit") for commit in request.input_commit]
        if not named:
            return []
        return self.files.catalog.read(
            lambda tx: [pfs_commits.inspect_commit(tx, one.repo, one.ref).commit for one in named]
        )

    def _pages(self, page: Callable[..., list[JobInfo]], *, reverse: bool) -> Iterator[JobInfo]:
        at: int | None = None
        while True:
            bound = {"above" if reverse else "below": at}
            found = self.files.catalog.read(partial(page, **bound))
            yield from found
            if not found:
                return
            at = found[-1].seq

    def ListJobSet(self, request: pps.ListJobSetRequest, _call: Call) -> Iterator[pps.JobSetInfo]:
        """Job sets, newest first."""
        projects = [nouns.project_of(project) for project in request.projects]
        found = self._sets(projects, details=request.details)
        chosen = reversed(list(found)) if request.reverse else found
        if request.HasField("paginationMarker"):
            marker = micros(request.paginationMarker)
            chosen = (one for one in chosen if (_newest(one) > marker if request.reverse else _newest(one) < marker))
        with wanted_by(request.jqFilter) as wanted:
            shown = (infos_pps.job_set_info(info, details=request.details) for info in chosen)
            yield from islice(filter(wanted, shown), request.number if request.number > 0 else None)

    def _sets(self, projects: list[str], *, details: bool) -> Iterator[JobSetInfo]:
        below: int | None = None
        while True:
            page = self.files.catalog.read(partial(pps_jobs.set_page, projects=projects, below=below, details=details))
            for newest, info in page:
                below = newest
                yield info
            if not page:
                return

    async def SubscribeJob(self, request: pps.SubscribeJobRequest, _call: Call) -> AsyncGenerator[pps.JobInfo, None]:
        """A pipeline's jobs, those that are there and those that come."""
        pipeline = nouns.pipeline_of(request.pipeline)
        page = partial(pps_jobs.list_jobs, pipeline=pipeline, oldest_first=True, limit=PAGE, details=request.details)
        above: int | None = None
        while True:
            seq = self.events.seq
            at = above
            found = await self.bridge.unary(lambda: self.files.catalog.read(partial(page, above=at)))  # noqa: B023
            for info in found:
                above = info.seq
                yield infos_pps.job_info(info, details=request.details)
            if not found:
                await self.events.after(seq, JOB_TOPIC)

    def StopJob(self, request: pps.StopJobRequest, _call: Call) -> Empty:
        """End a job."""
        return self.files.change(partial(changes.stop_job, request=request))

    def UpdateJobState(self, request: pps.UpdateJobStateRequest, _call: Call) -> Empty:
        """End a job in a certain state."""
        return self.files.change(partial(changes.update_job_state, request=request))

    def DeleteJob(self, request: pps.DeleteJobRequest, _call: Call) -> Empty:
        """End a job and forget it."""
        job = nouns.job_of(request.job)
        self.files.catalog.transact(lambda tx: pps_jobs.delete_job(tx, job))
        return Empty()
