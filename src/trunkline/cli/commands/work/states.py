"""Options about states and history, as several commands take them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

STATES = ("starting", "running", "restarting", "failure", "paused", "standby", "crashing")
"""Short names of a pipeline's states."""
JOB_STATES = (
    "created", "starting", "running", "failure", "success", "killed", "egressing", "finishing", "unrunnable",
)  # fmt: skip
"""Short names of a job's states."""


def read_history(_ctx: click.Context, _param: click.Parameter, value: str) -> int:
    """`all` is -1, `none` is 0, else how many versions back."""
    if value in ("all", "none"):
        return -1 if value == "all" else 0
    if not value.isdigit() and value != "-1":
        raise click.BadParameter(f'"{value}" is neither `all`, `none` nor a number of versions')
    return int(value)


def history_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--history N|all|none`."""
    return click.option(
        "--history", metavar="N|all|none", callback=read_history, default="none", help="Also older versions, this many."
    )(function)


def state_option(states: Sequence[str]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--state NAME`, which may be repeated."""
    return click.option(
        "--state",
        metavar="STATE",
        type=click.Choice(states, case_sensitive=False),
        multiple=True,
        help=f"Only those in this state; may be repeated. One of {', '.join(states)}.",
    )
