"""One of several servers on a database leads; this takes part in that for one of them.

Time decides only who may take over. What counts is the epoch of a term, which every write of a leader carries: one
that was stopped past its lease has its writes refused, whatever it still believes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

from trunkline.catalog.engine import Catalog
from trunkline.catalog.shared import leading
from trunkline.errors import TrunklineError
from trunkline.pfs.files import Files

LEASE_US = 10_000_000
"""How long a leader that is not heard of any more is waited for."""
LOOK_S = 2.0
KEEP_S = 10.0
"""How often sessions and pins of this server are renewed: they end after a minute without."""

_log = logging.getLogger(__name__)
End = Callable[[], None]


class Leading:
    """Becomes the leader when there is none, and keeps what this server has open alive meanwhile.

    holder: who this server is; no other that runs is called so.
    begin: called with the catalog to write to, when a term begins; answers what ends what it began.
    """

    def __init__(self, files: Files, holder: str, begin: Callable[[Catalog], End]) -> None:
        self._files, self._catalog = files, files.catalog
        self._holder = holder
        self._begin = begin
        self._new = True
        self._epoch: int | None = None
        self._end: End | None = None
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=partial(self._loop, LOOK_S, self._look), name="leading", daemon=True),
            threading.Thread(target=partial(self._loop, KEEP_S, files.keep), name="keeping", daemon=True),
        ]

    def start(self) -> None:
        """Take part."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End a term that runs, so that another server takes over at once. Blocks for seconds."""
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        epoch = self._epoch
        self._stand_down()
        if epoch is not None:
            try:
                self._catalog.transact(lambda tx: leading.resign(tx, epoch))
            except TrunklineError as error:
                _log.info("the next leader waits for the lease to end: %s", error)

    def _loop(self, pause_s: float, step: Callable[[], object]) -> None:
        while not self._stop.is_set():
            try:
                step()
            except TrunklineError as error:
                _log.warning("who leads could not be looked at, or renewed: %s", error)
            except Exception:
                _log.exception("who leads could not be looked at, or renewed")
            self._stop.wait(pause_s)

    def _look(self) -> None:
        epoch = self._epoch
        if epoch is not None:
            if self._catalog.transact(lambda tx: leading.renew(tx, epoch, LEASE_US)):
                return
            _log.warning("another server leads now; this one had not been heard of for too long")
            self._stand_down()
        found = self._catalog.read(leading.get_leader)
        # A term of the process that this one follows is over: it held the data folder that this one holds now.
        former = found.epoch if found is not None and self._new and found.holder == self._holder else None
        self._new = False
        if found is not None and not found.late and former is None:
            return
        taken = self._catalog.transact(lambda tx: leading.take(tx, self._holder, LEASE_US, after=former))
        if taken is not None:
            _log.info("this server leads now, in term %d", taken)
            # Where that fails, the term is not renewed, and whoever looks when its lease has run out tries again.
            self._end = self._begin(self._catalog.led(taken))
            self._epoch = taken

    def _stand_down(self) -> None:
        if self._end is not None:
            self._end()
        self._epoch = self._end = None
