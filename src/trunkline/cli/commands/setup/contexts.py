"""Which server, which project: `connect`, and `config` with its contexts."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import click

from trunkline.cli import complete
from trunkline.cli.config.contexts import Context, check_fields
from trunkline.cli.config.store import Config
from trunkline.cli.options import command
from trunkline.cli.session import Session, pass_session
from trunkline.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from trunkline.model.names import check_project

_NONE = "NONE"
ENTERPRISE = "active_enterprise_context"
"""The key of the config file under which it names the enterprise server's context."""


@command()
@click.argument("address")
@click.option("--alias", metavar="NAME", help="The context's name; the address if not given.")
@click.option("--server-cas", metavar="FILE", help="A PEM file of certificates to trust for this server.")
@pass_session
def connect(session: Session, address: str, alias: str | None, server_cas: str | None) -> None:
    """Work with the server at ADDRESS from now on.

    Makes a context of that name (see `pachctl config list context`) and makes it the active one. Forms of ADDRESS:
    localhost:30650, grpc://HOST:PORT, grpcs://HOST:PORT, http(s)://HOST[:PORT], unix:/PATH.
    """
    from trunkline.client.address import parse

    place = parse(address)
    name = alias or place.place
    trusted = _certificates(server_cas) if server_cas else None
    config = session.config
    if name in config.contexts:
        config.context(name).set("pachd_address", str(place))
        click.echo(f'Context "{name}" connects to {place}.')
    else:
        _put(session, name, {"pachd_address": str(place)})
        click.echo(f'New context "{name}" connects to {place}.')
    if trusted:
        config.context(name).set("server_cas", trusted)
    config.activate(name)
    config.save()
    click.echo(f'Context "{name}" is active.')


def _put(session: Session, name: str, data: dict[str, Any]) -> Context:
    if not name or any(char.isspace() or not char.isprintable() for char in name):
        raise InvalidArgument(f'"{name}" cannot be the name of a context: it must be a word without spaces')
    session.config.document.setdefault("user_id", session.ambient.new_id())
    return session.config.put(name, data)


@command()
@pass_session
def get_active(session: Session) -> None:
    """Show the active context's name."""
    click.echo(session.config.active_name or _NONE)


@command()
@click.argument("context", shell_complete=complete.contexts)
@pass_session
def set_active(session: Session, context: str) -> None:
    """Choose the active context."""
    session.config.activate(context)
    session.config.save()


@command()
@pass_session
def get_enterprise(session: Session) -> None:
    """Show the name of the context whose server is the enterprise server."""
    click.echo(session.config.v2.get(ENTERPRISE) or _NONE)


@command()
@click.argument("context", shell_complete=complete.contexts)
@pass_session
def set_enterprise(session: Session, context: str) -> None:
    """Say which context's server is the enterprise server, for clients that share this file."""
    session.config.context(context)
    session.config.v2[ENTERPRISE] = context
    session.config.save()


@command()
@click.argument("context", shell_complete=complete.contexts)
@pass_session
def get(session: Session, context: str) -> None:
    """Show a context as JSON."""
    click.echo(json.dumps(session.config.context(context).data, indent=2, ensure_ascii=False))


@command()
@click.argument("context", shell_complete=complete.contexts)
@click.option("--overwrite", is_flag=True, help="Also where a context of that name is there.")
@pass_session
def set_(session: Session, context: str, overwrite: bool) -> None:
    """Add a context, which is read as JSON from standard input."""
    if context in session.config.contexts and not overwrite:
        raise AlreadyExists(f'there is a context "{context}"; add --overwrite to replace it')
    if sys.stdin.isatty():
        session.note('Write the context as JSON, such as {"pachd_address": "grpc://localhost:30650"}, then Ctrl-D:')
    try:
        data = json.load(sys.stdin)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"standard input is not JSON: {error}") from error
    checked = check_fields(data)
    if checked.get("pachd_address"):
        checked["pachd_address"] = _address(checked["pachd_address"])
    _put(session, context, checked)
    session.config.save()


@command()
@click.argument("context", required=False, shell_complete=complete.contexts)
@click.option("--pachd-address", metavar="ADDRESS", help="Where the server listens.")
@click.option("--project", metavar="NAME", help="The project to work in.")
@click.option("--namespace", metavar="NAME", help="The Kubernetes namespace.")
@click.option("--auth-info", metavar="NAME", help="The Kubernetes user.")
@click.option("--cluster-name", metavar="NAME", help="The Kubernetes cluster.")
@click.option("--server-cas", metavar="FILE", help="A PEM file of certificates to trust for this server.")
@click.option("--remove-cluster-deployment-id", is_flag=True, help="Forget which deployment this context was for.")
@pass_session
def update(
    session: Session, context: str | None, pachd_address: str | None, project: str | None, namespace: str | None,
    auth_info: str | None, cluster_name: str | None, server_cas: str | None, remove_cluster_deployment_id: bool,
) -> None:  # fmt: skip
    """Change a context; the active one if none is named."""
    config = session.config
    one = config.context(context) if context else config.active_to_change()
    changes: dict[str, str | None] = {
        "pachd_address": _address(pachd_address) if pachd_address else pachd_address,
        "project": check_project(project) if project else project,
        "namespace": namespace,
        "auth_info": auth_info,
        "cluster_name": cluster_name,
        "server_cas": _certificates(server_cas) if server_cas else server_cas,
    }
    for field, value in changes.items():
        if value is not None:
            one.set(field, value)
    if remove_cluster_deployment_id:
        one.set("cluster_deployment_id", None)
    config.save()


def _address(text: str) -> str:
    from trunkline.client.address import parse

    return str(parse(text))


def _certificates(path: str) -> str:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise NotFound(f"cannot read {path}: {error.strerror}") from error
    if b"-----BEGIN CERTIFICATE-----" not in data:
        raise InvalidArgument(f"{path} holds no PEM certificate")
    return base64.b64encode(data).decode()


@command()
@click.argument("context", shell_complete=complete.contexts)
@pass_session
def delete(session: Session, context: str) -> None:
    """Remove a context."""
    config = session.config
    config.context(context)
    if config.active_name == context:
        raise FailedPrecondition(
            f'"{context}" is the active context; choose another with `pachctl config set active-context NAME` first'
        )
    del config.contexts[context]
    if config.v2.get(ENTERPRISE) == context:
        del config.v2[ENTERPRISE]
    config.save()


@command()
@pass_session
def list_(session: Session) -> None:
    """List the contexts; the active one has a star, one of an enterprise server an E."""
    config = session.config
    enterprise = config.v2.get(ENTERPRISE)
    rows = []
    for name in sorted(config.contexts):
        mark = "*" if name == config.active_name else ""
        rows.append((mark + ("E" if name == enterprise else ""), name))
    session.table(("ACTIVE", "NAME"), rows)


@command()
@pass_session
def get_metrics(session: Session) -> None:
    """Show whether this client may send usage figures; this one never sends any."""
    click.echo("true" if session.config.v2.get("metrics", False) else "false")


@command()
@click.argument("value", type=click.Choice(["true", "false"]))
@pass_session
def set_metrics(session: Session, value: str) -> None:
    """Say whether clients that share this file may send usage figures; this one never sends any."""
    config: Config = session.config
    config.v2["metrics"] = value == "true"
    config.save()
