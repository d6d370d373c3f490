"""How memory is handed out to our threads, and given back."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
ARENAS = 2
FROM_HEAP = 32 << 20
"""Buffers up to this size come from the heap: messages of uploads have 20 MiB at most."""
KEPT = 128 << 20
"""What was freed at the end of a heap is kept until it is more than this."""
LARGE, WAITS_MS = 4 << 20, 10
"""Columns up to this size are kept for a moment when they are freed, and handed out again."""


def few_arenas() -> None:
    """Have all threads share two arenas; nothing where the C library is not glibc. Call before threads are started.

    glibc gives each thread an arena of its own, and each keeps what its thread once needed. With buffers of megabytes
    passing through dozens of threads that was a quarter of the server's peak; two arenas cost no time that we could
    measure, since threads that handle bytes spend their time elsewhere.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)


def kept_buffers() -> None:
    """Have the buffers that messages pass through used again; nothing where the C library is not glibc.

    Left alone, glibc gives each back to the system when the message is done with, and the next one's is fetched page
    by page, cleared: while 1 GiB was uploaded, half a million times. `give_back` when there is nothing to do.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_THRESHOLD, FROM_HEAP)
        library.mallopt(M_TRIM_THRESHOLD, KEPT)


def give_back() -> None:
    """Give the system all that was freed. Takes milliseconds, and makes the next buffers dear: not after each call."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def columns_from_jemalloc() -> None:
    """Have Arrow take its memory from jemalloc, unless somebody chose otherwise. Call before pyarrow is imported.

    mimalloc, which Arrow would take, keeps for good what was freed. Here a buffer of megabytes goes back to the system
    at once: what a second of work left behind was 140 MiB of the peak of a commit of a million files. What is smaller
    waits for 10 ms, for the next step of the same work takes it again: given back at once as well, fetching it anew,
    page by page, was a quarter of the CPU of a commit of one file beside 10,000, and a third of the time in which a
    million files are finished. Our workers inherit the choice; user code inherits nothing of ours.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")
    os.environ.setdefault("JE_ARROW_MALLOC_CONF", f"oversize_threshold:{LARGE},dirty_decay_ms:{WAITS_MS}")
