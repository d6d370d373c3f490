"""Catalogs for tests: opened in a moment, every function run twice; and processes that are killed while they write."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, event

from trunkline.ambient import Ambient, SimulatedAmbient
from trunkline.catalog.collection import checks
from trunkline.catalog.engine import Catalog, Tx
from trunkline.testing.engines.postgres import DATABASE, schema_of


def open_catalog(folder: Path, ambient: Ambient | None = None, *, rehearse: bool = True) -> Catalog:
    """A catalog that does not wait for the disk. rehearse: run every function of a transaction twice and compare.

    Where TRUNKLINE_TEST_DATABASE names a database, its rows lie there, in a schema that belongs to the folder.
    Close it, or use it as a context manager.
    """
    url = os.environ.get(DATABASE, "")
    database = schema_of(url, str(folder.absolute())) if url else ""
    return Catalog.open(folder, ambient or SimulatedAmbient(), database=database, synchronous="OFF", rehearse=rehearse)


def assert_sound(catalog: Catalog) -> None:
    """Fail with every sentence that the catalog's own checks have to say."""
    found = catalog.read(lambda tx: list(checks.violations(tx)))
    assert not found, "\n".join(found)


@contextmanager
def counted_statements() -> Iterator[Callable[[], int]]:
    """While entered, statements of every catalog of this process are counted; gives a function that says how many."""
    count = 0

    def note(*_call: object) -> None:
        nonlocal count
        count += 1

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield lambda: count
    finally:
        event.remove(Engine, "before_cursor_execute", note)


class NoRoom:
    """While entered, the catalog's disk is full: not one more page fits into its file. Only the disk is played."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def __enter__(self) -> None:
        self._catalog.transact(lambda tx: self._limit(tx, int(tx.execute("PRAGMA page_count").scalar())))

    def __exit__(self, *_error: object) -> None:
        self._catalog.transact(lambda tx: self._limit(tx, 2**30))

    @staticmethod
    def _limit(tx: Tx, pages: int) -> None:
        tx.execute(f"PRAGMA max_page_count = {pages}")


def run_and_kill(program: str, folder: Path, enough: Callable[[list[str]], bool]) -> list[str]:
    """Run a Python program on `folder` (its only argument) and kill it by SIGKILL when `enough(lines so far)`.

    Answers the whole lines it had printed: what it acknowledged. Fails when it ended by itself.
    """
    command = [sys.executable, "-c", program, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line.decode().rstrip("\n"))
            if enough(lines):
                break
        else:
            raise AssertionError(f"the program ended by itself with {process.wait()}")
        os.killpg(process.pid, signal.SIGKILL)
        rest = process.stdout.read().decode()
        # A line without its end was cut by the kill: nothing was acknowledged by it.
        return lines + rest.split("\n")[:-1]
