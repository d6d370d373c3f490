"""pps_v2.API: defaults of the cluster and of projects, and templates of specs."""

from __future__ import annotations

from dataclasses import dataclass, field

from trunkline.api.rpc.call import Call
from trunkline.catalog.engine import Tx
from trunkline.pfs.files import Files
from trunkline.pps.images.resolving import Rules
from trunkline.pps.specs import defaults, templates
from trunkline.pps.specs.defaults import CLUSTER, Outcome, Wish
from trunkline.wire import nouns, specs
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.times import timestamp


@dataclass(frozen=True, slots=True)
class DefaultsDoor:
    """What lies below the specs that people write."""

    files: Files
    rules: Rules
    service: str = field(default="pps_v2.API")

    def GetClusterDefaults(
        self, _request: pps.GetClusterDefaultsRequest, _call: Call
    ) -> pps.GetClusterDefaultsResponse:
        """The cluster's defaults, as they were written."""
        row = self.files.catalog.read(defaults.get_defaults)
        return pps.GetClusterDefaultsResponse(cluster_defaults_json=row.document)

    def SetClusterDefaults(self, request: pps.SetClusterDefaultsRequest, call: Call) -> pps.SetClusterDefaultsResponse:
        """Replace the cluster's defaults."""
        wish = Wish(request.regenerate, request.reprocess)
        outcome = self._set(CLUSTER, request.cluster_defaults_json, wish, call, dry_run=request.dry_run)
        return pps.SetClusterDefaultsResponse(affected_pipelines=map(nouns.pipeline, outcome.affected))

    def GetProjectDefaults(self, request: pps.GetProjectDefaultsRequest, _call: Call) -> pps.GetProjectDefaultsResponse:
        """A project's defaults, as they were written."""
        project = nouns.project_of(request.project)
        row = self.files.catalog.read(lambda tx: defaults.get_defaults(tx, project))
        return pps.GetProjectDefaultsResponse(
            project_defaults_json=row.document,
            created_by=row.created_by,
            created_at=timestamp(row.created_us) if row.created_us else None,
        )

    def SetProjectDefaults(self, request: pps.SetProjectDefaultsRequest, call: Call) -> pps.SetProjectDefaultsResponse:
        """Replace a project's defaults."""
        wish, project = Wish(request.regenerate, request.reprocess), nouns.project_of(request.project)
        outcome = self._set(project, request.project_defaults_json, wish, call, dry_run=request.dry_run)
        return pps.SetProjectDefaultsResponse(affected_pipelines=map(nouns.pipeline, outcome.affected))

    def RenderTemplate(self, request: pps.RenderTemplateRequest, _call: Call) -> pps.RenderTemplateResponse:
        """The specs that a jsonnet template gives for some arguments."""
        found = templates.render(request.template, request.args)
        return pps.RenderTemplateResponse(json=found.json, specs=map(specs.request_of, found.specs))

    def _set(self, project: str, text: str, wish: Wish, call: Call, *, dry_run: bool) -> Outcome:
        def work(tx: Tx) -> Outcome:
            change = self.files.change_in(tx)
            outcome = defaults.set_defaults(change, text, self.rules, project=project, wish=wish)
            change.close()
            return outcome

        outcome = self.files.catalog.dry_run(work) if dry_run else self.files.catalog.transact(work)
        if said := defaults.note_of(outcome):
            call.notes.append(said)
        return outcome
