"""Room on the disk: enough to begin a datum, and no more used than its spec allows."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from trunkline.ambient import Ambient
from trunkline.worker.ports import Limits

LEAST_FREE_BYTES = 64 << 20
"""A datum does not begin with less: what code does on a full disk says nothing about the code."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
"""Errors that say so."""

_FULL_BYTES = 4 << 20  # file systems keep some for themselves
COPY_AGAIN_S = 5.0
"""How long until copies of inputs that did not fit are tried again."""

_LOOK_S = 0.5
_SAY_S = 30.0


class TooLarge(Exception):
    """What a datum needs fits nowhere; the message says what and why."""


class Waiting:
    """Says what is waited for, now and again. wants: what needs room, and how much, as it is said."""

    def __init__(self, folder: Path, ambient: Ambient, tell: Callable[[str], None], wants: str) -> None:
        self._folder = folder
        self._ambient = ambient
        self._tell = tell
        self._wants = wants
        self._told_s: float | None = None

    def say(self, free: int | None = None) -> None:
        """Call it as often as you like. free: bytes that are."""
        now_s = self._ambient.ticks_s()
        if self._told_s is not None and now_s - self._told_s < _SAY_S:
            return
        self._told_s = now_s
        there = free_bytes(self._folder) if free is None else free
        self._tell(
            f"waiting: the disk that holds {self._folder} has {there >> 20} MiB free and {self._wants}; make room there"
        )


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
    waiting = Waiting(folder, ambient, tell, f"a datum begins with {LEAST_FREE_BYTES >> 20} at least")
    while (there := (free or free_bytes)(folder)) < LEAST_FREE_BYTES:
        go_on()
        waiting.say(there)
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


def cut_off(limits: Limits, out: bytes) -> str:
    """What is to be said of a datum that went wrong with a file in /pfs/out that the limit cut off; "" without one."""
    for folder, _, names in os.walk(out) if limits.disk_bytes else ():
        for name in names:
            with contextlib.suppress(OSError):
                if os.lstat(os.path.join(folder, name)).st_size > limits.disk_bytes:
                    return f"disk limit {limits.disk} exceeded"
    return ""


def full(folder: Path) -> str:
    """What is to be said of a datum that went wrong on a disk without room; "" while there is some."""
    left = free_bytes(folder)
    if left >= _FULL_BYTES:
        return ""
    return f"no space left on device: the disk that holds {folder} has {left >> 20} MiB free"
