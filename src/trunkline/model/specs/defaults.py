"""Defaults for pipeline specs: a document of a cluster or a project, whose fields lie below what specs say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trunkline.errors import InvalidArgument
from trunkline.model.paths import quoted
from trunkline.model.specs.canonical import Reader, camel
from trunkline.model.specs.complaints import refusal
from trunkline.model.specs.rules import check
from trunkline.model.specs.schema import REQUEST, Message
from trunkline.model.specs.texts import read_values
from trunkline.model.specs.writing import merged, take_annotations

Form = dict[str, Any]

REQUEST_KEY = "create_pipeline_request"
NOTHING = "{}"
"""The document that has no defaults."""

_NEVER = {
    "pipeline": "it says which pipeline a spec is of",
    "spec_commit": "it belongs to one version of one pipeline",
    "salt": "pipelines that share a salt could never be reprocessed one by one",
    "update": "it is about one call",
    "reprocess": "it is about one call",
    "dry_run": "it is about one call",
}
_DOCUMENT = Message({REQUEST_KEY: REQUEST})


@dataclass(frozen=True, slots=True)
class Defaults:
    """One document. document: JSON as it was written; layer: its fields in canonical form, null where one deletes."""

    document: str
    layer: Form


def read_defaults(
    text: str, *, below: Sequence[Mapping[str, Any]] = (), what: str = "the document of defaults"
) -> Defaults:
    """A document such as {"createPipelineRequest": {"datumTries": 2}}, in JSON or YAML.

    below: the layers that it lies on. Raises InvalidArgument with all complaints at once, each with line and column.
    """
    if not text.strip():
        raise InvalidArgument(f"{what} is empty; write {NOTHING} for none")
    found = read_values(text, what)
    if len(found) != 1:
        raise InvalidArgument(f"{what} is one object, found {len(found)}")
    value, about = found[0]
    form = Reader(about, keep_nulls=True).message(value, _DOCUMENT)
    layer: Form = form.get(REQUEST_KEY) or {}
    inner = about.under((*about.root, REQUEST_KEY))
    for name in _NEVER.keys() & layer.keys():
        inner.add((name,), f"{quoted(camel(name))} cannot be a default: {_NEVER[name]}")
    if about.found:
        raise refusal(about.found, what)
    take_annotations(layer, inner)
    check(_example(below, layer), inner)
    if about.found:
        raise refusal(about.found, what)
    return Defaults(json.dumps(value, ensure_ascii=False), layer)


def _example(below: Sequence[Mapping[str, Any]], layer: Form) -> Form:
    """The least spec above these defaults, so that what is complained about is theirs."""
    form = merged(*below, layer)
    form["pipeline"] = {"name": "example"}
    form["transform"] = {"cmd": ["true"], **form.get("transform", {})}
    if "spout" not in form and "input" not in form:
        form["input"] = {"pfs": {"repo": "data", "glob": "/*"}}
    return form
