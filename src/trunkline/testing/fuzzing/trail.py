"""What calls change in the rows that users can see: of a refused one nothing may be left.

Every such row that a transaction of a call adds, changes or takes away is noted by the database itself; what goes on
beside the calls (commits are finished, jobs move on) is told apart by its thread.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from sqlalchemy import Table

from trunkline.api.rpc.bridge import Bridge
from trunkline.catalog.engine import Catalog, Tx
from trunkline.catalog.engine.tx import Seed
from trunkline.catalog.tables import metadata

T = TypeVar("T")

Change = tuple[str, str]
"""A table, and a row of it."""

UNSEEN = {
    "schema_version", "events", "cursors", "sessions", "chunks", "doomed_chunks", "doomed_blobs", "filesets",
    "fileset_blobs", "holders", "pins", "collector", "awaited", "commit_runs", "lease_clock", "purge_remains",
    "instructions", "claims", "datum_deaths", "reports", "log_segments", "container_images", "pod_images", "leader",
    "together",
}  # fmt: skip
"""Tables that no call shows: what is stored and not named goes by itself, and the rest is the server's own business."""

CALLS, UPLOADS = "fuzzed-call", "fuzzed-upload"
"""What the threads of calls are called."""


class Hands(ThreadPoolExecutor):
    """A pool that knows what it is still busy with."""

    def __init__(self, count: int, name: str) -> None:
        super().__init__(count, name)
        self.busy: set[Future[Any]] = set()

    def submit(self, fn: Callable[..., T], /, *arguments: Any, **more: Any) -> Future[T]:
        """As its parent does."""
        future = super().submit(fn, *arguments, **more)
        self.busy.add(future)
        future.add_done_callback(self.busy.discard)
        return future


class Trail:
    """Follows the calls of one server, of which one is made at a time."""

    def __init__(self, catalog: Catalog) -> None:
        self._hands = Hands(16, CALLS), Hands(64, UPLOADS)
        self.bridge = Bridge(*self._hands)
        """What the server is to run its calls on."""
        self._net: Counter[Change] = Counter()
        self._lock = threading.Lock()
        self._transact = catalog.transact
        catalog.transact(_watch)
        catalog.transact = self._followed  # type: ignore[method-assign]

    def begin(self, patience_s: float) -> bool:
        """Start anew. Whether the calls before are over; what they still do would be taken for the next one's."""
        running = wait([one for hands in self._hands for one in tuple(hands.busy)], patience_s).not_done
        with self._lock:
            self._net.clear()
        return not running

    def left(self) -> list[str]:
        """What the calls since have added (+) and taken away (-), less what they put back as it was."""
        with self._lock:
            return [f"{'+' if count > 0 else '-'} {table}: {row}" for (table, row), count in self._net.items() if count]

    def _followed(self, f: Callable[[Tx], T], seed: Seed | None = None) -> T:
        noted: Counter[Change] = Counter()

        def noting(tx: Tx) -> T:
            noted.clear()
            tx.execute("DELETE FROM touched")
            answer = f(tx)
            for row in tx.execute("SELECT kind, was, now FROM touched"):
                noted.subtract([(row.kind, row.was)] if row.was is not None else [])
                noted.update([(row.kind, row.now)] if row.now is not None else [])
            return answer

        answer = self._transact(noting, seed)
        if threading.current_thread().name.startswith((CALLS, UPLOADS)):
            with self._lock:
                for change, count in noted.items():
                    self._net[change] += count
        return answer


def _watch(tx: Tx) -> None:
    """Have the database note what changes: for as long as the connection that writes is open, and for it alone."""
    tx.execute("CREATE TEMP TABLE touched (kind TEXT NOT NULL, was TEXT, now TEXT)")
    assert set(metadata.tables) >= UNSEEN, UNSEEN - set(metadata.tables)
    for table in (each for name, each in metadata.tables.items() if name not in UNSEEN):
        for event, was, now in (("INSERT", False, True), ("UPDATE", True, True), ("DELETE", True, False)):
            values = f"'{table.name}', {_row(table, 'old', was)}, {_row(table, 'new', now)}"
            tx.execute(
                f"CREATE TEMP TRIGGER noted_{event}_{table.name} AFTER {event} ON main.{table.name} "
                f"BEGIN INSERT INTO touched VALUES ({values}); END"
            )


def _row(table: Table, side: str, there: bool) -> str:
    columns = " || ', ' || ".join(f"""'{each.name}=' || quote({side}."{each.name}")""" for each in table.columns)
    return columns if there else "NULL"
