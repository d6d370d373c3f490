"""What runs by itself, on one server at a time: jobs, finishing, schedules, collection, upkeep."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from trunkline.catalog.engine import Catalog
from trunkline.catalog.upkeep import Upkeep
from trunkline.pfs.collection.levelling import Leveller
from trunkline.pfs.collection.loop import Collector
from trunkline.pfs.files import Files
from trunkline.pfs.finisher import Finisher
from trunkline.pfs.lent.leases import Leases
from trunkline.pfs.purging.purger import Purger
from trunkline.pfs.ticker import Ticker, TriggerSchedules
from trunkline.pps.controller import Controller, Pps
from trunkline.pps.datums.purged import Lineage
from trunkline.pps.schedules.ticks import CronSchedules

T = TypeVar("T")

JOIN_S = 1.0
"""How long a loop of the engine may take to notice that it shall end."""


class Loops:
    """All of them, begun and ended together."""

    def __init__(self, pps: Pps, collector: Collector, leases: Leases) -> None:
        files = pps.files
        self._leveller = Leveller(files)
        self._finisher = Finisher(files, self._leveller.tell)
        self._controller = Controller(pps)
        self._ticker = Ticker(files, [TriggerSchedules(files), CronSchedules(files)])
        self._upkeep = Upkeep(files.catalog)
        self._leases = leases
        self._collector = collector
        self._purger = Purger(files, Lineage(files, pps.tables), collector)
        self._wake = files.catalog.wake
        self._started = False

    @classmethod
    def led(cls, pps: Pps, catalog: Catalog) -> Loops:
        """Those of a leader, whose writes `catalog` lets through for one term."""
        files: Files = replace(pps.files, catalog=catalog)
        return cls(Pps.of(files, pps.vault), Collector(files), Leases(files))

    def start(self) -> None:
        """Begin, with what was left by whoever did this before."""
        self._started = True
        for one in (
            *(self._leveller, self._finisher, self._controller, self._ticker),
            *(self._upkeep, self._leases, self._collector, self._purger),
        ):
            one.start()

    def stop(self) -> None:
        """End after what is in hand. `Catalog.wake` must be set once more for all to notice at once."""
        self._leases.stop()
        self._purger.stop()
        self._collector.stop()
        self._upkeep.stop()
        self._ticker.stop()
        self._controller.stop()
        self._finisher.stop()
        self._leveller.stop()

    def join(self, timeout_s: float = JOIN_S) -> None:
        """Wait until all have ended, but not for longer than this for any."""
        if self._started:
            for one in (
                *(self._ticker, self._controller, self._finisher),
                *(self._leveller, self._collector, self._purger),
            ):
                one.join(timeout_s)
