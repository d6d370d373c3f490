"""The page that explains every field of a spec, in Markdown."""

from __future__ import annotations

import json

from trunkline.model.specs.canonical import camel
from trunkline.model.specs.reference.fields import MESSAGES, Described, name_of
from trunkline.model.specs.schema import Flag, Instant, Kind, Many, Name, Quantity, Real, Share, Span, Texts, Whole

_INTRODUCTION = """\
A spec is a JSON object or a YAML document; a file may hold several. Fields are spelled `likeThis` or `like_this`.
`pachctl validate pipeline -f FILE` checks it, `pachctl inspect schema` prints a JSON Schema for editors, which the
server has at `/schemas/pipeline.json`. What a spec does not say comes from the project's defaults, then the cluster's,
then the column below; `null` takes a default away. ☸ marks what only a Kubernetes cluster acts on: elsewhere it is
checked, kept and shown.
"""
_HEADER = "| field | kind | default | meaning | example |\n|---|---|---|---|---|"
_KINDS: dict[type, str] = {
    Flag: "true or false",
    Whole: "whole number",
    Real: "number",
    Span: "span of time",
    Instant: "instant",
    Quantity: "quantity",
    Share: "number or percentage",
    Name: "name",
    Texts: "strings by name",
}


def page(notice: str) -> str:
    """The whole page."""
    parts = ["# The fields of a pipeline spec\n", notice, _INTRODUCTION]
    parts += [_section(one) for one in MESSAGES.values()]
    return "\n".join(parts)


def _section(described: Described) -> str:
    rows = [f"## {described.name}\n\n{described.about}\n\n{_HEADER}"]
    for name, field in described.fields.items():
        mark = " ☸" if field.kubernetes else ""
        example = json.dumps(field.example, ensure_ascii=False).replace("|", "\\|")
        kind = _kind(described.kind.fields[name])
        rows.append(f"| `{camel(name)}`{mark} | {kind} | {field.default} | {field.meaning} | `{example}` |")
    return "\n".join(rows) + "\n"


def _kind(kind: Kind) -> str:
    name = name_of(kind)
    told = f"[{name}](#{name})" if name else _KINDS.get(type(kind), "string")
    if isinstance(kind, Many):
        return f"list of {told if name else _kind(kind.of) + 's'}"
    return told
