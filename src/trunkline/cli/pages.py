"""Lists a page at a time: so many entries, from the one after a name on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

import click

from trunkline.cli.options import number_option
from trunkline.errors import NotFound

_Info = TypeVar("_Info")
_Function = TypeVar("_Function", bound=Callable[..., Any])


def page_options(function: _Function) -> _Function:
    """`-n N` and `--after NAME`."""
    return number_option(
        click.option("--after", metavar="NAME", help="Only what this list has after the entry of this name.")(function)
    )


def page(
    infos: Iterable[_Info], number: int | None, after: str | None, name: Callable[[_Info], str]
) -> Iterator[_Info]:
    """At most `number` of a list, from after the entry called `after`; all, where they are None.

    Raises NotFound if no entry is called `after`: the next page of a list in which it was is another's by now.
    """
    rest = iter(infos)
    if after is not None and not any(name(info) == after for info in rest):  # reads up to it, and no further
        raise NotFound(f'this list has no "{after}", so that nothing comes after it; begin again without --after')
    return islice(rest, number)
