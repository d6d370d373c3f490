"""Where content ends: pieces of big files, and packs of small ones. The numbers here are part of the format.

A file of more than `SMALL_FILE` bytes is cut by FastCDC; a piece of at least `SMALL_FILE` bytes is a chunk of its own.
Smaller files, and what is left at the end of a big one when it is under `SMALL_FILE`, go into packs, in path order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pyfastcdc import FastCDC

from trunkline.storage.chunks.windows import Windows

MIB = 1 << 20

SMALL_FILE = MIB
"""Bytes. A file up to this size is one piece inside a pack."""

PIECE_MIN, PIECE_AVERAGE, PIECE_MAX = MIB, 4 * MIB, 16 * MIB
PACK_MIN, PACK_TARGET, PACK_MAX = MIB, MIB, 8 * MIB


class Cutter:
    """Cuts streams where their content says so, one after the other. Not to be shared between threads.

    Cuts depend on the stream alone, not on how it was handed over. Bytes lie in windows of memory, where their pieces
    stay; only what is left at the end of a window is moved into the next one.
    Source: Xia et al., FastCDC, USENIX ATC 2016, in the variant of 2020.
    """

    def __init__(self) -> None:
        self._windows = Windows()
        self._window = self._windows.take()
        self._start = self._end = 0  # what is not cut yet

    @property
    def windows(self) -> int:
        """How many windows of memory it has made."""
        return self._windows.made

    def room(self) -> memoryview:
        """Where the next bytes may be put, at least one; then say how many with `filled`."""
        return self._window[self._end :]

    def filled(self, count: int) -> list[memoryview]:
        """That many bytes were put into the room. Returns the pieces that are certain now, each 1 to 16 MiB, in order.

        Each piece keeps the memory of its window.
        """
        self._end += count
        if self._end < len(self._window):
            return []
        pieces = self._cut(whole=False)
        full, left = self._window, self._end - self._start
        self._window = self._windows.take()
        self._window[:left] = full[self._start :]
        self._start, self._end = 0, left
        return pieces

    def feed(self, data: bytes | memoryview) -> list[memoryview]:
        """Take the next bytes, by copying them. Returns as `filled` does."""
        pieces: list[memoryview] = []
        at = 0
        while at < len(data):
            room = self.room()
            count = min(len(room), len(data) - at)
            room[:count] = data[at : at + count]
            at += count
            pieces += self.filled(count)
        return pieces

    def finish(self) -> list[memoryview]:
        """The rest of the stream, in pieces; only the last may be shorter than 1 MiB. Then the next stream may come."""
        return self._cut(whole=True)

    def _cut(self, whole: bool) -> list[memoryview]:
        data = self._window[self._start : self._end].toreadonly()
        pieces: list[memoryview] = []
        start = 0
        if data:
            for chunk in FastCDC(avg_size=PIECE_AVERAGE, min_size=PIECE_MIN, max_size=PIECE_MAX).cut_buf(data):
                # A cut depends only on the bytes before it. A piece that ends where the data ends may yet grow.
                if start + chunk.length == len(data) and chunk.length < PIECE_MAX and not whole:
                    break
                pieces.append(data[start : start + chunk.length])
                start += chunk.length
        self._start += start
        return pieces


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
