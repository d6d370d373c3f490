"""Defaults of the cluster and of projects: kept, and laid below the specs of pipelines.

A spec's effective form is: what the fleet gives, then the cluster's defaults, then the project's, then the spec itself,
each a JSON merge patch (RFC 7396) on the one before. It is worked out when a version is made and kept with it, so
that new defaults change a pipeline only when its next version is made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from trunkline.catalog.engine import Tx
from trunkline.catalog.work import defaults as rows
from trunkline.catalog.work import pipelines as pipeline_rows
from trunkline.catalog.work.defaults import CLUSTER, DefaultsRow
from trunkline.catalog.work.pipelines import PipelineRow, VersionRow
from trunkline.errors import InvalidArgument
from trunkline.model.names import DEFAULT_PROJECT, Pipeline
from trunkline.model.specs import PipelineSpec
from trunkline.model.specs.defaults import NOTHING, Defaults, read_defaults
from trunkline.model.specs.writing import read_spec
from trunkline.pfs.graph.changes import Change
from trunkline.pfs.graph.refs import need_project
from trunkline.pps import pipelines
from trunkline.pps.images.resolving import Rules

EMPTY = '{"createPipelineRequest": {}}'
"""What is shown where no defaults were ever set."""

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Wish:
    """What to do with pipelines whose effective spec changes: make a new version of each, and run all its datums."""

    regenerate: bool = False
    reprocess: bool = False

    @property
    def acts(self) -> bool:
        """Whether pipelines get new versions."""
        return self.regenerate or self.reprocess


@dataclass(frozen=True, slots=True)
class Outcome:
    """affected: pipelines that got a new version. left: those whose next version will differ, though nobody asked."""

    affected: tuple[Pipeline, ...] = ()
    left: tuple[Pipeline, ...] = ()


def get_defaults(tx: Tx, project: str = CLUSTER) -> DefaultsRow:
    """The defaults of a project, or of the cluster. Raises NotFound for a project that is not there."""
    if project != CLUSTER:
        need_project(tx, project)
    return rows.get_defaults(tx, [project]).get(project) or DefaultsRow(project, EMPTY, 0, "")


def layers(tx: Tx, project: str, rules: Rules) -> list[Mapping[str, Any]]:
    """What lies below the specs of a project's pipelines ("": of the default one), in canonical form, lowest first."""
    return _layers(tx, (CLUSTER, project or DEFAULT_PROJECT), rules)


def _layers(tx: Tx, names: tuple[str, ...], rules: Rules) -> list[Mapping[str, Any]]:
    found = rows.get_defaults(tx, names)
    return [rules.given, *(read_defaults(found[name].document).layer for name in names if name in found)]


def set_defaults(
    change: Change, text: str, rules: Rules, *, project: str = CLUSTER, wish: Wish = Wish(), by: str = ""
) -> Outcome:
    """Replace the defaults of a project, or of the cluster; empty ones take the old ones away.

    Raises NotFound for a project that is not there; InvalidArgument for a document that is none, and for defaults with
    which a pipeline that is to be regenerated could not be.
    """
    tx = change.tx
    what = "the document of the cluster's defaults"
    below: list[Mapping[str, Any]] = [rules.given]
    if project != CLUSTER:
        need_project(tx, project)
        what = f'the document of defaults of project "{project}"'
        below = _layers(tx, (CLUSTER,), rules)
    read = read_defaults(text, below=below, what=what)
    _keep(tx, project, read, by)
    affected, left = [], []
    for known, row in _pipelines_of(tx, project):
        spec, why = _again(tx, known, row, rules)
        if spec == PipelineSpec.from_json(row.effective_spec):
            continue
        if not wish.acts:
            left.append(known.pipeline)
        elif spec is None:
            raise InvalidArgument(f"pipeline {known.pipeline} cannot be regenerated with these defaults: {why}")
        else:
            pipelines.create_pipeline(
                change, spec, row.user_spec, update=True, reprocess=wish.reprocess, rules=rules, by=by
            )
            affected.append(known.pipeline)
    return Outcome(tuple(affected), tuple(left))


def note_of(outcome: Outcome) -> str:
    """A sentence about pipelines that keep what they were made with; empty if there are none."""
    if not outcome.left:
        return ""
    names = ", ".join(str(one) for one in outcome.left[:_MOST_NAMED])
    more = f" and {len(outcome.left) - _MOST_NAMED} more" if len(outcome.left) > _MOST_NAMED else ""
    return f"these keep the values they were made with until they are updated: {names}{more}; --regenerate updates them"


def _keep(tx: Tx, project: str, read: Defaults, by: str) -> None:
    if read.layer or json.loads(read.document) not in ({}, json.loads(EMPTY)):
        rows.put_defaults(tx, project, read.document, by)
    else:
        rows.delete_defaults(tx, project)


def _pipelines_of(tx: Tx, project: str) -> list[tuple[PipelineRow, VersionRow]]:
    """The pipelines of a project (of all for the cluster) with their present versions, the oldest first."""
    found = reversed(pipeline_rows.list_pipelines(tx, [project] if project != CLUSTER else []))
    pairs = [(known, pipeline_rows.get_version(tx, known.key, known.version)) for known in found]
    return [(known, row) for known, row in pairs if row is not None]


def _again(tx: Tx, known: PipelineRow, row: VersionRow, rules: Rules) -> tuple[PipelineSpec | None, str]:
    """A pipeline's effective spec as it would come out now; if it would be refused, None and why."""
    try:
        written = read_spec(row.user_spec, defaults=lambda name: layers(tx, name, rules))
    except InvalidArgument as error:
        return None, str(error)
    return replace(written.spec, salt=row.salt), ""


__all__ = ["CLUSTER", "EMPTY", "NOTHING", "Outcome", "Wish", "get_defaults", "layers", "note_of", "set_defaults"]
