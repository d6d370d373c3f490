"""Pipelines from specs as they come in: read, laid over the defaults, checked, made, all within a transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trunkline.catalog.engine import Tx
from trunkline.catalog.work import pipelines as pipeline_rows
from trunkline.catalog.work.pipelines import VersionRow
from trunkline.errors import InvalidArgument
from trunkline.model.names import Pipeline
from trunkline.model.specs import PipelineSpec
from trunkline.model.specs.writing import Written, read_spec, warnings
from trunkline.pfs.graph.changes import Change
from trunkline.pps import pipelines
from trunkline.pps.images.resolving import CONTAINER, HOST, Rules, note_on_tag
from trunkline.pps.specs import defaults
from trunkline.pps.specs.unused import note_on_limits, note_on_unused


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks for. source: a spec as text (JSON or YAML), or in the names of `CreatePipelineRequest`.

    update: replace the pipeline if it is there. reprocess: forget what was done. The spec itself may ask for both.
    """

    source: str | Mapping[str, Any]
    update: bool = False
    reprocess: bool = False

    @property
    def tries(self) -> bool:
        """Whether the spec itself asks for a dry run."""
        try:
            return read_spec(self.source, rules=False).asks("dry_run")
        except InvalidArgument:  # whoever creates it says why
            return False


@dataclass(frozen=True, slots=True)
class Made:
    """The version that was made, and sentences for the person."""

    row: VersionRow
    notes: list[str] = field(default_factory=list)


def create(change: Change, request: Request, rules: Rules, *, by: str = "") -> Made:
    """Make or update the pipeline that a request describes, above the defaults of its project and of the cluster.

    Raises InvalidArgument with all complaints at once, and what `pipelines.create_pipeline` raises.
    """
    written = read(change.tx, request.source, rules)
    row = pipelines.create_pipeline(
        change,
        written.spec,
        written.kept,
        update=request.update or written.asks("update"),
        reprocess=request.reprocess or written.asks("reprocess"),
        rules=rules,
        by=by,
    )
    return Made(row, _notes(change.tx, row, written.spec, rules))


def rerun(change: Change, pipeline: Pipeline, rules: Rules, *, reprocess: bool = False, by: str = "") -> Made:
    """Make a pipeline's version once more, with the defaults it was made with: a new job on what its inputs hold.

    Raises NotFound.
    """
    known = pipelines.need_pipeline(change.tx, pipeline)
    before = pipeline_rows.get_version(change.tx, known.key, known.version)
    user = before.user_spec if before else "{}"
    spec = pipelines.current_spec(change.tx, known)
    row = pipelines.create_pipeline(change, spec, user, update=True, reprocess=reprocess, rules=rules, by=by)
    return Made(row, _notes(change.tx, row, spec, rules))


def read(tx: Tx, source: str | Mapping[str, Any], rules: Rules) -> Written:
    """A spec laid over the defaults that hold for it, checked. Raises InvalidArgument."""
    return read_spec(source, defaults=lambda project: defaults.layers(tx, project, rules))


def notes_on_fleet(spec: PipelineSpec, rules: Rules, runner: str = "") -> list[str]:
    """What the server's workers do not do of what a spec asks for. Pods do all of it. runner: where its code runs."""
    if rules.cluster:
        return []
    notes = (note_on_unused(spec), note_on_limits(spec, rules.can_limit, runner == CONTAINER, rules.gpus))
    return [note for note in notes if note]


def _notes(tx: Tx, row: VersionRow, spec: PipelineSpec, rules: Rules) -> list[str]:
    notes = warnings(spec)
    if row.runner == HOST:
        notes.append(f"pipeline {spec.pipeline}: {row.runner_note}")
    if floating := note_on_tag(spec, row.runner):
        notes.append(floating)
    notes += notes_on_fleet(spec, rules, row.runner)
    if pipelines.keeps_older_results(tx, row):
        notes.append(
            f"pipeline {spec.pipeline}: the code changed, and what it made of data processed before stays; "
            "`pachctl update pipeline --reprocess` runs everything again"
        )
    return notes
