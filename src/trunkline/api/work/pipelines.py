"""pps_v2.API: pipelines created, shown, stopped, started, deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from google.protobuf.empty_pb2 import Empty

from trunkline.api.filters.jq import wanted_by
from trunkline.api.rpc.call import Call
from trunkline.catalog.engine import Tx
from trunkline.errors import NotFound, Unimplemented
from trunkline.model.addresses import parse_ancestry
from trunkline.model.infos_pps import PipelineInfo
from trunkline.model.names import Pipeline
from trunkline.model.specs import PipelineSpec
from trunkline.pfs.files import Files
from trunkline.pfs.graph.changes import Change
from trunkline.pps import jobs as pps_jobs
from trunkline.pps import pipelines as pps_pipelines
from trunkline.pps.images.resolving import CONTAINER, Rules
from trunkline.pps.schedules.ticks import run_cron
from trunkline.pps.specs import requests
from trunkline.pps.specs.requests import Made, Request, notes_on_fleet
from trunkline.pps.states.condition import with_workers
from trunkline.wire import infos_pps, nouns, specs
from trunkline.wire.gen import pps_v2_pb2 as pps


@dataclass(frozen=True, slots=True)
class PipelineDoor:
    """Pipelines. `rules` say what this server lets them be."""

    files: Files
    rules: Rules
    crash: Callable[[], str] = lambda: ""
    service: str = field(default="pps_v2.API")

    def CreatePipeline(self, request: pps.CreatePipelineRequest, call: Call) -> Empty:
        """Make or update a pipeline from the older message."""
        wanted = Request(specs.form_of(request), update=request.update, reprocess=request.reprocess)
        self._create(wanted, call, dry_run=request.dry_run)
        return Empty()

    def CreatePipelineV2(self, request: pps.CreatePipelineV2Request, call: Call) -> pps.CreatePipelineV2Response:
        """Make or update a pipeline from JSON; the spec with its defaults comes back."""
        wanted = Request(request.create_pipeline_request_json, update=request.update, reprocess=request.reprocess)
        made = self._create(wanted, call, dry_run=request.dry_run)
        return pps.CreatePipelineV2Response(effective_create_pipeline_request_json=made.row.effective_spec)

    def InspectPipeline(self, request: pps.InspectPipelineRequest, call: Call) -> pps.PipelineInfo:
        """One pipeline; its name may go back in versions, as `edges^2`."""
        ancestry = parse_ancestry(request.pipeline.name)
        named = nouns.pipeline_of(request.pipeline)
        pipeline = Pipeline(named.project, ancestry.base)
        info = self.files.catalog.read(lambda tx: pps_jobs.inspect_pipeline(tx, pipeline, back=ancestry.back))
        if request.details:
            spec = PipelineSpec.from_json(info.effective_spec)
            if info.runner == CONTAINER:
                call.notes.append(f"pipeline {info.pipeline} {info.runner_note}")
            call.notes.extend(notes_on_fleet(spec, self.rules, info.runner))
        return infos_pps.pipeline_info(with_workers(info, self.crash(), self.rules.gpus), details=request.details)

    def ListPipeline(self, request: pps.ListPipelineRequest, _call: Call) -> Iterator[pps.PipelineInfo]:
        """Pipelines, newest first; pages go by name."""
        crash = self.crash()
        with wanted_by(request.jqFilter) as wanted:
            found = [
                (info, message)
                for info in self._listed(request)
                if wanted(
                    message := infos_pps.pipeline_info(
                        with_workers(info, crash, self.rules.gpus), details=request.details
                    )
                )
            ]
        size = request.page.page_size
        if size > 0:
            first = size * max(request.page.page_index, 0)
            found = sorted(found, key=lambda one: (one[0].pipeline, -one[0].version))[first : first + size]
        yield from (message for _, message in found)

    def _listed(self, request: pps.ListPipelineRequest) -> list[PipelineInfo]:
        return self.files.catalog.read(
            lambda tx: pps_jobs.list_pipelines(
                tx,
                [nouns.project_of(project) for project in request.projects],
                pipeline=nouns.pipeline_of(request.pipeline) if request.pipeline.name else None,
                history=request.history,
                commit_set=request.commit_set.id,
            )
        )

    def DeletePipeline(self, request: pps.DeletePipelineRequest, _call: Call) -> Empty:
        """Remove a pipeline with its output, or with `all` every one."""
        if request.all:
            self._delete_all([], force=request.force, keep_repo=request.keep_repo)
            return Empty()
        pipeline = nouns.pipeline_of(request.pipeline)
        self.files.change(
            lambda change: pps_pipelines.delete_pipeline(
                change, pipeline, force=request.force, keep_repo=request.keep_repo, must_exist=request.must_exist
            )
        )
        return Empty()

    def DeletePipelines(self, request: pps.DeletePipelinesRequest, _call: Call) -> pps.DeletePipelinesResponse:
        """Remove the pipelines of some projects, or with `all` of all."""
        projects = [nouns.project_of(project) for project in request.projects]
        if not projects and not request.all:
            return pps.DeletePipelinesResponse()
        gone = self._delete_all([] if request.all else projects, force=request.force, keep_repo=request.keep_repo)
        return pps.DeletePipelinesResponse(pipelines=map(nouns.pipeline, gone))

    def _delete_all(self, projects: list[str], *, force: bool, keep_repo: bool) -> list[Pipeline]:
        return self.files.change(
            lambda change: pps_pipelines.delete_pipelines(change, projects, force=force, keep_repo=keep_repo)
        )

    def StartPipeline(self, request: pps.StartPipelineRequest, _call: Call) -> Empty:
        """Let a stopped pipeline work again."""
        pipeline = nouns.pipeline_of(request.pipeline)
        self.files.change(lambda change: pps_pipelines.start_pipeline(change, pipeline))
        return Empty()

    def StopPipeline(self, request: pps.StopPipelineRequest, _call: Call) -> Empty:
        """Let a pipeline start no more jobs. One that is not there is no error, unless it must exist."""
        pipeline = nouns.pipeline_of(request.pipeline)
        try:
            self.files.change(lambda change: pps_pipelines.stop_pipeline(change, pipeline))
        except NotFound:
            if request.must_exist:
                raise
        return Empty()

    def RunCron(self, request: pps.RunCronRequest, _call: Call) -> Empty:
        """Let a pipeline's cron inputs tick now."""
        run_cron(self.files, nouns.pipeline_of(request.pipeline))
        return Empty()

    def RunPipeline(self, request: pps.RunPipelineRequest, _call: Call) -> Empty:
        """What older versions had. Data and versions start jobs, and `rerun` starts one on the same data."""
        name = nouns.pipeline_of(request.pipeline).name
        raise Unimplemented(
            "there is no RunPipeline any more: a pipeline runs when its input changes; to run it once more on the same "
            f"data use `pachctl rerun pipeline {name}`, and for a cron input `pachctl run cron {name}`"
        )

    def RerunPipeline(self, request: pps.RerunPipelineRequest, call: Call) -> Empty:
        """Make the pipeline's version once more: a new job on what its inputs hold, with `reprocess` from scratch."""
        pipeline = nouns.pipeline_of(request.pipeline)
        self._make(call, lambda change: requests.rerun(change, pipeline, self.rules, reprocess=request.reprocess))
        return Empty()

    def _create(self, wanted: Request, call: Call, *, dry_run: bool) -> Made:
        return self._make(call, lambda change: requests.create(change, wanted, self.rules), dry_run or wanted.tries)

    def _make(self, call: Call, make: Callable[[Change], Made], dry_run: bool = False) -> Made:
        """Make a version in a transaction, and tell its notes."""

        def work(tx: Tx) -> Made:
            change = self.files.change_in(tx)
            made = make(change)
            change.close()
            return made

        made = self.files.catalog.dry_run(work) if dry_run else self.files.catalog.transact(work)
        call.notes.extend(made.notes)
        return made
