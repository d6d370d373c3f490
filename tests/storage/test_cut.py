"""Where content ends. The numbers below are the format: a change here loses deduplication with everything stored."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from blake3 import blake3
from pyfastcdc import FastCDC

from trunkline.ambient import chance
from trunkline.storage.chunks.cut import MIB, PACK_MAX, PACK_MIN, PIECE_MAX, PIECE_MIN, Cutter, pack_ends
from trunkline.storage.chunks.windows import RING, ROOM


def random_bytes(seed: int, size: int) -> bytes:
    return chance(seed).randbytes(size)


def whole(data: bytes) -> list[bytes]:
    """The pieces of a stream that is at hand."""
    cuts = FastCDC(avg_size=4 * MIB, min_size=MIB, max_size=16 * MIB).cut_buf(data)
    return [data[one.offset : one.offset + one.length] for one in cuts]


@cache
def noise() -> bytes:
    """More than two rings hold."""
    return np.random.Generator(np.random.SFC64(4)).bytes(2 * RING + 12345)


@cache
def cuts_of_noise() -> list[bytes]:
    return whole(noise())


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
    assert pieces == whole(data)
    assert all(PIECE_MIN <= len(piece) <= PIECE_MAX for piece in pieces[:-1])


def test_streams_that_follow_each_other_are_cut_as_if_each_were_alone() -> None:
    streams = [random_bytes(seed, size) for seed, size in ((11, 9 * MIB), (12, 30 * MIB), (13, 100), (14, 21 * MIB))]
    cutter = Cutter()
    for data in streams:
        assert [bytes(piece) for piece in [*cutter.feed(data), *cutter.finish()]] == cut(data, len(data))


def read(data: bytes, cutter: Cutter, take: int = RING) -> Iterator[memoryview]:
    """The pieces of a stream that is read to where it stays, `take` bytes at once, or fewer."""
    at = 0
    while at < len(data):
        room = cutter.room()
        count = min(len(room), take, len(data) - at)
        room[:count] = data[at : at + count]
        at += count
        yield from cutter.filled(count)
    yield from cutter.finish()


@pytest.mark.parametrize("take", [777_777, 3 * MIB, RING])
def test_cuts_do_not_depend_on_where_bytes_lie(take: int) -> None:
    data = noise()
    cutter = Cutter()
    assert [bytes(piece) for piece in read(data, cutter, take)] == cuts_of_noise()
    assert cutter.rings == 1


def test_pieces_lie_where_they_were_read_to() -> None:
    data = random_bytes(4, 40 * MIB)
    cutter, at, moved = Cutter(), 0, 0
    rooms: list[npt.NDArray[np.uint8]] = []
    while at < len(data):
        rooms.append(np.frombuffer(room := cutter.room(), np.uint8))
        count = min(len(room), 3 * MIB, len(data) - at)
        room[:count] = data[at : at + count]
        at += count
        for piece in cutter.filled(count):
            assert piece.readonly
            moved += not any(np.shares_memory(np.frombuffer(piece, np.uint8), one) for one in rooms)
    assert moved == 0


def test_the_next_room_is_filled_while_this_one_is_cut() -> None:
    data = noise()
    cutter, pieces = Cutter(), list[bytes]()
    room = cutter.room()
    at = count = len(room)
    room[:] = data[:at]
    while count == len(room):
        full, room = count, cutter.next_room()
        count = min(len(room), len(data) - at)
        room[:count] = data[at : at + count]  # before it is the turn of the room before
        at += count
        pieces += map(bytes, cutter.filled(full))
    pieces += [*map(bytes, cutter.filled(count)), *map(bytes, cutter.finish())]
    assert pieces == cuts_of_noise()
    assert cutter.rings == 1


def test_what_somebody_looks_into_is_not_written_to() -> None:
    data = noise()
    cutter, pieces = Cutter(), list[memoryview]()
    for piece in read(data, cutter):
        pieces.append(piece)
    assert b"".join(pieces) == data
    assert 3 <= cutter.rings <= 4


def test_rooms_wait_for_pieces_that_will_be_gone() -> None:
    """Whoever holds as much as there is has to let go of some, the oldest first; then one ring is enough."""
    data = noise()
    held, waits, most = deque[memoryview](), 0, 0

    def let_go() -> bool:
        nonlocal waits
        waits += 1
        if held:
            held.popleft()
            return True
        return False

    cutter, pieces = Cutter(let_go), list[bytes]()
    for piece in read(data, cutter):
        pieces.append(bytes(piece))
        held.append(piece)
        most = max(most, sum(map(len, held)))
    assert pieces == cuts_of_noise()
    assert cutter.rings == 1
    assert most > RING // 2
    assert 0 < waits < len(pieces)


def test_pieces_may_go_in_any_order() -> None:
    data, luck = noise(), chance(9)
    held: list[memoryview] = []

    def let_go() -> bool:
        if held:
            held.pop(luck.randrange(len(held)))
            return True
        return False

    cutter, pieces = Cutter(let_go), list[bytes]()
    for piece in read(data, cutter, 5 * MIB):
        pieces.append(bytes(piece))
        held.append(piece)
        if sum(map(len, held)) > 40 * MIB:
            let_go()
    assert pieces == cuts_of_noise()


def test_what_is_read_at_once_is_bounded() -> None:
    cutter = Cutter()
    assert len(cutter.room()) == ROOM


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
