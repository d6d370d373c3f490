"""Spec files: from a file, a URL or standard input, checked whole before anything is sent."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import click

from trunkline.cli.late import pps, writing
from trunkline.cli.session import Session
from trunkline.cli.texts import read_text
from trunkline.errors import InvalidArgument, TrunklineError

_ASK_TIMEOUT_S = 5.0

Spec = dict[str, Any]


def read_specs(session: Session, source: str | None, project: str | None) -> list[Spec]:
    """The specs in `source` (a path, an http(s) URL, `-`; None is standard input unless that is a terminal).

    Each gets its project: its own, else `project`, else the active context's. Raises InvalidArgument with every
    complaint, NotFound if it cannot be read.
    """
    if source is None and sys.stdin.isatty():
        raise click.UsageError("give the spec: -f FILE, -f URL or -f -")
    name = "standard input" if source in (None, "-") else str(source)
    return [_placed(session, spec, project) for spec in load(session, read_text(source or "-"), name)]


def load(session: Session, text: str, name: str) -> list[Spec]:
    """The specs in `text`, in one spelling. Raises InvalidArgument with every complaint, each with line and column.

    Which values must go together is left to the server where it holds defaults, as only it knows what they add.
    """
    try:
        return [one.user for one in writing.read_specs(text, what=name)]
    except InvalidArgument:
        try:
            found = writing.read_specs(text, what=name, rules=False)
        except InvalidArgument:
            found = []
        if not found or not _has_defaults(session):
            raise
        return [one.user for one in found]


def _has_defaults(session: Session) -> bool:
    try:
        request = pps.GetClusterDefaultsRequest()
        answer = session.client.pps.GetClusterDefaults(request, timeout=_ASK_TIMEOUT_S)
        return bool(json.loads(answer.cluster_defaults_json or "{}"))
    except (TrunklineError, json.JSONDecodeError):
        return False  # a server that cannot say holds none


def render(session: Session, source: str, arguments: Sequence[str], project: str | None) -> list[Spec]:
    """The specs that a jsonnet template gives. Raises as `read_specs`, and for an argument that is not `NAME=VALUE`."""
    values = {}
    for one in arguments:
        key, equals, value = one.partition("=")
        if not equals:
            raise InvalidArgument(f'"{one}" is no argument for a template; write NAME=VALUE')
        values[key] = value
    answer = session.client.pps.RenderTemplate(pps.RenderTemplateRequest(template=read_text(source), args=values))
    return [_placed(session, spec, project) for spec in load(session, answer.json, f"what {source} gives")]


def _placed(session: Session, spec: Spec, project: str | None) -> Spec:
    pipeline = spec.setdefault("pipeline", {})
    own = (pipeline.get("project") or {}).get("name", "")
    if own and project and own != project:
        raise InvalidArgument(
            f'the spec of "{pipeline.get("name", "")}" says project "{own}", --project says "{project}"'
        )
    pipeline["project"] = {"name": own or session.project(project)}
    return spec


def as_json(spec: Spec) -> str:
    """The text that CreatePipelineV2 takes."""
    return json.dumps(spec, ensure_ascii=False)
