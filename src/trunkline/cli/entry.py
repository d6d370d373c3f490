"""`main`: run one command line, and end with words and an exit status, never with a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from trunkline.cli.groups import LazyGroup, everywhere
from trunkline.cli.session import Session
from trunkline.cli.table import COMMANDS
from trunkline.errors import Internal, NotFound, TrunklineError

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""

HELP = """pachctl talks to pachd: versioned data repos, and pipelines that run over them.

A command is a verb and a noun, such as `pachctl list repo`. `pachctl VERB` lists the nouns of a verb,
`pachctl VERB NOUN --help` explains a command.
"""


def root() -> LazyGroup:
    """The whole command tree."""
    return LazyGroup("pachctl", COMMANDS, HELP, params=everywhere())


def main(args: Sequence[str] | None = None, session: Session | None = None) -> None:
    """Run `pachctl` with `args` (the process's own, if None) and leave with its exit status."""
    own = session or Session()
    status = run(args, own)
    own.close()
    sys.exit(status)


def run(args: Sequence[str] | None, session: Session) -> int:
    """Run one command line; gives its exit status."""
    words = list(sys.argv[1:] if args is None else args)
    if words[:1] == ["help"]:  # `help list repo` is `list repo --help`
        words = [*words[1:], "--help"]
    try:
        root().main(
            args=words,
            prog_name="pachctl",
            complete_var="_PACHCTL_COMPLETE",
            standalone_mode=False,
            obj=session,
        )
        sys.stdout.flush()
        return 0
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.UsageError as error:
        _say(error.format_message())
        if error.ctx is not None:
            click.echo(f"\n{error.ctx.get_usage()}\nTry `{error.ctx.command_path} --help`.", err=True)
    except click.ClickException as error:
        _say(error.format_message())
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        _close_stdout()
    except TrunklineError as error:
        _say(str(error) if not isinstance(error, Internal) else f"pachd met a bug of its own: {error}")
        if isinstance(error, NotFound):
            _recall(session)
        _explain(session)
    except Exception as error:
        _say(f"pachctl met a bug of its own: {type(error).__name__}: {error}" + _more(session))
        _explain(session)
    return 1


def _say(text: str) -> None:
    click.echo(text.strip(), err=True)


def _recall(session: Session) -> None:
    """Why what was just created is not there: a transaction holds it, and what is asked here does not wait for that."""
    if "client_outside" in session.__dict__ and session.context.transaction:
        _say(
            f"Transaction {session.context.transaction} is open, and what it makes is there when it is finished; "
            "files are put and changed outside of it."
        )


def _more(session: Session) -> str:
    return "" if session.verbose else " (add -v for where it happened)"


def _explain(session: Session) -> None:
    if session.verbose:
        import traceback

        click.echo(traceback.format_exc(), err=True)


def _close_stdout() -> None:
    # The interpreter flushes stdout once more at exit, and would complain about the pipe nobody reads.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
