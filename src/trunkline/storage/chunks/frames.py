"""The format of a chunk's blob: docs/formats/blob.md.

Header, table of frames, frames. Each frame is compressed alone and holds at most 256 KiB of plain bytes, so that a
small file is read out of a pack by reading one frame.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trunkline.errors import DataLoss

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAGIC = b"TLC1"
VERSION = 1
CODEC_ZSTD = 1
NO_KEY = 0
FRAME = 256 << 10
CHUNK_MAX = 16 << 20

HEADER = struct.Struct("<4sBBHIQ")  # magic, version, codec, key id, frames, plain length
_LEVEL = 1
_WORTH_IT = 0.95
_SAMPLE, _SAMPLES, _SAMPLED = 4 << 10, 4, 128 << 10  # bytes, how many of them, and in frames from which size on


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the frames of one chunk lie. `plain` and `stored` have one entry more than there are frames.

    Frame n holds the plain bytes from plain[n] to plain[n+1], in the blob's bytes from stored[n] to stored[n+1].
    """

    plain: npt.NDArray[np.int64]
    stored: npt.NDArray[np.int64]

    @property
    def frames(self) -> int:
        """How many there are."""
        return len(self.plain) - 1

    def covering(self, start: int, end: int) -> tuple[int, int]:
        """First frame, and one past the last, that hold the plain bytes from `start` to `end`.

        Raises DataLoss when the chunk does not have these bytes.
        """
        if not 0 <= start <= end <= self.plain[-1]:
            raise DataLoss(f"it holds {self.plain[-1]} bytes, but bytes {start} to {end} were expected in it")
        first = int(np.searchsorted(self.plain, start, side="right")) - 1
        last = int(np.searchsorted(self.plain, end, side="left"))
        return min(first, self.frames), max(last, min(first, self.frames))


def encode(plain: bytes | memoryview, bounds: Sequence[int] = ()) -> list[bytes | memoryview]:
    """The blob of a chunk, in parts that follow each other; those that did not get smaller are views of `plain`.

    bounds: where the files inside end, ascending; none for a piece of one big file.
    """
    view = memoryview(plain)
    ends = frame_ends(len(view), bounds)
    frames: list[bytes | memoryview] = []
    table: list[int] = []
    compressor = zstd.ZstdCompressor(level=_LEVEL)
    start = 0
    for end in ends:
        raw = view[start:end]
        frame: bytes | memoryview = raw
        if _promising(raw, compressor):
            packed = compressor.compress(raw, mode=zstd.ZstdCompressor.FLUSH_FRAME)
            frame = packed if len(packed) < _WORTH_IT * len(raw) else raw
        frames.append(frame)
        table += (len(raw), len(frame))
        start = end
    header = HEADER.pack(MAGIC, VERSION, CODEC_ZSTD, NO_KEY, len(ends), len(view))
    return [header + struct.pack(f"<{len(table)}I", *table), *frames]


def _promising(raw: memoryview, compressor: zstd.ZstdCompressor) -> bool:
    """Whether compressing may be worth it: samples tell for a twentieth of the time. Short frames are always tried."""
    if len(raw) < _SAMPLED:
        return True
    starts = range(0, len(raw) - _SAMPLE + 1, (len(raw) - _SAMPLE) // (_SAMPLES - 1))
    sample = b"".join([raw[start : start + _SAMPLE] for start in starts])
    return len(compressor.compress(sample, mode=zstd.ZstdCompressor.FLUSH_FRAME)) < _WORTH_IT * len(sample)


def frame_ends(size: int, bounds: Sequence[int] = ()) -> list[int]:
    """Where frames end: at the last file's end within 256 KiB, or after 256 KiB when no file ends there."""
    marks = np.asarray(bounds, dtype=np.int64)
    ends: list[int] = []
    start = 0
    while start < size:
        last = int(np.searchsorted(marks, start + FRAME, side="right")) - 1
        fits = int(marks[last]) if last >= 0 else 0
        start = fits if fits > start else min(start + FRAME, size)
        ends.append(start)
    return ends


def table_size(header: bytes) -> int:
    """Bytes of the table of frames that follows this header. Raises DataLoss when it is no header of ours."""
    if len(header) < HEADER.size:
        raise DataLoss("its blob is shorter than a header")
    magic, version, codec, key, frames, plain = HEADER.unpack_from(header)
    if magic != MAGIC:
        raise DataLoss("its blob does not start like one")
    if (version, codec, key) != (VERSION, CODEC_ZSTD, NO_KEY):
        raise DataLoss(f"its blob is of version {version}, codec {codec}, key {key}, which this Trunkline cannot read")
    if plain > CHUNK_MAX or frames > plain:
        raise DataLoss(f"its blob says {frames} frames and {plain} bytes, which no chunk has")
    return int(frames) * 8


def layout(start_of_blob: bytes | memoryview) -> Layout:
    """What header and table say. Takes at least these two. Raises DataLoss when they contradict each other."""
    size = table_size(bytes(start_of_blob[: HEADER.size]))
    table_bytes = bytes(start_of_blob[HEADER.size : HEADER.size + size])
    if len(table_bytes) < size:
        raise DataLoss("its blob ends within the table of frames")
    table = np.frombuffer(table_bytes, dtype="<u4").astype(np.int64).reshape(-1, 2)
    plain = np.concatenate(([0], np.cumsum(table[:, 0])))
    stored = np.concatenate(([0], np.cumsum(table[:, 1]))) + HEADER.size + size
    if plain[-1] != HEADER.unpack_from(start_of_blob)[5] or (len(table) and table[:, 0].max() > FRAME):
        raise DataLoss("the lengths in its table of frames are not possible")
    return Layout(plain, stored)


def decode(where: Layout, first: int, last: int, stored: bytes | memoryview) -> bytes | memoryview:
    """The plain bytes of frames `first` to before `last`, from the blob's bytes stored[first] to stored[last].

    Where none of them was compressed, that is a view of `stored`. Never makes more bytes than the table promises.
    Raises DataLoss when a frame does not give just these.
    """
    view = memoryview(stored)
    base = int(where.stored[first])
    if len(view) != int(where.stored[last]) - base:
        raise DataLoss("its blob is cut short")
    if int(where.plain[last] - where.plain[first]) == len(view) and _none_compressed(where, first, last):
        return view
    plain: list[bytes | memoryview] = []
    for number in range(first, last):
        begin, end = int(where.stored[number]) - base, int(where.stored[number + 1]) - base
        length = int(where.plain[number + 1] - where.plain[number])
        frame = view[begin:end]
        plain.append(frame if len(frame) == length else _decompress(frame, length, number))
    return b"".join(plain)


def _none_compressed(where: Layout, first: int, last: int) -> bool:
    """Whether all of these frames are stored as they are; then their two lengths are equal (docs/formats/blob.md)."""
    return bool((np.diff(where.plain[first : last + 1]) == np.diff(where.stored[first : last + 1])).all())


def _decompress(frame: memoryview, length: int, number: int) -> bytes:
    decompressor = zstd.ZstdDecompressor()
    try:
        plain = decompressor.decompress(frame, max_length=length)
        # All bytes may be out before the end mark is read.
        if len(plain) == length and not decompressor.eof:
            plain += decompressor.decompress(b"", max_length=1)
    except (zstd.ZstdError, EOFError) as error:
        raise DataLoss(f"frame {number} cannot be decompressed: {error}") from None
    if len(plain) != length or not decompressor.eof or decompressor.unused_data:
        raise DataLoss(f"frame {number} does not give the {length} bytes it should")
    return plain
