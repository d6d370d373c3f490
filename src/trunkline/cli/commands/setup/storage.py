"""What storage holds, and what is freed."""

from __future__ import annotations

import click

from trunkline.cli.late import own
from trunkline.cli.options import command, raw_options
from trunkline.cli.session import Session, pass_session
from trunkline.cli.show import units


@command()
@raw_options
@pass_session
def inspect(session: Session, raw: str) -> None:
    """Show what is stored, and how much of it equal content and compression save."""
    info = session.client.space.InspectStorage(own.InspectStorageRequest())
    if raw:
        session.raw([info], raw)
        return
    done = info.collected
    pairs = [
        ("Written", units.size(info.logical_bytes)),
        ("Unique", f"{units.size(info.unique_bytes)} (equal content once: {info.dedup_ratio:.2f}x)"),
        ("Stored", f"{units.size(info.stored_bytes)} (compressed: {info.compression_ratio:.2f}x)"),
        ("Live Chunks", str(info.live_chunks)),
        ("Dead Bytes", f"{units.size(info.dead_bytes)} in live chunks"),
        ("Condemned Chunks", f"{info.condemned_chunks} ({units.size(info.condemned_bytes)})"),
        ("File Sets", str(info.filesets)),
        ("Blobs To Delete", str(info.doomed_blobs)),
        ("Open Writes", str(info.open_sessions)),
        ("Running Reads", str(info.running_reads)),
        ("Collection", f"cycle {info.cycle}, {_freed(done)} since the server was started"),
    ]
    if info.damaged_chunks:
        pairs.append(("Damaged Chunks", str(info.damaged_chunks)))
    if info.trouble:
        pairs.append(("Trouble", info.trouble))
    session.details(pairs)


@command()
@click.option("--dry-run", is_flag=True, help="Change nothing; say what would be freed.")
@raw_options
@pass_session
def collect(session: Session, dry_run: bool, raw: str) -> None:
    """Free now what nothing needs any more. It is freed by itself too, a minute or so after it was deleted."""
    figures = session.client.space.RunCollection(own.RunCollectionRequest(dry_run=dry_run))
    if raw:
        session.raw([figures], raw)
        return
    if dry_run:
        click.echo(f"Would free {_freed(figures)}.")
        return
    click.echo(f"Freed {_freed(figures)}.")
    if figures.waiting:
        click.echo(
            f"{figures.waiting} chunks ({units.size(figures.waiting_bytes)}) stay until {figures.open_sessions} writes "
            "that run now have ended; they then go by themselves."
        )


def _freed(figures: own.CollectionFigures) -> str:
    text = f"{units.size(figures.doomed_bytes + figures.leftover_bytes)} in {figures.doomed} chunks"
    text += f" and {figures.filesets} file sets"
    text += f", with {figures.repacked} packs of mostly dead bytes packed anew" if figures.repacked else ""
    return text + (f", with {figures.leftovers} leftovers of writes that never ended" if figures.leftovers else "")
