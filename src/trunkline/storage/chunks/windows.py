"""Memory that content passes through, used again and again."""

from __future__ import annotations

import mmap
import weakref
from collections import deque
from contextlib import suppress

import numpy as np

RING = 80 << 20
"""Bytes of one ring: what one writer has on its way, one piece that is not cut yet, and what is read meanwhile."""
ROOM = 8 << 20
"""What is read at once, at most."""
HEAD = 16 << 20
"""Where bytes are read to after a turn: what is not cut by then, less than the largest piece, goes before them."""
_LEAST = 1 << 20
"""Less room than this is none, but for the end of the ring."""


class Ring:
    """A stretch of memory that is filled from its front to its end, and then from the front again.

    Memory that is fresh from the kernel costs several times what filling it costs: each of its pages is a fault, and
    is cleared. So a writer has one ring, of which the parts that nobody looks into any more are written to again.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, RING, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with suppress(OSError, AttributeError):  # a kernel without large pages
            self._memory.madvise(mmap.MADV_HUGEPAGE)
        self._all = memoryview(self._memory)
        self._lent: deque[int] = deque()
        self._gone: deque[int] = deque()
        self._back: set[int] = set()

    def view(self, start: int, end: int) -> memoryview:
        """Memory, for who knows that nobody else uses it."""
        return self._all[start:end]

    def lend(self, start: int, end: int) -> memoryview:
        """What was written there. It is not written to before this view and all that were sliced from it are gone."""
        held = np.frombuffer(self._memory, dtype=np.uint8, count=end - start, offset=start)
        weakref.finalize(held, self._gone.append, start)
        self._lent.append(start)
        return held.data.toreadonly()

    @property
    def oldest(self) -> int | None:
        """Where the first begins of what is still lent, in the order in which it was."""
        while self._gone:
            self._back.add(self._gone.popleft())
        while self._lent and self._lent[0] in self._back:
            self._back.remove(self._lent.popleft())
        return self._lent[0] if self._lent else None

    def room(self, after: int, kept: int) -> int | None:
        """Where `ROOM` or less can be written: at `after`, or else behind the `HEAD`. None: nowhere at present.

        kept: where that begins which was written last and is not lent yet; it ends at `after`.
        """
        oldest = self.oldest
        tail = kept if oldest is None else oldest
        if tail > after:
            return after if tail - after > _LEAST else None
        if after < RING:
            return after
        return HEAD if tail - HEAD > _LEAST else None

    def end(self, start: int, kept: int) -> int:
        """Up to where may be written from a place that `room` gave."""
        oldest = self.oldest
        tail = kept if oldest is None else oldest
        # Not up to what is lent: a ring that is full would look like an empty one.
        return min(start + ROOM, tail - 1 if tail > start else RING)
