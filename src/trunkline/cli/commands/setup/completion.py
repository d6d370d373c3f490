"""Completion for shells."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from trunkline.cli.options import command
from trunkline.cli.session import Session, pass_session
from trunkline.errors import FailedPrecondition

_VARIABLE = "_PACHCTL_COMPLETE"
_PLACES = {
    "bash": "~/.local/share/bash-completion/completions/pachctl",
    "fish": "~/.config/fish/completions/pachctl.fish",
    "zsh": "~/.zfunc/_pachctl",
}


@command()
@click.argument("shell", type=click.Choice(list(_PLACES)))
@click.option("--install", is_flag=True, help="Write it where the shell looks, instead of printing it.")
@click.option("--path", metavar="FILE", help="Where --install writes it.")
@pass_session
def completion(session: Session, shell: str, install: bool, path: str | None) -> None:
    """Print what a shell needs to complete pachctl's words.

    \b
    For this shell only:   eval "$(pachctl completion bash)"
    For every new one:     pachctl completion bash --install
    """
    if path and not install:
        raise click.UsageError("--path says where --install writes; add --install")
    found = get_completion_class(shell)
    if found is None:
        raise FailedPrecondition(f"click knows no completion for {shell}")
    # The script itself is asked for without a version check: it would run the shell, which may not be here.
    script = found.source_template % found(click.Command("pachctl"), {}, "pachctl", _VARIABLE).source_vars()
    if not install:
        click.echo(script)
        return
    target = Path(os.path.expanduser(path or _PLACES[shell]))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(script + "\n", "utf-8")
    except OSError as error:
        raise FailedPrecondition(f"cannot write {target}: {error.strerror}") from error
    session.note(f"written to {target}; it works in new shells" + _zsh_hint(shell, path))


def _zsh_hint(shell: str, path: str | None) -> str:
    return ", if ~/.zshrc has `fpath+=~/.zfunc` before `compinit`" if shell == "zsh" and path is None else ""
