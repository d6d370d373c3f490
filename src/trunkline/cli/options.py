"""Options that many commands share, so that they read and behave the same everywhere."""

from __future__ import annotations

import functools
import threading
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


def timeout_option(text: str, default: str | None = None) -> Callable[[_Function], _Function]:
    """`--timeout SPAN`: so many seconds, written as a span of time (`90s`, `1m30s`) or as a number."""
    return click.option("--timeout", metavar="SPAN", callback=_seconds, default=default, help=text)


def _span_s(text: str) -> float:
    """Seconds of a span of time. Raises ValueError."""
    if text.isascii() and text[:-1].isdigit() and text[-1] == "s":
        return float(text[:-1])  # as defaults are: what reads all spans takes a quarter of a start to load
    from trunkline.model.specs.scalars import span_us

    return span_us(text) / 1_000_000


def _seconds(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    try:
        seconds = _span_s(value) if value[-1:].isalpha() else float(value)
    except ValueError as error:
        raise click.BadParameter(f'"{value}" is no span of time; write for example 30s or 1m30s') from error
    if not 0 < seconds < threading.TIMEOUT_MAX:
        raise click.BadParameter(f'"{value}" is no time to wait; write for example 30s or 1m30s')
    return seconds
