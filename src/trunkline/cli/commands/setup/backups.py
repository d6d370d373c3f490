"""Everything that a server has, into a file or an object store, and back."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trunkline.cli.late import backups, progress
from trunkline.cli.options import command
from trunkline.cli.session import Session, pass_session
from trunkline.cli.show import units

if TYPE_CHECKING:
    from collections.abc import Callable

    from trunkline.wire.gen import trunkline_pb2 as own

SHOWN = 5
"""Names of secrets in one message."""


@command()
@click.argument("target", metavar="FILE|URL")
@click.option("--since", metavar="FILE|URL", default="", help="An earlier backup: leave out the content that it has.")
@click.option(
    "--with-keys", is_flag=True, help="Put in the key of all secrets; whoever has the backup can read them then."
)
@click.option("--progress/--no-progress", "bar", default=None, help="Show a progress bar, or none.")
@pass_session
def backup(session: Session, target: str, since: str, with_keys: bool, bar: bool | None) -> None:
    """Write all that the server has to a new file, or have the server write it to an object store.

    The server goes on meanwhile. What comes is one instant: projects, repos, commits and their content, pipelines,
    jobs, logs, images, and secrets as they are kept, encrypted. Without --with-keys they stay unreadable unless the
    file secrets.key of the server's data folder is kept elsewhere.
    """
    with ExitStack() as stack:

        def begun(figures: own.BackupFigures) -> Callable[[int], None]:
            return stack.enter_context(progress.bytes_bar("backup", figures.size_bytes, bar))

        figures = backups.save(session.client_outside, target, since, with_keys=with_keys, begun=begun)
    told = f"{figures.blobs} blobs"
    if since:
        told += f", {figures.known_blobs} more are in {since}"
    local = not backups.is_url(target)
    size = Path(target).stat().st_size if local else figures.size_bytes
    click.echo(f"{target}: {units.size(size)}, {told}")
    if not with_keys:
        session.note("the key of secrets is not in it: keep secrets.key of the data folder as well, or use --with-keys")


@command()
@click.argument("sources", metavar="FILE|URL", nargs=-1, required=True)
@click.option("--progress/--no-progress", "bar", default=None, help="Show a progress bar, or none.")
@pass_session
def restore(session: Session, sources: tuple[str, ...], bar: bool | None) -> None:
    """Fill an empty server from a backup. The server starts anew afterwards, and what ran goes on.

    After a backup made with --since, name the one it followed, and so on back to a whole one.
    """
    files = [Path(source) for source in sources if not backups.is_url(source)]
    total = sum(file.stat().st_size for file in files if file.is_file())
    client = session.client_outside
    with progress.bytes_bar("restore", total if len(files) == len(sources) else None, bar) as told:
        done = backups.put_back(client, sources, told)
    with progress.waiting("the server to start anew"):
        backups.wait_anew(client, session.ambient)
    click.echo(f"restored {done.blobs} blobs, {units.size(done.blob_bytes + done.catalog_bytes)}")
    if lost := list(done.unreadable_secrets):
        names = ", ".join(lost[:SHOWN]) + ("" if len(lost) <= SHOWN else f" and {len(lost) - SHOWN} more")
        what, them = (f"secret {names}", "it") if len(lost) == 1 else (f"secrets {names}", "them")
        session.note(
            f"the server has not the key of {what}: put the secrets.key of the server that was backed up in the place "
            f"of its {done.key_file} and start it again, or delete {them} and create {them} again"
        )
