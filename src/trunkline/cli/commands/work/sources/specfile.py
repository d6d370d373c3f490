"""Spec files: from a file, a URL or standard input, checked whole before anything is sent."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import click

from trunkline.cli.late import defaults, names, pps, writing
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
    return [_placed(session, spec, project) for spec in load(session, read_text(source or "-"), name, project)]


def load(session: Session, text: str, name: str, project: str | None = None) -> list[Spec]:
    """The specs in `text`, in one spelling. Raises InvalidArgument with every complaint, each with line and column.

    A spec that is not whole by itself is checked above the server's defaults. project: of specs that name none.
    """
    try:
        return [one.user for one in writing.read_specs(text, what=name)]
    except InvalidArgument as error:
        alone = error
    try:
        writing.read_specs(text, what=name, rules=False)
    except InvalidArgument:
        raise alone from None  # no defaults mend that
    below = _Defaults(session, project)
    found = writing.read_specs(text, what=name, defaults=below)
    return [one.user for one in found]


class _Defaults:
    """What the server lays below the specs of each project; nothing where it cannot say."""

    def __init__(self, session: Session, project: str | None) -> None:
        self.session = session
        self.project = project
        self.known: dict[str, list[Spec]] = {}

    def __call__(self, named: str) -> list[Spec]:
        project = named or self.session.project(self.project)
        if project not in self.known:
            try:
                self.known[project] = self.asked(project)
            except (TrunklineError, ValueError):
                self.known[project] = []
        return self.known[project]

    def asked(self, project: str) -> list[Spec]:
        """Ask the server."""
        service = self.session.client.pps
        whole = service.GetClusterDefaults(pps.GetClusterDefaultsRequest(), timeout=_ASK_TIMEOUT_S)
        request = pps.GetProjectDefaultsRequest(project=names.project(project))
        try:
            own = service.GetProjectDefaults(request, timeout=_ASK_TIMEOUT_S).project_defaults_json
        except TrunklineError:  # a server before 2.9, or no such project, as the call that sends the spec will say
            own = ""
        texts = [text for text in (whole.cluster_defaults_json, own) if text]
        return [defaults.read_defaults(text).layer for text in texts]


def render(session: Session, source: str, arguments: Sequence[str], project: str | None) -> list[Spec]:
    """The specs that a jsonnet template gives. Raises as `read_specs`, and for an argument that is not `NAME=VALUE`."""
    values = {}
    for one in arguments:
        key, equals, value = one.partition("=")
        if not equals:
            raise InvalidArgument(f'"{one}" is no argument for a template; write NAME=VALUE')
        values[key] = value
    answer = session.client.pps.RenderTemplate(pps.RenderTemplateRequest(template=read_text(source), args=values))
    return [_placed(session, spec, project) for spec in load(session, answer.json, f"what {source} gives", project)]


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
