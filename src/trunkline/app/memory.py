"""How memory is handed out to our threads, and given back."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

M_ARENA_MAX = -8
ARENAS = 2


def few_arenas() -> None:
    """Have all threads share two arenas; nothing where the C library is not glibc. Call before threads are started.

    glibc gives each thread an arena of its own, and each keeps what its thread once needed. With buffers of megabytes
    passing through dozens of threads that was a quarter of the server's peak; two arenas cost no time that we could
    measure, since threads that handle bytes spend their time elsewhere.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)


def columns_from_jemalloc() -> None:
    """Have Arrow take its memory from jemalloc, unless somebody chose otherwise. Call before pyarrow is imported.

    It gives what was freed back to the system within a second, in a thread of its own. mimalloc, which Arrow would
    take, keeps it: after a commit of a million files the server stayed 190 MiB larger for good. Our workers inherit
    the choice; user code inherits nothing of ours.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")
