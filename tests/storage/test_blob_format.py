"""The format of chunk blobs, byte for byte, and what happens to damaged ones."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.ambient import chance
from trunkline.errors import DataLoss
from trunkline.storage.chunks import frames
from trunkline.storage.chunks.frames import FRAME, HEADER, decode, frame_ends, layout


def encode(plain: bytes, bounds: Sequence[int] = ()) -> bytes:
    return b"".join(frames.encode(plain, bounds))


def whole(blob: bytes) -> bytes:
    where = layout(blob)
    return decode(where, 0, where.frames, blob[int(where.stored[0]) :])


def test_a_blob_of_raw_frames_is_these_bytes() -> None:
    plain = chance(1).randbytes(40)
    blob = encode(plain, [10, 40])
    assert blob == b"TLC1\x01\x01\x00\x00\x01\x00\x00\x00" + struct.pack("<QII", 40, 40, 40) + plain


def test_a_blob_of_packed_frames_has_these_lengths() -> None:
    blob = encode(b"abc" * 200_000)
    where = layout(blob)
    assert where.plain.tolist() == [0, FRAME, 2 * FRAME, 600_000]
    assert where.stored[0] == HEADER.size + 3 * 8
    assert where.stored[-1] == len(blob)
    assert len(blob) < 1000


GOLDEN_PACKED = (
    "R7^uL0RaF20{{R3z$Xa+00000000C4BLDyZ000C4BLDyZz$XC!7XSbND77#Bpa1{_09*h77-3>#0RZ~{=57d0000PM0Ra5}IS>LUwJ-gk000C4Tm"
    "S$VVq;+e0Q&#tZU{{P00?0L0Q~<s5CSN*Fa4mvCjkIm000<cVPXLQx+mst2m"
)
"""A blob of `abc`, 200,000 times, in base 85."""


def test_a_packed_blob_that_was_written_once_is_read_for_ever() -> None:
    assert whole(base64.b85decode("".join(GOLDEN_PACKED))) == b"abc" * 200_000


def test_frames_end_where_files_end() -> None:
    assert frame_ends(600_000, [100_000, 200_000, 300_000, 600_000]) == [200_000, 300_000, 562_144, 600_000]
    assert frame_ends(10, [10]) == [10]
    assert frame_ends(0) == []


@given(st.lists(st.tuples(st.integers(0, 400_000), st.booleans()), max_size=8), st.integers(0, 5))
def test_what_went_in_comes_out(files: list[tuple[int, bool]], seed: int) -> None:
    random = chance(seed)
    contents = [random.randbytes(size) if noisy else b"z" * size for size, noisy in files]
    bounds = [sum(len(c) for c in contents[: n + 1]) for n in range(len(contents))]
    plain = b"".join(contents)
    blob = encode(plain, bounds)
    assert whole(blob) == plain
    where = layout(blob)
    start = 0
    for content in contents:
        first, last = where.covering(start, start + len(content))
        stored = blob[int(where.stored[first]) : int(where.stored[last])]
        base = int(where.plain[first])
        assert decode(where, first, last, stored)[start - base :][: len(content)] == content
        if 0 < len(content) <= FRAME:
            assert last - first == 1, "a small file lies in one frame"
        start += len(content)


@pytest.mark.parametrize(
    ("blob", "complaint"),
    [
        (b"TLC1", "shorter than a header"),
        (b"XXXX" + encode(b"abc")[4:], "does not start like one"),
        (b"TLC1\x02" + encode(b"abc")[5:], "version 2"),
        (encode(b"a" * 1000)[:25], "within the table"),
        (encode(b"a" * 1000)[:-1], "cut short"),
        (HEADER.pack(b"TLC1", 1, 1, 0, 1, 100) + struct.pack("<II", 101, 5) + b"xxxxx", "not possible"),
        (HEADER.pack(b"TLC1", 1, 1, 0, 1, 300_000) + struct.pack("<II", 300_000, 5) + b"xxxxx", "not possible"),
        (HEADER.pack(b"TLC1", 1, 1, 0, 1, 1 << 40) + struct.pack("<II", 1, 1) + b"x", "no chunk has"),
        (HEADER.pack(b"TLC1", 1, 1, 0, 1, 100) + struct.pack("<II", 100, 5) + b"xxxxx", "cannot be decompressed"),
    ],
)
def test_a_damaged_blob_is_data_loss(blob: bytes, complaint: str) -> None:
    with pytest.raises(DataLoss, match=complaint):
        whole(blob)


def test_a_frame_that_promises_little_and_holds_much_is_refused() -> None:
    frame = encode(bytes(FRAME))[HEADER.size + 8 :]
    bomb = HEADER.pack(b"TLC1", 1, 1, 0, 1, 100) + struct.pack("<II", 100, len(frame)) + frame
    with pytest.raises(DataLoss, match="does not give the 100 bytes"):
        whole(bomb)


def test_bytes_past_the_end_are_data_loss() -> None:
    with pytest.raises(DataLoss, match="bytes 2 to 5 were expected"):
        layout(encode(b"abc")).covering(2, 5)


def test_samples_tell_whether_a_frame_is_worth_compressing() -> None:
    noise = chance(1).randbytes(256 << 10)
    for plain, smaller in ((noise, False), (b"word " * 52_000, True), (noise[: 100 << 10] + bytes(156 << 10), True)):
        blob = frames.encode(plain)
        assert (sum(map(len, blob)) < 0.95 * len(plain)) is smaller
        assert smaller or memoryview(blob[1]).obj is plain  # not copied, let alone compressed


def test_what_was_not_compressed_is_not_copied() -> None:
    plain = chance(3).randbytes(3 * FRAME)
    blob = encode(plain)
    where = layout(blob)
    inner = memoryview(blob)[int(where.stored[1]) : int(where.stored[3])]
    got = decode(where, 1, 3, inner)
    assert got == plain[FRAME:]
    assert np.shares_memory(np.frombuffer(got, np.uint8), np.frombuffer(blob, np.uint8))
    assert decode(where, 1, 1, b"") == b""
