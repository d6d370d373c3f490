"""Secrets: passwords and keys that the server keeps for user code."""

from __future__ import annotations

import click

from trunkline.cli.late import Empty, pps
from trunkline.cli.options import command, full_timestamps_option, no_pager_option, raw_options
from trunkline.cli.pages import page, page_options
from trunkline.cli.session import Session, pass_session
from trunkline.errors import NotFound

_HEADER = ("NAME", "TYPE", "CREATED")


@command()
@click.option(
    "-f", "--file", "path", metavar="FILE", required=True, help='A Kubernetes Secret object as JSON; "-" is stdin.'
)
@pass_session
def create(session: Session, path: str) -> None:
    """Keep a secret, for pipelines whose spec names it."""
    try:
        with click.open_file(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise NotFound(f"cannot read {path}: {error.strerror}") from error
    session.client.pps.CreateSecret(pps.CreateSecretRequest(file=data))


@command()
@click.argument("name")
@raw_options
@full_timestamps_option
@pass_session
def inspect(session: Session, name: str, raw: str, full: bool) -> None:
    """Show that a secret is there; what it holds is never shown."""
    info = session.client.pps.InspectSecret(pps.InspectSecretRequest(secret=pps.Secret(name=name)))
    if raw:
        session.raw([info], raw)
        return
    created = session.when(full)(info.creation_timestamp)
    session.details([("Name", info.secret.name), ("Type", info.type), ("Created", created)])


@command()
@page_options
@raw_options
@full_timestamps_option
@no_pager_option
@pass_session
def list_(session: Session, number: int | None, after: str | None, raw: str, full: bool, no_pager: bool) -> None:
    """List the secrets."""
    found = session.client.pps.ListSecret(Empty()).secret_info
    infos = page(found, number, after, lambda info: info.secret.name)
    if raw:
        session.raw(infos, raw)
        return
    when = session.when(full)
    session.table(
        _HEADER, ((one.secret.name, one.type, when(one.creation_timestamp)) for one in infos), pager=not no_pager
    )


@command()
@click.argument("name")
@pass_session
def delete(session: Session, name: str) -> None:
    """Delete a secret; pipelines that need it wait until it is there again."""
    session.client.pps.DeleteSecret(pps.DeleteSecretRequest(secret=pps.Secret(name=name)))
