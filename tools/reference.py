"""Write the pages that code can tell better than people: docs/pachctl.md, docs/states.md and docs/errors.md.

`make docs` writes them; a test compares, so that they never say what was true last month.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from trunkline import errors
from trunkline.cli.entry import root
from trunkline.model import jobs

ROOT = Path(__file__).resolve().parent.parent
NOTICE = "Written by tools/reference.py (`make docs`) from the code; change that, not this page.\n"
EVERYWHERE = ("  --no-color ", "  -v, --verbose ", "  --help ", "  -h, --help ")


def leaves(group: click.Group, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """Every command of a tree, in order, each with a context that knows its full name."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, info_name=name, parent=context, max_content_width=100, terminal_width=100)
        if isinstance(command, click.Group):
            yield from leaves(command, inner)
        else:
            yield command, inner


def command_pages() -> str:
    """Every command of `pachctl`, with its arguments and options."""
    top = click.Context(root(), info_name="pachctl")
    parts = ["# pachctl, command by command\n", NOTICE, "Every command takes --no-color, -v/--verbose and --help.\n"]
    for command, context in leaves(root(), top):
        lines = [line.rstrip() for line in command.get_help(context).splitlines()]
        body = (
            "\n".join(line for line in lines if not line.startswith(EVERYWHERE)).rstrip().removesuffix("\n\nOptions:")
        )
        parts.append(f"## {context.command_path}\n\n```text\n{body}\n```\n")
    return "\n".join(parts)


def state_pages() -> str:
    """A diagram for each state machine."""
    parts = ["# States, and the moves between them\n", NOTICE]
    parts += [f"## {each.noun}\n\n```mermaid\n{each.diagram()}```\n" for each in jobs.MACHINES]
    return "\n".join(parts)


def error_pages() -> str:
    """Every kind of error and what a caller can do about it."""
    rows = [
        f"| `{each.__name__}` | {each.kind.value} | {' '.join((each.__doc__ or '').split())} |"
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, errors.TrunklineError) and each is not errors.TrunklineError
    ]
    head = ["# Errors\n", NOTICE, "| error | kind | meaning |\n|---|---|---|"]
    return "\n".join(head + rows) + "\n"


PAGES = {"docs/pachctl.md": command_pages, "docs/states.md": state_pages, "docs/errors.md": error_pages}


def main() -> None:
    """Write them all."""
    for name, page in PAGES.items():
        (ROOT / name).write_text(page())
        sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main()
