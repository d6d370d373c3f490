"""The JSON Schema (2020-12) of pipeline specs, for editors: both spellings of every field, with its meaning.

What a schema cannot say, such as which fields exclude one another, is left to `pachctl validate pipeline`.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from trunkline.model.specs.canonical import camel
from trunkline.model.specs.reference.fields import MESSAGES, Described, name_of
from trunkline.model.specs.reference.meaning import Field
from trunkline.model.specs.schema import (
    Flag,
    Instant,
    Kind,
    Many,
    Name,
    Quantity,
    Real,
    Share,
    Span,
    Text,
    Texts,
    Whole,
)

FILE = Path(__file__).with_name("pipeline.schema.json")
"""The schema as the package ships it. `make docs` writes it, a test compares."""

_SPAN = r"^(0|([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$"
_DIGITS = r"^-?[0-9]{1,20}(\.0*)?$"
_SHARE = r"^([0-9]{1,9}|[0-9]{1,3}(\.[0-9]{1,6})?%|)$"
_QUANTITY = r"^(([0-9]+(\.[0-9]*)?|\.[0-9]+)([numkKMGTPE]i?|[eE][+-]?[0-9]{1,2})?)?$"
Schema = dict[str, Any]


def schema() -> Schema:
    """A spec, or a list of specs."""
    spec = {"$ref": "#/$defs/spec"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Pipeline specs",
        "description": MESSAGES["spec"].about,
        "anyOf": [spec, {"type": "array", "items": spec}],
        "$defs": {name: _message(one) for name, one in MESSAGES.items()},
    }


def schema_text() -> str:
    """The schema as the package ships it."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


@cache
def shipped() -> str:
    """The schema's text, read from the package."""
    return FILE.read_text(encoding="utf-8")


def _message(described: Described) -> Schema:
    properties: Schema = {}
    for name, kind in described.kind.fields.items():
        whole = _described(described.fields[name], _value(kind))
        properties[camel(name)] = whole
        if camel(name) != name:
            older = f"The older spelling of {camel(name)}."
            properties[name] = {**_value(kind), "description": older, "deprecated": True}
    found: Schema = {
        "description": described.about,
        "type": ["object", "null"],
        "properties": properties,
        "additionalProperties": False,
    }
    if described.name == "input":
        found |= {"minProperties": 1, "maxProperties": 1}
    if described.name == "spec":
        properties["$schema"] = {"type": "string", "description": "For editors: where this schema is."}
        found["type"] = "object"
        found["required"] = ["pipeline"]
    return found


def _described(field: Field, value: Schema) -> Schema:
    more = " Only a Kubernetes cluster acts on it." if field.kubernetes else ""
    default = f" Default: {field.default}." if field.default else ""
    return {"description": f"{field.meaning}{more}{default}".replace("`", '"'), **value, "examples": [field.example]}


def _value(kind: Kind) -> Schema:
    """What a value of a kind may be; null takes a default away."""
    name = name_of(kind)
    if isinstance(kind, Many):
        items = {"$ref": f"#/$defs/{name}"} if name else _value(kind.of)
        return {"type": ["array", "null"], "items": items}
    if name:
        return {"$ref": f"#/$defs/{name}"}
    match kind:
        case Flag():
            return {"type": ["boolean", "null"]}
        case Texts():
            return {"type": ["object", "null"], "additionalProperties": {"type": ["string", "null"]}}
        case Whole(low, high):
            return {"type": ["integer", "string", "null"], "minimum": low, "maximum": high, "pattern": _DIGITS}
        case Real():
            return {"type": ["number", "string", "null"], "minimum": 0, "pattern": _QUANTITY}
        case Name(names):
            return {"enum": [*names, *range(len(names)), None]}
        case Span():
            return {"type": ["string", "null"], "pattern": _SPAN}
        case Instant():
            return {"type": ["string", "null"], "format": "date-time"}
        case Quantity():
            return {"type": ["string", "integer", "null"], "pattern": _QUANTITY}
        case Share():
            return {"type": ["string", "integer", "null"], "minimum": 0, "pattern": _SHARE}
        case Text():
            return {"type": ["string", "null"]}
        case _:
            raise ValueError(f"a schema cannot say {kind}")
