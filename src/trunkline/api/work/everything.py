"""All pipelines at once: deleted, counted, looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from google.protobuf.empty_pb2 import Empty

from trunkline.api.rpc.call import Call
from trunkline.catalog.engine import Tx
from trunkline.model.infos_pps import PipelineInfo
from trunkline.model.jobs import JobState, PipelineState
from trunkline.pfs.files import Files
from trunkline.pfs.graph import repos as pfs_repos
from trunkline.pps import jobs as pps_jobs
from trunkline.pps import pipelines as pps_pipelines
from trunkline.pps.states import tasks as pps_tasks
from trunkline.pps.states.condition import alerts, with_workers
from trunkline.wire import nouns, tasks
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.gen import taskapi_pb2 as taskapi

ILL = (PipelineState.CRASHING, PipelineState.RESTARTING)


@dataclass(frozen=True, slots=True)
class AllPipelinesDoor:
    """All pipelines. crash: why no worker can run, "" if that is not so. gpus: devices of their machine."""

    files: Files
    crash: Callable[[], str] = lambda: ""
    gpus: int | None = None
    service: str = field(default="pps_v2.API")

    def DeleteAll(self, _request: Empty, _call: Call) -> Empty:
        """Remove every pipeline with its output."""
        self.files.change(lambda change: pps_pipelines.delete_pipelines(change, force=True))
        return Empty()

    def ListTask(self, request: taskapi.ListTaskRequest, _call: Call) -> Iterator[taskapi.TaskInfo]:
        """What is asked for and not done yet for jobs, and the datums that wait or run."""
        for task in self.files.catalog.read(pps_tasks.tasks):
            if tasks.wanted(request, task.namespace, task.group):
                yield tasks.task_info(
                    task.id, task.namespace, task.group, claimed=task.claimed, what=task.what, data=task.data
                )

    def PipelinesSummary(self, request: pps.PipelinesSummaryRequest, _call: Call) -> pps.PipelinesSummaryResponse:
        """How the pipelines of the projects do."""
        named, crash = [picker.name for picker in request.projects], self.crash()
        return self.files.catalog.read(lambda tx: self._summary(tx, named, crash))

    def _summary(self, tx: Tx, projects: list[str], crash: str) -> pps.PipelinesSummaryResponse:
        answer = pps.PipelinesSummaryResponse()
        for project in projects or [info.name for info in pfs_repos.list_projects(tx)]:
            found = [with_workers(info, crash, self.gpus) for info in pps_jobs.list_pipelines(tx, [project])]
            answer.summaries.append(_counted(project, found))
        return answer

    def CheckStatus(self, request: pps.CheckStatusRequest, _call: Call) -> Iterator[pps.CheckStatusResponse]:
        """The pipelines that somebody should look at, of one project or of all, and why."""
        projects = [] if request.all else [nouns.project_of(request.project)]
        crash, now_us = self.crash(), self.files.ambient.now_us()
        for info in self.files.catalog.read(lambda tx: pps_jobs.list_pipelines(tx, projects)):
            if found := alerts(with_workers(info, crash, self.gpus), now_us):
                yield pps.CheckStatusResponse(
                    project=nouns.project(info.pipeline.project), pipeline=nouns.pipeline(info.pipeline), alerts=found
                )


def _counted(project: str, found: list[PipelineInfo]) -> pps.PipelinesSummary:
    return pps.PipelinesSummary(
        project=nouns.project(project),
        active_pipelines=sum(not info.stopped and info.state is not PipelineState.FAILURE for info in found),
        paused_pipelines=sum(info.stopped for info in found),
        failed_pipelines=sum(info.state is PipelineState.FAILURE for info in found),
        unhealthy_pipelines=sum(info.state in ILL or info.last_job_state is JobState.FAILURE for info in found),
    )
