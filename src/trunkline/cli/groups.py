"""Groups of commands that import a command's module only when it is run, and commands that count their arguments."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import click

from trunkline.cli.table import CONFIG_HELP, SYNONYMS, UNLISTED, VERB_HELP, Tree

_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class LazyGroup(click.Group):
    """A verb. Its nouns come from the table; without a noun it prints its help."""

    def __init__(self, name: str, tree: Tree, summary: str, words: str = "", **more: Any) -> None:
        super().__init__(
            name, help=summary, context_settings=_SETTINGS, invoke_without_command=True, callback=_help_if_bare, **more
        )
        self.tree = tree
        self.words = words

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(name for name in self.tree if f"{self.words}{name}" not in UNLISTED)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = cmd_name if cmd_name in self.tree else SYNONYMS.get(cmd_name, cmd_name)
        entry = self.tree.get(name)
        if entry is None:
            return None
        if isinstance(entry, str):
            return load(entry, name)
        words = CONFIG_HELP if self.name == "config" else VERB_HELP
        return LazyGroup(name, entry, words[name], f"{self.words}{name} ")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            import difflib

            near = difflib.get_close_matches(args[0], [*self.tree, *(w for w in SYNONYMS if SYNONYMS[w] in self.tree)])
            hint = f"; did you mean {' or '.join(f'`{ctx.command_path} {word}`' for word in near)}?" if near else ""
            raise click.UsageError(f'unknown command "{args[0]}" for "{ctx.command_path}"{hint}', ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = []
        for name in self.list_commands(ctx):
            entry = self.tree[name]
            rows.append(
                (name, load(entry, name).get_short_help_str(80) if isinstance(entry, str) else self._words(name))
            )
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _words(self, name: str) -> str:
        return (CONFIG_HELP if self.name == "config" else VERB_HELP)[name]


@click.pass_context
def _help_if_bare(ctx: click.Context) -> None:
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def load(reference: str, name: str) -> click.Command:
    """The command behind `module:function`, under the name that the table gives it."""
    module, _, function = reference.partition(":")
    command: click.Command = getattr(importlib.import_module(module), function)
    command.name = name
    return command


class Command(click.Command):
    """A leaf: also takes the options that every command takes, and says how many arguments it wanted."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", _SETTINGS)
        super().__init__(*args, **kwargs)
        if self.help:
            self.help = inspect.cleandoc(self.help)
        self.params.extend(everywhere())

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.MissingParameter as error:
            if isinstance(error.param, click.Argument):
                raise self._miscounted(ctx, given) from error
            raise
        except click.UsageError as error:
            if type(error) is click.UsageError and "unexpected extra argument" in error.message:
                raise self._miscounted(ctx, given) from error
            raise

    def _miscounted(self, ctx: click.Context, args: list[str]) -> click.UsageError:
        arguments = [param for param in self.params if isinstance(param, click.Argument)]
        least = sum(1 for one in arguments if one.required)
        most = sum(1 for one in arguments) if all(one.nargs == 1 for one in arguments) else None
        if most is None:
            wanted = f"at least {least}"
        else:
            wanted = str(least) if least == most else f"{least} to {most}"
        noun = "argument" if wanted in ("1", "at least 1") else "arguments"
        return click.UsageError(f"expected {wanted} {noun}, got {self._positional(ctx, args)}", ctx)

    def _positional(self, ctx: click.Context, args: list[str]) -> int:
        """How many of `args` are arguments: what is left when the options are taken away."""
        options = [param for param in self.params if not isinstance(param, click.Argument)]
        shadow = click.Command(self.name, params=options, context_settings={"allow_extra_args": True})
        with shadow.make_context(ctx.info_name, list(args), parent=ctx.parent, resilient_parsing=True) as probe:
            return len(probe.args)


def everywhere() -> list[click.Parameter]:
    """The options that may stand anywhere on the line."""
    return [
        click.Option(
            ["--no-color"], is_flag=True, expose_value=False, callback=_remember("no_colour"), help="No colours."
        ),
        click.Option(
            ["-v", "--verbose"],
            is_flag=True,
            expose_value=False,
            callback=_remember("verbose"),
            help="Show the calls made to the server, and where an error came from.",
        ),
    ]


def _remember(name: str) -> Any:
    def callback(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            setattr(ctx.obj, name, True)

    return callback
