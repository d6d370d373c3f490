"""Memory that content passes through, used again and again."""

from __future__ import annotations

import mmap
import weakref
from contextlib import suppress

import numpy as np

WINDOW = 32 << 20
"""Bytes of one window: twice the largest piece, so that a full one always has something to cut."""


class Windows:
    """Windows of memory for one writer.

    Memory that is fresh from the kernel costs several times what filling it costs: each of its pages is a fault, and
    is cleared. So a window that nobody looks into any more is taken again before another one is made.
    """

    def __init__(self) -> None:
        self.made = 0
        """How many there are."""
        self._free: list[mmap.mmap] = []

    def take(self) -> memoryview:
        """One to write into; it is free again when this view and all that were sliced from it are gone."""
        try:
            window = self._free.pop()
        except IndexError:
            window = self._make()
        held = np.frombuffer(window, dtype=np.uint8)
        weakref.finalize(held, self._free.append, window)
        return held.data

    def _make(self) -> mmap.mmap:
        self.made += 1
        window = mmap.mmap(-1, WINDOW, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with suppress(OSError, AttributeError):  # a kernel without large pages
            window.madvise(mmap.MADV_HUGEPAGE)
        return window
