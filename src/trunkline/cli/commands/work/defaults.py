"""Defaults of the cluster and of projects: set, shown, taken away."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

from trunkline.cli.late import names, pps
from trunkline.cli.options import command, project_option
from trunkline.cli.session import Session, pass_session
from trunkline.cli.texts import read_text
from trunkline.errors import InvalidArgument

_NOTHING = "{}"


def which_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Whose defaults."""
    whole = click.option("--cluster", is_flag=True, help="Those of the whole cluster, which lie below every project's.")
    return whole(project_option(function))


def act_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What to do with pipelines that there are."""
    for option in (
        click.option("--dry-run", is_flag=True, help="Say which pipelines would change; change nothing."),
        click.option("--reprocess", is_flag=True, help="As --regenerate, and run all datums of those pipelines again."),
        click.option("--regenerate", is_flag=True, help="Update the pipelines whose effective spec changes."),
    ):
        function = option(function)
    return function


_source_option = click.option(
    "-f", "--file", "source", metavar="FILE", default="-", help="A file (JSON or YAML), a URL, or -; standard input."
)


@command()
@_source_option
@act_options
@which_option
@pass_session
def create(
    session: Session, source: str, cluster: bool, project: str | None, regenerate: bool, reprocess: bool, dry_run: bool
) -> None:
    """Set the defaults of a project or of the cluster.

    They are written as {"createPipelineRequest": {...}}, with the fields of a spec. Pipelines that are created or
    updated from now on have them where their own specs say nothing; null takes away what lies below.
    """
    _set(session, read_text(source), cluster, project, _flags(regenerate, reprocess, dry_run))


@command()
@_source_option
@act_options
@which_option
@pass_session
def update(
    session: Session, source: str, cluster: bool, project: str | None, regenerate: bool, reprocess: bool, dry_run: bool
) -> None:
    """Replace the defaults of a project or of the cluster."""
    _set(session, read_text(source), cluster, project, _flags(regenerate, reprocess, dry_run))


@command()
@act_options
@which_option
@pass_session
def delete(
    session: Session, cluster: bool, project: str | None, regenerate: bool, reprocess: bool, dry_run: bool
) -> None:
    """Take the defaults of a project or of the cluster away."""
    _set(session, _NOTHING, cluster, project, _flags(regenerate, reprocess, dry_run))


@command()
@which_option
@pass_session
def inspect(session: Session, cluster: bool, project: str | None) -> None:
    """Show the defaults of a project or of the cluster, as JSON."""
    _one_of(cluster, project)
    if cluster:
        text = session.client.pps.GetClusterDefaults(pps.GetClusterDefaultsRequest()).cluster_defaults_json
    else:
        asked = pps.GetProjectDefaultsRequest(project=names.project(session.project(project)))
        text = session.client.pps.GetProjectDefaults(asked).project_defaults_json
    click.echo(json.dumps(json.loads(text or _NOTHING), indent=2, ensure_ascii=False))


def _flags(regenerate: bool, reprocess: bool, dry_run: bool) -> dict[str, Any]:
    return {"regenerate": regenerate, "reprocess": reprocess, "dry_run": dry_run}


def _set(session: Session, text: str, cluster: bool, project: str | None, flags: dict[str, Any]) -> None:
    _one_of(cluster, project)
    answer: pps.SetClusterDefaultsResponse | pps.SetProjectDefaultsResponse
    if cluster:
        answer = session.client.pps.SetClusterDefaults(
            pps.SetClusterDefaultsRequest(cluster_defaults_json=text, **flags)
        )
    else:
        place = names.project(session.project(project))
        answer = session.client.pps.SetProjectDefaults(
            pps.SetProjectDefaultsRequest(project=place, project_defaults_json=text, **flags)
        )
    if not answer.affected_pipelines:
        click.echo("no affected pipelines")
        return
    click.echo("affected pipelines:")
    for one in answer.affected_pipelines:
        click.echo(f"{one.project.name}/{one.name}")


def _one_of(cluster: bool, project: str | None) -> None:
    if cluster and project is not None:
        raise InvalidArgument("give either --cluster or --project, not both")
