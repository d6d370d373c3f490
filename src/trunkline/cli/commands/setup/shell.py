"""A shell of our own: commands without `pachctl` before them, their words completed by the server's names."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable

import click

from trunkline.cli.options import command
from trunkline.cli.session import Session, pass_session

_MOST = 64
"""Completions offered at once, if neither option nor config file says."""


@command()
@click.option("--max-completions", metavar="N", type=click.IntRange(min=1), help="Offer no more than this many; 64.")
@pass_session
def shell(session: Session, max_completions: int | None) -> None:
    """Type commands without `pachctl` before them; Tab completes words. `exit` or Ctrl-D leaves.

    Names are asked from the server at every Tab, so that what was just made is offered.
    """
    _complete_with(session, max_completions or _configured(session) or _MOST)
    session.note("Commands go without `pachctl`; `exit` or Ctrl-D leaves.")
    while (line := _line(session)) is not None:
        if _run(line, session):
            return


@command()
def leave() -> None:
    """Leave the shell that `pachctl shell` is; elsewhere there is nothing to leave."""


def _configured(session: Session) -> int | None:
    most = session.config.v2.get("max_shell_completions")
    return most if isinstance(most, int) and most > 0 else None


def _line(session: Session) -> str | None:
    """The next line; None at the end."""
    context = session.config.active_name or "none"
    prompt = f"{context}/{session.project(None)} >>> " if sys.stdin.isatty() else ""
    try:
        return input(prompt)
    except EOFError:
        return None
    except KeyboardInterrupt:
        click.echo()
        return ""


def _run(line: str, session: Session) -> bool:
    """Do what one line says; whether it was the last."""
    from trunkline.cli.entry import run

    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        session.note(f"cannot read that line: {error}")
        return False
    if words[:1] == ["pachctl"]:
        words = words[1:]
    if words == ["exit"]:
        return True
    if words:
        own = Session(session.environ, session.ambient)  # the config may have changed, and a transaction begun
        run(words, own)
        own.close()
        session.forget()
    return False


def _complete_with(session: Session, most: int) -> None:
    try:
        import readline
    except ImportError:  # a Python without it; lines are read all the same
        return
    if not sys.stdin.isatty():
        return
    readline.set_completer_delims(" \t\n")
    readline.set_completer(completer(session, readline.get_line_buffer, most))
    readline.parse_and_bind("tab: complete")


def completer(session: Session, line: Callable[[], str], most: int) -> Callable[[str, int], str | None]:
    """What readline asks: the n-th of at most `most` words that can stand where the one at the end of `line` stands."""
    from click.shell_completion import ShellComplete

    from trunkline.cli.entry import root

    found: list[str] = []

    def complete(incomplete: str, n: int) -> str | None:
        if n == 0:
            before = line()[: len(line()) - len(incomplete)].split()
            own = {"obj": Session(session.environ, session.ambient)}
            items = ShellComplete(root(), own, "pachctl", "_PACHCTL_COMPLETE").get_completions(before, incomplete)
            found[:] = [f"{item.value} " for item in items if item.type == "plain"][:most]
        return found[n] if n < len(found) else None

    return complete
