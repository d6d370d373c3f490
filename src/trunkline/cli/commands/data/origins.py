"""Options about where commits come from and what they say, as several commands take them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from trunkline.cli.late import pfs

if TYPE_CHECKING:
    from trunkline.wire.gen.pfs_v2_pb2 import OriginKind

_ORIGINS = ("user", "auto", "fsck")


def origin_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--origin user|auto|fsck`."""
    return click.option("--origin", type=click.Choice(_ORIGINS), help="Only commits of this origin.")(function)


def origin_kind(origin: str | None) -> OriginKind.ValueType:
    """The origin as the calls take it."""
    return pfs.OriginKind.Value(origin.upper()) if origin else pfs.ORIGIN_KIND_UNKNOWN


def message_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`-m TEXT`, under both of its long names."""
    return click.option(
        "-m", "--message", "--description", "message", metavar="TEXT", default="", help="What the commit is about."
    )(function)
