"""Datums whose /pfs lies in memory (`memory_volume`): a file system of their agent's own, which ends with it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from trunkline.worker.collect import Collector
from trunkline.worker.layout import Pfs
from trunkline.worker.limits import disk
from trunkline.worker.ports import Limits, Step
from trunkline.worker.runner import Exited, Runner

WITHOUT_LIMIT = "50%"
"""How much of the machine's memory it may fill where the spec has no memory limit, as an option of tmpfs."""

Place = tuple[Pfs, Collector]


def volume_of(step: Step) -> str:
    """The size of the file system, as an option of tmpfs; "" where /pfs lies on a disk."""
    if not step.memory_volume:
        return ""
    return str(step.limits.memory_bytes) if step.limits.memory_bytes else WITHOUT_LIMIT


class Places:
    """Where /pfs of each runner's code is for us: `disk`, or in memory, reached by a descriptor that its agent gave.

    open_place: makes a place of a folder.
    """

    def __init__(self, disk: Place, open_place: Callable[[str], Place]) -> None:
        self.disk = disk
        self._open = open_place
        self._known: dict[int, tuple[Runner, Place]] = {}

    def of(self, runner: Runner) -> Place:
        """The place of a runner. That of one which was lost stays valid until another runner is asked for."""
        if runner.volume < 0:
            return self.disk
        if runner.volume not in self._known:
            for descriptor in [each for each, (other, _) in self._known.items() if not other.alive]:
                del self._known[descriptor]
                os.close(descriptor)
            folder = f"/proc/self/fd/{runner.volume}/."  # and not the link itself
            self._known[runner.volume] = (runner, self._open(folder))
        return self._known[runner.volume][1]


def full(pfs: Pfs, limits: Limits) -> str:
    """What is to be said of a /pfs in memory after code has failed; "" while there is room."""
    disk = os.statvfs(pfs.out)
    if disk.f_bavail > 1:
        return ""
    size = limits.memory or f"{disk.f_blocks * disk.f_frsize >> 20}Mi"
    return f"/pfs lies in memory and its {size} are full"


def no_room(pfs: Pfs, step: Step, folder: Path, ended: Exited | None = None) -> str:
    """What is to be said of a /pfs without room, wherever it lies; "" while there is some. folder: on the disk.

    ended: how the code ended; one that failed by itself may have met its own limit, and not said so.
    """
    cut = disk.cut_off(step.limits, pfs.out) if ended is not None and ended.code else ""
    return cut or (full(pfs, step.limits) if step.memory_volume else disk.full(folder))
