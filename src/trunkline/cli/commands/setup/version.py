"""Versions of the client and the server."""

from __future__ import annotations

import contextlib
import json

import click

from trunkline import __version__
from trunkline.cli.late import Empty
from trunkline.cli.options import command, raw_options, timeout_option
from trunkline.cli.session import Session, pass_session
from trunkline.errors import FailedPrecondition


@command()
@click.option("--client-only", is_flag=True, help="Only this program's, without asking a server.")
@click.option("--compare", is_flag=True, help="Fail if client and server are of different versions.")
@timeout_option("How long to wait for the server; 10s.", "10s")
@raw_options
@pass_session
def version(session: Session, client_only: bool, compare: bool, timeout: float, raw: str) -> None:
    """Show the versions of pachctl and pachd."""
    found = {"pachctl": __version__}
    if not raw:
        click.echo(f"{'COMPONENT':<20}VERSION")
        click.echo(f"{'pachctl':<20}{__version__}")
    if not client_only:
        server = session.client.versions.GetVersion(Empty(), timeout=timeout)
        found["pachd"] = f"{server.major}.{server.minor}.{server.micro}{server.additional}"
        if not raw:
            click.echo(f"{'pachd':<20}{found['pachd']}")
    if raw:
        for component, text in found.items():
            _print_raw(component, text, raw)
    if compare and len(set(found.values())) > 1:
        raise FailedPrecondition(f"pachctl is version {found['pachctl']}, pachd is version {found['pachd']}")


@command()
def buildinfo() -> None:
    """Show what this pachctl is made of, as YAML: its version, Python's, and the libraries it needs."""
    import platform
    import re
    from importlib import metadata

    click.echo(f"name: trunkline\nversion: {__version__}\npython: {platform.python_version()}")
    click.echo(f"platform: {platform.system().lower()}/{platform.machine()}\nlibraries:")
    wanted = [line for line in metadata.requires("trunkline") or () if 'extra == "dev"' not in line.replace("'", '"')]
    for name in sorted({re.split(r"[^A-Za-z0-9._-]", line)[0] for line in wanted}):
        with contextlib.suppress(metadata.PackageNotFoundError):  # an extra that is not installed here
            click.echo(f"  {name}: {metadata.version(name)}")


def _print_raw(component: str, text: str, form: str) -> None:
    if form == "json":
        click.echo(json.dumps({"component": component, "version": text}, indent=2))
    else:
        click.echo(f"---\ncomponent: {component}\nversion: {text}")
