"""Where content ends: pieces of big files, and packs of small ones. The numbers here are part of the format.

A file of more than `SMALL_FILE` bytes is cut by FastCDC; a piece of at least `SMALL_FILE` bytes is a chunk of its own.
Smaller files, and what is left at the end of a big one when it is under `SMALL_FILE`, go into packs, in path order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from pyfastcdc import Chunk, FastCDC

from trunkline.storage.chunks.windows import HEAD, RING, Ring

MIB = 1 << 20

SMALL_FILE = MIB
"""Bytes. A file up to this size is one piece inside a pack."""

PIECE_MIN, PIECE_AVERAGE, PIECE_MAX = MIB, 4 * MIB, 16 * MIB
PACK_MIN, PACK_TARGET, PACK_MAX = MIB, MIB, 8 * MIB

_CUTS = FastCDC(avg_size=PIECE_AVERAGE, min_size=PIECE_MIN, max_size=PIECE_MAX)


class Cutter:
    """Cuts streams where their content says so, one after the other. Not to be shared between threads.

    Cuts depend on the stream alone, not on how it was handed over. Bytes lie in a ring of memory, where their pieces
    stay. make_room: has some pieces let go of, and says whether there were any to wait for; where not, and all of the
    ring is in use, there is another one.
    Source: Xia et al., FastCDC, USENIX ATC 2016, in the variant of 2020.
    """

    def __init__(self, make_room: Callable[[], bool] = lambda: False) -> None:
        self._make_room = make_room
        self._ring = Ring()
        self.rings = 1
        """How many rings of memory it has made."""
        self._start = self._end = 0  # what is not cut yet
        self._given = 0  # where the room ends that was given last
        self._next: tuple[Ring, int] | None = None  # where the next room begins
        self._chunks: Iterator[Chunk] | None = None  # those that begin at `_start`

    def room(self) -> memoryview:
        """Where the next bytes may be put, at least one; then say how many with `filled`."""
        self._go_on(*self._place(self._end))
        self._given = self._ring.end(self._end, self._start)
        return self._ring.view(self._end, self._given)

    def next_room(self) -> memoryview:
        """What `room` will be once this one is full. Another thread may fill it while this one is cut."""
        ring, start = self._next = self._place(self._given)
        self._given = ring.end(start, self._start if ring is self._ring else RING)
        return ring.view(start, self._given)

    def filled(self, count: int) -> Iterator[memoryview]:
        """That many bytes were put into the room. Yields the pieces that are certain now, each 1 to 16 MiB, in order.

        Each piece keeps the memory that it lies in.
        """
        self._end += count
        # A cut depends only on the bytes before it, and no piece is longer than this: none is looked through twice.
        while self._end - self._start >= PIECE_MAX:
            if self._chunks is None:
                self._chunks = _CUTS.cut_buf(self._ring.view(self._start, RING).toreadonly())
            yield self._piece(next(self._chunks).length)
        if self._next is not None:
            place, self._next = self._next, None
            self._go_on(*place)

    def feed(self, data: bytes | memoryview) -> Iterator[memoryview]:
        """Take the next bytes, by copying them. Yields as `filled` does."""
        left = np.frombuffer(data, dtype=np.uint8)
        while len(left):
            room = np.frombuffer(self.room(), dtype=np.uint8)
            count = min(len(room), len(left))
            np.copyto(room[:count], left[:count])  # which lets other threads go on
            left = left[count:]
            yield from self.filled(count)

    def finish(self) -> Iterator[memoryview]:
        """The rest of the stream, in pieces; only the last may be shorter than 1 MiB. Then the next stream may come."""
        self._chunks = None
        if self._end > self._start:
            for chunk in _CUTS.cut_buf(self._ring.view(self._start, self._end).toreadonly()):
                yield self._piece(chunk.length)

    def _piece(self, length: int) -> memoryview:
        self._start += length
        return self._ring.lend(self._start - length, self._start)

    def _place(self, after: int) -> tuple[Ring, int]:
        """Where bytes go that follow those which end there."""
        while True:
            place = self._ring.room(after, self._start)
            if place is not None:
                return self._ring, place
            if not self._make_room():
                self.rings += 1
                return Ring(), HEAD

    def _go_on(self, ring: Ring, start: int) -> None:
        """Have the next bytes lie there, and before them those that are not cut yet."""
        if ring is self._ring and start == self._end:
            return
        left = self._ring.view(self._start, self._end)
        self._ring, self._chunks = ring, None
        self._start, self._end = start - len(left), start
        head = ring.view(self._start, start)
        np.copyto(np.frombuffer(head, dtype=np.uint8), np.frombuffer(left, dtype=np.uint8))


def pack_ends(digests: npt.NDArray[np.void], sizes: npt.NDArray[np.int64]) -> list[int]:
    """Which of these pieces, in order, is the last of its pack: their positions, ascending.

    digests: 32 bytes each; sizes: bytes, each at most SMALL_FILE. A pack ends after a piece when it has PACK_MIN bytes
    and the piece says so, which it does with a chance in proportion to its size: `hash64 < 2^64 * size / PACK_TARGET`,
    hash64 being the first 8 bytes of the digest, big-endian. It ends before a piece that would take it past PACK_MAX.
    The last piece ends the last pack.
    """
    if not len(sizes):
        return []
    hash64 = np.frombuffer(digests.tobytes(), dtype=">u8").reshape(len(sizes), 4)[:, 0]
    # 2^64 * size / 2^20, in whole numbers; it does not fit 64 bits when size is PACK_TARGET, hence the second test.
    limit = sizes.astype(np.uint64) << np.uint64(64 - 20)
    says_so = np.flatnonzero((hash64 < limit) | (sizes >= PACK_TARGET))
    ends = np.cumsum(sizes)
    found: list[int] = []
    first, before = 0, 0
    while first < len(sizes):
        fits = int(np.searchsorted(ends, before + PACK_MAX, side="right")) - 1
        enough = int(np.searchsorted(ends, before + PACK_MIN, side="left"))
        next_end = int(np.searchsorted(says_so, enough, side="left"))
        end = int(says_so[next_end]) if next_end < len(says_so) else len(sizes) - 1
        last = max(first, min(end, fits))
        found.append(last)
        first, before = last + 1, int(ends[last])
    return found
