"""The workers of services and spouts: one for each that is to run, started and ended as pipelines come and go."""

from __future__ import annotations

import logging
import threading
from collections.abc import Set
from functools import partial

from trunkline.app.pool import Site
from trunkline.catalog import outbox
from trunkline.catalog.engine import Catalog, Tx
from trunkline.errors import TrunklineError
from trunkline.fleet.local import LocalFleet, reclaim
from trunkline.pfs.graph.changes import BRANCH_TOPIC
from trunkline.pps.pipelines import PIPELINE_TOPIC
from trunkline.pps.standing import states
from trunkline.pps.standing.wishes import Wish, wishes

PAGE = 100
RETRY_S = 1.0
TOPICS = (PIPELINE_TOPIC, BRANCH_TOPIC)

_log = logging.getLogger("trunkline.workers")


class StandingWorkers:
    """Sees to it that every service and spout has its worker, by a thread of its own."""

    def __init__(self, site: Site, catalog: Catalog) -> None:
        self._site = site
        self._folder = site.config.data / "workers" / "standing"
        self._catalog = catalog
        self._running: dict[Wish, LocalFleet] = {}
        self._count = 0
        self._stop = threading.Event()
        self._look = threading.Event()
        self._thread = threading.Thread(target=self._run, name="standing", daemon=True)

    def start(self) -> None:
        """Reclaim what those of an earlier server left, and begin."""
        reclaim(self._folder)
        self._thread.start()

    def stop(self) -> None:
        """End all of them. Blocks for seconds."""
        self._stop.set()
        self._look.set()
        if self._thread.ident is not None:
            self._thread.join()
        for fleet in self._running.values():
            fleet.stop()
        self._running.clear()

    def _run(self) -> None:
        at, stale = 0, True
        forget = self._catalog.wake.subscribe(self._heard)
        while not self._stop.is_set():
            self._look.clear()
            try:
                at, news = self._catalog.read(partial(_news, at=at))
                if news or stale:
                    self._arrange()
                stale = False
            except (TrunklineError, OSError) as error:
                _log.warning("services and spouts could not be looked at: %s", error)
                stale = True
            if stale:
                self._stop.wait(RETRY_S)
            elif not self._stop.is_set():
                self._look.wait()
        forget()

    def _heard(self, _: int, names: Set[str]) -> None:
        if not names or not names.isdisjoint(TOPICS):
            self._look.set()

    def _arrange(self) -> None:
        wanted = set(self._catalog.read(wishes))
        for wish in [each for each in self._running if each not in wanted]:
            self._running.pop(wish).stop()
        for wish in wanted - set(self._running):
            self._count += 1
            self._running[wish] = self._open(wish, self._count)
            self._running[wish].start()

    def _open(self, wish: Wish, number: int) -> LocalFleet:
        site = self._site

        def gone(name: str, reason: str) -> None:
            site.told(name, reason)
            try:
                self._catalog.transact(
                    lambda tx: states.tell(
                        tx, wish.pipeline, wish.version, running=False, reason=f"its worker died ({reason})"
                    )
                )
            except TrunklineError as error:
                _log.warning("%s: %s", name, error)

        return LocalFleet(
            lambda name, scratch: site.command(name, scratch, wish),
            1,
            self._folder / str(number),
            site.ambient,
            _log.warning,
            site.env,
            gone=gone,
            prefix=site.prefix(f"{wish.kind.lower()}-{number}"),
        )


def _news(tx: Tx, at: int) -> tuple[int, bool]:
    """How far the events go, and whether a pipeline changed since, or lost what it reads."""
    found = outbox.follow(tx, at, PAGE, TOPICS) if at else None
    return outbox.newest(tx), found is None or bool(found)
