"""What a command runs with: the user's config, one client, the clock, and the screen."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import click

from trunkline.cli.config.contexts import Context
from trunkline.cli.config.store import Config, config_path
from trunkline.cli.show import tables, units

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp

    from trunkline.ambient import Ambient
    from trunkline.client import Client


ADDRESS = "PACHD_ADDRESS"
"""The variable with the address of a server in place of the active context's."""

When = Callable[["Timestamp"], str]
"""How a moment is written; `-` for none."""


class Session:
    """One run of `pachctl`. The config is read and the server dialled when first needed.

    environ: the environment variables; ambient: the clock (tests pass a frozen one).
    """

    def __init__(self, environ: Mapping[str, str] | None = None, ambient: Ambient | None = None) -> None:
        self.environ: Mapping[str, str] = os.environ if environ is None else environ
        self.verbose = False
        self.no_colour = False
        self._given_ambient = ambient

    @cached_property
    def ambient(self) -> Ambient:
        """Clock, chance and ids."""
        if self._given_ambient is not None:
            return self._given_ambient
        from trunkline.ambient import RealAmbient

        return RealAmbient()

    @cached_property
    def config(self) -> Config:
        """The config file."""
        return Config.load(config_path(self.environ))

    @property
    def context(self) -> Context:
        """The active context; where PACHD_ADDRESS names another server, one of that, with the same project only."""
        active, told = self.config.active(), self.environ.get(ADDRESS, "").strip()
        if not told or told == active.address:
            return active
        return Context(ADDRESS, {"pachd_address": told, "project": active.project})

    @property
    def trusted(self) -> bytes | None:
        """Certificates of whom to trust, PEM, as the context or PACH_CA_CERTS says; None: whom the machine trusts."""
        from trunkline.client.trust import named

        return self.context.root_certificates or named(self.environ)

    @cached_property
    def client(self) -> Client:
        """The client of the active context's server."""
        return self.connect(self.context.transaction)

    @cached_property
    def client_outside(self) -> Client:
        """The same server, but outside the open transaction: for what transactions do not cover."""
        return self.connect("") if self.context.transaction else self.client

    def connect(self, transaction: str, *, quiet: bool = False) -> Client:
        """A client of the active context's server, in `transaction` unless that is empty. quiet: shows no notes."""
        from trunkline.client import connect

        context = self.context
        return connect(
            context.address,
            token=context.token,
            transaction=transaction,
            root_certificates=self.trusted,
            on_call=self._called if self.verbose else None,
            on_note=None if quiet else self.note,
        )

    def project(self, given: str | None) -> str:
        """The project to work in: as given, else the active context's."""
        return given or self.context.project

    def close(self) -> None:
        """Hang up, if anything was dialled."""
        for name in ("client", "client_outside"):
            if name in self.__dict__:
                self.__dict__[name].close()

    def forget(self) -> None:
        """Read the config and dial anew when next needed: another session may have changed the file."""
        self.close()
        for name in ("config", "client", "client_outside"):
            self.__dict__.pop(name, None)

    def added_to_transaction(self) -> bool:
        """Say so if a transaction is open, in which case nothing has happened yet."""
        if self.context.transaction:
            click.echo(f"Added to transaction: {self.context.transaction}")
            return True
        return False

    # The screen.

    @property
    def colour(self) -> bool:
        """Whether to colour what goes to stdout."""
        return not self.no_colour and "NO_COLOR" not in self.environ and sys.stdout.isatty()

    def when(self, full: bool) -> When:
        """How this command writes moments: relative to now, or in full."""
        now_us = self.ambient.now_us()

        def write(moment: Timestamp) -> str:
            then_us = moment.seconds * 1_000_000 + moment.nanos // 1000
            if not then_us:
                return "-"
            return units.instant(then_us) if full else units.ago(then_us, now_us)

        return write

    def table(self, header: Sequence[str], rows: Iterable[tables.Row], *, pager: bool = False) -> None:
        """Print a table; through a pager where that is wanted, stdout is a terminal and the table is longer."""
        self.print_lines(list(tables.lines(header, rows, colour=self.colour)), pager=pager)

    def print_lines(self, lines: Sequence[str], *, pager: bool = False) -> None:
        """Print lines, through a pager under the same conditions as a table."""
        if pager and sys.stdout.isatty() and len(lines) >= _screen_lines():
            os.environ.setdefault("LESS", "FRX")  # leave at once what fits, keep colours, leave the text on the screen
            click.echo_via_pager("\n".join(lines) + "\n", color=self.colour)
            return
        for line in lines:
            click.echo(line)

    def stream(self, header: Sequence[str], rows: Iterable[tables.Row]) -> None:
        """Print rows as they come, under columns as wide as the header and the rows so far made them."""
        widths = [tables.width(title) for title in header]
        for count, row in enumerate(rows):
            widths = [max(wide, tables.width(tables.shown(cell))) for wide, cell in zip(widths, row, strict=True)]
            if count == 0:
                click.echo(tables.line(header, widths))
            click.echo(tables.line(row, widths, colour=self.colour))
            sys.stdout.flush()

    def raw(self, messages: Iterable[Message], form: str) -> None:
        """Print each message as a document of its own, `form` json or yaml."""
        from trunkline.cli.show.raw import documents

        for document in documents(messages, form):
            click.echo(document)
            sys.stdout.flush()

    def details(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Print `Name: value` lines. A value of several lines starts on a line of its own."""
        for name, value in pairs:
            click.echo(f"{name}:\n{value.rstrip()}" if "\n" in value else f"{name}: {value}".rstrip())

    def note(self, text: str) -> None:
        """Tell the person something that is no part of the output."""
        click.echo(text, err=True)

    def _called(self, method: str) -> None:
        self.note(f"> {method.strip('/')}")


pass_session = click.make_pass_decorator(Session)


def _screen_lines() -> int:
    """How many lines the terminal shows."""
    import shutil  # which loads all kinds of compression

    return shutil.get_terminal_size().lines
