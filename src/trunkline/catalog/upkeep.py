"""What grows by itself and is cut back while the server runs: events, rows of ended sessions, free pages.

Nothing here changes what anybody sees. Every slice is a transaction of its own, so that writes get in between.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from trunkline.catalog import outbox
from trunkline.catalog.collection import sessions
from trunkline.catalog.engine import Catalog, Tx
from trunkline.errors import TrunklineError

RETAIN_EVENTS = 10_000
"""How many events are kept for watchers when every durable consumer has passed them."""

PAUSE_S = 60.0

_LOG = logging.getLogger(__name__)
_SLICE = 1000
_PAGES = 2000
_STEP = 250
_ROUNDS = 100


class Upkeep:
    """The thread that cuts back, once a minute."""

    def __init__(self, catalog: Catalog, pause_s: float = PAUSE_S) -> None:
        self._catalog = catalog
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="catalog-upkeep", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the slice in hand, and wait for that."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._pause_s):
            try:
                keep_up(self._catalog)
            except TrunklineError as error:
                _LOG.warning("the catalog could not be cut back, the next minute tries again: %s", error)


def keep_up(catalog: Catalog, retain_events: int = RETAIN_EVENTS) -> None:
    """Cut back once what has grown. Raises what `Catalog.transact` raises."""
    _in_slices(catalog, lambda tx: outbox.trim(tx, retain_events, _SLICE))
    _in_slices(catalog, lambda tx: sessions.forget_ended(tx, _SLICE))
    for _ in range(_ROUNDS):
        if not catalog.read(_is_mostly_free):
            return
        catalog.transact(_give_back)


def _in_slices(catalog: Catalog, cut: Callable[[Tx], int]) -> None:
    for _ in range(_ROUNDS):
        if catalog.transact(cut) < _SLICE:
            return


def _give_back(tx: Tx) -> None:
    """Cut free pages off the end of the file. The driver takes one step of this statement, which is one page."""
    for _ in range(_STEP):
        tx.execute("PRAGMA incremental_vacuum(1)")


def _is_mostly_free(tx: Tx) -> bool:
    """Whether more than half of a file worth mentioning is free pages. Below that they are kept, to be used again."""
    if tx.on_server:
        return False  # it tidies up by itself
    pages, free = (int(tx.execute(f"PRAGMA {name}").scalar()) for name in ("page_count", "freelist_count"))
    return free > _PAGES and free * 2 > pages
