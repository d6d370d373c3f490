"""Progress on a terminal: bars that go away by themselves, on stderr, and nothing at all elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bytes_bar(title: str, total: int | None, wanted: bool | None) -> Iterator[Callable[[int], None]]:
    """Count bytes: gives the function to call with each further count, from any thread.

    total: bytes to come, None if nobody knows. wanted: None shows a bar if stderr is a terminal.
    """
    if wanted is False or (wanted is None and not sys.stderr.isatty()):
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=wanted is None) as bars:
        task = bars.add_task(title, total=total)
        yield lambda count: bars.advance(task, count)


@contextmanager
def layers(title: str) -> Iterator[Callable[[str, str, int, int], None]]:
    """A bar for each layer of an image: gives the function to call with its id, what is done, bytes done and in all."""
    if not sys.stderr.isatty():
        yield lambda layer, what, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True))
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bars.console.print(title, highlight=False, markup=False)

        def told(layer: str, what: str, done: int, total: int) -> None:
            text = f"{layer[:12]} {what.lower()}"
            if layer not in tasks:
                tasks[layer] = bars.add_task(text, total=total or None)
            bars.update(tasks[layer], description=text, completed=done, total=max(total, done) or None)

        yield told


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show on a terminal that something is being waited for, and for how long; on stderr, gone in the end."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as spinner:
        spinner.add_task(f"waiting for {what} (Ctrl-C stops waiting, not the work)", total=None)
        yield
