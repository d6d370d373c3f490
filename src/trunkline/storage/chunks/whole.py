"""Blobs of chunks that come from outside: looked at before they are kept."""

from __future__ import annotations

from blake3 import blake3

from trunkline.errors import DataLoss
from trunkline.storage.chunks.frames import CHUNK_MAX, HEADER, decode, layout

BLOB_MAX = CHUNK_MAX + HEADER.size + 8 * (CHUNK_MAX // 4)
"""No blob of a chunk is longer: frames are never longer than what they hold, but for very short ones."""


def plain_size(digest: bytes, blob: bytes) -> int:
    """How many plain bytes a chunk's blob holds. Raises DataLoss unless they are those that the hash says."""
    try:
        where = layout(blob)
        plain = decode(where, 0, where.frames, memoryview(blob)[int(where.stored[0]) :])
    except DataLoss as error:
        raise DataLoss(f"chunk {digest.hex()} is damaged: {error}") from None
    if blake3(plain).digest() != digest:
        raise DataLoss(f"chunk {digest.hex()} is damaged: its bytes are not those of its name")
    return len(plain)
