"""Every message of a spec by its name, and for each field its meaning, default and an example.

A test holds this table against `model.specs.schema`: a field without a meaning fails it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trunkline.model.specs import schema
from trunkline.model.specs.reference import inputs, running
from trunkline.model.specs.reference.meaning import Field
from trunkline.model.specs.schema import Kind, Many, Message, message


@dataclass(frozen=True, slots=True)
class Described:
    """A message of a spec. about: what it is for; fields: by their names in snake_case."""

    name: str
    kind: Message
    about: str
    fields: Mapping[str, Field]


def _inner(kind: Kind) -> Message | None:
    return message(kind.of if isinstance(kind, Many) else kind)


def _described() -> dict[str, Described]:
    """Every message that a spec can hold, the whole spec first, each once."""
    about = {**running.ABOUT, **inputs.ABOUT}
    fields = {**running.FIELDS, **inputs.FIELDS}
    names = {id(schema.REQUEST): "spec"}
    waiting = [schema.REQUEST]
    found: dict[str, Described] = {}
    while waiting:
        kind = waiting.pop(0)
        name = names[id(kind)]
        found[name] = Described(name, kind, about[name], fields[name])
        for field, one in kind.fields.items():
            inner = _inner(one)
            if inner is not None and id(inner) not in names:
                names[id(inner)] = _NAMES.get((name, field), field)
                waiting.append(inner)
    return found


_NAMES = {
    ("spec", "resource_requests"): "resources",
    ("sql_database", "secret"): "sql_secret",
    ("spec", "tolerations"): "toleration",
    ("transform", "secrets"): "secret",
}
"""What messages are called whose name is not the first field that holds one."""

MESSAGES: Mapping[str, Described] = _described()
"""By name, in the order in which a reader of the spec meets them."""

_NAME_OF = {id(one.kind): name for name, one in MESSAGES.items()}


def name_of(kind: Kind) -> str:
    """The name of the message that `kind` is or holds, "" for none."""
    inner = _inner(kind)
    return _NAME_OF[id(inner)] if inner is not None else ""


def unused(spec: Mapping[str, Any], name: str = "spec", path: str = "") -> list[str]:
    """The fields of a spec in canonical form that only a Kubernetes cluster acts on, by their paths."""
    found: list[str] = []
    described = MESSAGES[name]
    for field, value in spec.items():
        meant = described.fields.get(field)
        if meant is None or not value:
            continue
        inner = name_of(described.kind.fields[field])
        if meant.kubernetes:
            found.append(f"{path}{field}")
        elif inner and isinstance(value, Mapping):
            found += unused(value, inner, f"{path}{field}.")
    return found
