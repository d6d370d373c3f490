"""Options that many commands share, so that they read and behave the same everywhere."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from trunkline.cli import complete
from trunkline.cli.groups import Command

_Function = TypeVar("_Function", bound=Callable[..., Any])


def command(**more: Any) -> Callable[[Callable[..., Any]], Command]:
    """Declare a command; its name comes from the table, its help from the docstring."""
    return click.command(cls=Command, **more)


def project_option(function: _Function) -> _Function:
    """`--project NAME`."""
    return click.option(
        "--project",
        metavar="NAME",
        shell_complete=complete.projects,
        help="The project; the active context's if not given.",
    )(function)


def all_projects_option(function: _Function) -> _Function:
    """`-A`."""
    return click.option("-A", "--all-projects", is_flag=True, help="In every project.")(function)


def full_timestamps_option(function: _Function) -> _Function:
    """`-T`."""
    return click.option(
        "-T", "--full-timestamps", "full", is_flag=True, help="Write times in full instead of relative to now."
    )(function)


def number_option(function: _Function) -> _Function:
    """`-n N`."""
    return click.option("-n", "--number", metavar="N", type=click.IntRange(min=1), help="At most this many.")(function)


def no_pager_option(function: _Function) -> _Function:
    """`--no-pager`."""
    return click.option("--no-pager", is_flag=True, help="Never show a long list through a pager.")(function)


def description_option(function: _Function) -> _Function:
    """`-d TEXT`."""
    return click.option("-d", "--description", metavar="TEXT", default="", help="What it is for.")(function)


def raw_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--raw` and `-o json|yaml`, as one argument `raw`: the form, empty for none."""

    @functools.wraps(function)
    def wrapper(*args: Any, raw: bool, output: str | None, **kwargs: Any) -> Any:
        if output and not raw:
            raise click.UsageError("-o/--output says how --raw is written; add --raw")
        return function(*args, raw=(output or "json") if raw else "", **kwargs)

    wrapper = click.option(
        "-o", "--output", type=click.Choice(["json", "yaml"]), help="The form of --raw; json if not given."
    )(wrapper)
    return click.option("--raw", is_flag=True, help="Print the whole objects, one document each.")(wrapper)
