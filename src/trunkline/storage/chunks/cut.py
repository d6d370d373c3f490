"""Where content ends: pieces of big files, and packs of small ones. The numbers here are part of the format.

A file of more than `SMALL_FILE` bytes is cut by FastCDC; a piece of at least `SMALL_FILE` bytes is a chunk of its own.
Smaller files, and what is left at the end of a big one when it is under `SMALL_FILE`, go into packs, in path order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pyfastcdc import FastCDC

MIB = 1 << 20

SMALL_FILE = MIB
"""Bytes. A file up to this size is one piece inside a pack."""

PIECE_MIN, PIECE_AVERAGE, PIECE_MAX = MIB, 4 * MIB, 16 * MIB
PACK_MIN, PACK_TARGET, PACK_MAX = MIB, MIB, 8 * MIB

_WINDOW = 16 * MIB  # with what is left of the window before, less than 32 MiB, above which malloc asks the kernel


class Cutter:
    """Cuts one stream where its content says so. Not to be shared between threads.

    Cuts depend on the stream alone, not on how it was handed over. Holds at most 32 MiB and what was fed last.
    Source: Xia et al., FastCDC, USENIX ATC 2016, in the variant of 2020.
    """

    def __init__(self) -> None:
        self._waiting: list[bytes | memoryview] = []
        self._bytes = 0

    def feed(self, data: bytes | memoryview) -> list[memoryview]:
        """Take the next bytes. Returns the pieces that are certain now, each 1 to 16 MiB, in order."""
        self._waiting.append(data)
        self._bytes += len(data)
        return self._cut(whole=False) if self._bytes >= _WINDOW else []

    def finish(self) -> list[memoryview]:
        """The rest of the stream, in pieces; only the last may be shorter than 1 MiB. The cutter starts afresh."""
        return self._cut(whole=True)

    def _cut(self, whole: bool) -> list[memoryview]:
        data = memoryview(b"".join(self._waiting))
        pieces: list[memoryview] = []
        start = 0
        if self._bytes:
            for chunk in FastCDC(avg_size=PIECE_AVERAGE, min_size=PIECE_MIN, max_size=PIECE_MAX).cut_buf(data):
                # A cut depends only on the bytes before it. The piece that ends where the data ends may not be cut yet.
                if start + chunk.length == len(data) and not whole:
                    break
                pieces.append(data[start : start + chunk.length])
                start += chunk.length
        self._waiting = [data[start:]] if start < len(data) else []
        self._bytes = len(data) - start
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
