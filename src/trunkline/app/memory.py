"""How the C library hands out memory to our threads."""

from __future__ import annotations

import ctypes
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
