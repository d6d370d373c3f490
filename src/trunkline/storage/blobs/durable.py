"""Files of this machine written so that they are on the disk, through the page cache or past it."""

from __future__ import annotations

import fcntl
import mmap
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from trunkline.storage.blobs.port import Data, in_parts

STAGE = 1 << 20
"""Bytes that are written at once past the cache; of each thread that does so, this much memory."""
BLOCK = 4096
"""Writing past the cache takes whole blocks, from memory that begins at one. No disk has larger ones."""
_AT_ONCE = 1024  # parts that one writev may take on Linux

_stages = threading.local()


def write_durably(path: Path, data: Data, *, passing: bool = False) -> None:
    """Make a file, on the disk when this returns. passing: past the page cache, if the file system lets us."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        parts = [view for part in in_parts(data) if (view := memoryview(part).cast("B"))]
        if passing:
            parts = _write_past_cache(handle, parts)
        _write(handle, parts)
        os.fdatasync(handle)
    finally:
        os.close(handle)


def _write(handle: int, parts: Sequence[memoryview]) -> None:
    waiting = list(parts)
    while waiting:
        waiting = _after(waiting, os.writev(handle, waiting[:_AT_ONCE]))


def _write_past_cache(handle: int, parts: Sequence[memoryview]) -> list[memoryview]:
    """Write whole blocks past the cache; what is left to write, which is all of it where the file system does not."""
    flags = fcntl.fcntl(handle, fcntl.F_GETFL)
    waiting = list(parts)
    # Refused when switched on, or (EINVAL) at the first write. Any other trouble the usual way meets again, and tells.
    with suppress(OSError):
        fcntl.fcntl(handle, fcntl.F_SETFL, flags | os.O_DIRECT)
        stage = _stage()
        while filled := _fill(stage, waiting) // BLOCK * BLOCK:
            written = os.write(handle, stage[:filled])
            waiting = _after(waiting, written)
            if written < filled:
                break
    fcntl.fcntl(handle, fcntl.F_SETFL, flags)
    return waiting


def _stage() -> memoryview:
    """This thread's memory for blocks."""
    stage: memoryview | None = getattr(_stages, "memory", None)
    if stage is None:
        stage = _stages.memory = memoryview(mmap.mmap(-1, STAGE))
    return stage


def _fill(stage: memoryview, parts: Sequence[memoryview]) -> int:
    """Copy the first bytes of these parts, as many as there is room for; how many. Other threads go on meanwhile."""
    filled, room = 0, np.frombuffer(stage, dtype=np.uint8)
    for part in parts:
        count = min(len(part), len(stage) - filled)
        np.copyto(room[filled : filled + count], np.frombuffer(part[:count], dtype=np.uint8))
        filled += count
        if filled == len(stage):
            break
    return filled


def _after(parts: list[memoryview], written: int) -> list[memoryview]:
    """What follows the first `written` bytes of these parts."""
    for number, part in enumerate(parts):
        if written < len(part):
            return [part[written:], *parts[number + 1 :]]
        written -= len(part)
    return []
