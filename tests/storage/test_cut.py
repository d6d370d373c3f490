"""Where content ends. The numbers below are the format: a change here loses deduplication with everything stored."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from blake3 import blake3
from pyfastcdc import FastCDC

from trunkline.ambient import chance
from trunkline.storage.chunks.cut import MIB, PACK_MAX, PACK_MIN, PIECE_MAX, PIECE_MIN, Cutter, pack_ends
from trunkline.storage.chunks.windows import WINDOW


def random_bytes(seed: int, size: int) -> bytes:
    return chance(seed).randbytes(size)


def cut(data: bytes, step: int) -> list[bytes]:
    cutter = Cutter()
    pieces = [bytes(p) for at in range(0, len(data), step) for p in cutter.feed(data[at : at + step])]
    return pieces + [bytes(p) for p in cutter.finish()]


def digests_of(count: int) -> npt.NDArray[np.void]:
    return np.frombuffer(b"".join(blake3(b"%d" % n).digest() for n in range(count)), dtype="V32")


def test_cut_points_are_these() -> None:
    assert [len(piece) for piece in cut(random_bytes(1, 40 * MIB), 40 * MIB)] == GOLDEN_CUTS


def test_zeros_are_cut_at_the_maximum() -> None:
    assert [len(piece) for piece in cut(bytes(40 * MIB), 40 * MIB)] == [PIECE_MAX, PIECE_MAX, 8 * MIB]


@pytest.mark.parametrize("step", [333_333, 3 * MIB + 1, 17 * MIB, 40 * MIB])
def test_cuts_do_not_depend_on_how_the_stream_came(step: int) -> None:
    data = random_bytes(2, 40 * MIB)
    pieces = cut(data, step)
    assert b"".join(pieces) == data
    whole = [c.length for c in FastCDC(avg_size=4 * MIB, min_size=MIB, max_size=16 * MIB).cut_buf(data)]
    assert [len(piece) for piece in pieces] == whole
    assert all(PIECE_MIN <= len(piece) <= PIECE_MAX for piece in pieces[:-1])


def test_streams_that_follow_each_other_are_cut_as_if_each_were_alone() -> None:
    streams = [random_bytes(seed, size) for seed, size in ((11, 9 * MIB), (12, 30 * MIB), (13, 100), (14, 21 * MIB))]
    cutter = Cutter()
    for data in streams:
        assert [bytes(piece) for piece in [*cutter.feed(data), *cutter.finish()]] == cut(data, len(data))


def test_pieces_lie_where_they_were_read_to() -> None:
    data = random_bytes(4, 40 * MIB)
    cutter, at, rooms, pieces = Cutter(), 0, list[memoryview](), list[memoryview]()
    while at < len(data):
        rooms.append(room := cutter.room())
        count = min(len(room), 3 * MIB, len(data) - at)
        room[:count] = data[at : at + count]
        pieces += cutter.filled(count)
        at += count
    pieces += cutter.finish()
    assert b"".join(pieces) == data
    where = [np.frombuffer(room, np.uint8) for room in rooms]
    moved = [piece for piece in pieces if not np.shares_memory(np.frombuffer(piece, np.uint8), where[0])]
    assert sum(map(len, moved)) <= len(data) - WINDOW + PIECE_MAX
    assert all(piece.readonly for piece in pieces)


def test_memory_is_used_again_when_its_pieces_are_gone() -> None:
    cutter = Cutter()
    for _ in range(6):
        cutter.feed(bytes(PIECE_MAX))
    assert cutter.windows == 2
    held = cutter.feed(b"x" * WINDOW)
    for _ in range(4):
        cutter.feed(bytes(WINDOW))
    assert cutter.windows == 3
    assert set(held[0]) == {ord("x")}, "what somebody looks into is not written to"


def test_a_change_at_the_front_moves_only_the_first_piece() -> None:
    data = random_bytes(3, 30 * MIB)
    before, after = set(cut(data, MIB)), set(cut(b"x" + data, MIB))
    assert len(before - after) == 1


def test_an_empty_stream_has_no_pieces() -> None:
    assert cut(b"", 1) == []


def test_pack_ends_are_these() -> None:
    sizes = np.array([3000 + 17 * (n % 100) for n in range(5000)], dtype=np.int64)
    assert pack_ends(digests_of(5000), sizes) == GOLDEN_ENDS


def test_packs_keep_their_bounds() -> None:
    random = chance(5)
    sizes = np.array([int(random.random() ** 6 * MIB) for _ in range(3000)], dtype=np.int64)
    ends = pack_ends(digests_of(3000), sizes)
    packs = np.add.reduceat(sizes, [0, *[end + 1 for end in ends[:-1]]])
    assert ends[-1] == 2999
    assert packs.sum() == sizes.sum()
    assert packs.max() <= PACK_MAX
    assert packs[:-1].min() >= PACK_MIN
    assert 1.5 * MIB < packs.mean() < 3 * MIB


def test_a_pack_ends_where_it_did_when_a_file_before_it_changes() -> None:
    digests, sizes = digests_of(6000).copy(), np.full(6000, 3000, dtype=np.int64)
    before = pack_ends(digests, sizes)
    digests[10] = b"\xff" * 32
    after = pack_ends(digests, sizes)
    assert set(before[-3:]) == set(after[-3:])


def test_a_file_of_the_target_size_always_ends_its_pack() -> None:
    assert pack_ends(np.array([b"\xff" * 32] * 2, dtype="V32"), np.array([MIB, MIB], dtype=np.int64)) == [0, 1]


def test_of_no_pieces_there_are_no_packs() -> None:
    assert pack_ends(digests_of(0), np.array([], dtype=np.int64)) == []


GOLDEN_CUTS = [5658302, 6533528, 6779325, 5620424, 3757772, 3988923, 4065014, 5539752]
GOLDEN_ENDS = [1023, 1362, 1726, 2128, 3494, 3930, 4999]
