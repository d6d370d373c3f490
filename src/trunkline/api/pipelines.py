"""pps_v2.API: pipelines created, shown, stopped, started, deleted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from google.protobuf.empty_pb2 import Empty

from trunkline.api.call import Call
from trunkline.pfs.files import Files
from trunkline.pps.pipelines import Rules
from trunkline.wire import specs
from trunkline.wire.gen import pps_v2_pb2 as pps


@dataclass(frozen=True, slots=True)
class PipelineDoor:
    """Pipelines. `rules` say what this server lets them be."""

    files: Files
    rules: Rules
    service: str = field(default="pps_v2.API")

    def CreatePipeline(self, request: pps.CreatePipelineRequest, _call: Call) -> Empty:
        """Make or update a pipeline from the older message."""
        form = specs.form_of(request)
        self._create(form, update=request.update, reprocess=request.reprocess, dry_run=request.dry_run)
        return Empty()

    def CreatePipelineV2(self, request: pps.CreatePipelineV2Request, _call: Call) -> pps.CreatePipelineV2Response:
        """Make or update a pipeline from JSON; the spec with its defaults comes back."""
        effective = self._create(
            request.create_pipeline_request_json,
            update=request.update,
            reprocess=request.reprocess,
            dry_run=request.dry_run,
        )
        return pps.CreatePipelineV2Response(effective_create_pipeline_request_json=effective)

    def _create(self, text: Any, *, update: bool, reprocess: bool, dry_run: bool) -> str:
        raise NotImplementedError
