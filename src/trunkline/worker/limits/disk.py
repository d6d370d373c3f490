"""Room on the disk: enough to begin a datum, and no more used than its spec allows."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from trunkline.ambient import Ambient
from trunkline.worker.ports import Limits

LEAST_FREE_BYTES = 64 << 20
"""A datum does not begin with less: what code does on a full disk says nothing about the code."""

_LOOK_S = 0.5
_SAY_S = 30.0


def wait_for_room(
    folder: Path,
    ambient: Ambient,
    tell: Callable[[str], None],
    go_on: Callable[[], None],
    free: Callable[[Path], int] | None = None,
) -> None:
    """Until a datum may begin. tell: hears what is waited for, now and again; go_on: raises to end the wait.

    free: a seam for tests.
    """
    told_s: float | None = None
    while (there := (free or free_bytes)(folder)) < LEAST_FREE_BYTES:
        go_on()
        now_s = ambient.ticks_s()
        if told_s is None or now_s - told_s >= _SAY_S:
            tell(
                f"waiting: the disk that holds {folder} has {there >> 20} MiB free and a datum begins with "
                f"{LEAST_FREE_BYTES >> 20} at least; make room there"
            )
            told_s = now_s
        ambient.sleep(_LOOK_S)


def free_bytes(folder: Path) -> int:
    """What an ordinary user may still write on the disk that holds `folder`."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def too_much(limits: Limits, files: Sequence[tuple[str, bytes]]) -> str:
    """What is wrong with output of that size, or ""; files: as `collect.Found` has them."""
    if not limits.disk_bytes:
        return ""
    size = sum(os.stat(path).st_size for _, path in files)
    if size <= limits.disk_bytes:
        return ""
    return f"disk limit {limits.disk} exceeded: /pfs/out holds {size} bytes"
