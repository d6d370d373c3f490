"""Uploading and reading chunks: nothing twice, nothing unchecked, only what is needed."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
from blake3 import blake3

from trunkline.ambient import chance
from trunkline.errors import BlobGone, DataLoss
from trunkline.storage.blobs import InjectedCrash, MemoryBlobs
from trunkline.storage.blobs.port import Data
from trunkline.storage.chunks import ChunkReader, Piece, Pools, Uploader, upload
from trunkline.storage.ports import ChunkKey, NewChunk
from trunkline.testing.sessions import MemoryChunks

MIB = 1 << 20


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def pools() -> Iterator[Pools]:
    pools = Pools(2)
    yield pools
    pools.shutdown()


@pytest.fixture
def rows() -> MemoryChunks:
    return MemoryChunks(MemoryBlobs())


def uploader(rows: MemoryChunks, pools: Pools) -> Uploader:
    return Uploader(rows.blobs, rows.open(), pools, limit_bytes=4 * MIB)


def piece_of(key: ChunkKey, plain: bytes, offset: int, length: int) -> Piece:
    return Piece(blake3(plain[offset : offset + length]).digest(), length, key, offset)


def test_equal_content_is_put_once_and_recorded_after_its_blob(rows: MemoryChunks, pools: Pools) -> None:
    first = uploader(rows, pools)
    a, b, c = first.add(b"a" * MIB), first.add(b"b" * MIB), first.add(b"a" * MIB)
    first.flush()
    assert a.key == c.key != b.key
    assert sorted(rows.blobs.names()) == sorted([a.key.blob, b.key.blob])
    with rows.blobs.recording() as calls:
        again = uploader(rows, pools)
        d = again.add(b"a" * MIB)
        again.flush()
    assert d.key == a.key
    assert not [call for call in calls if call.verb == "put"]


def test_a_row_that_got_there_first_wins(rows: MemoryChunks, pools: Pools) -> None:
    mine = uploader(rows, pools)
    ticket = mine.add(b"x" * 100)
    rival = blake3(b"x" * 100).digest()
    real = rows.open().known
    mine._session.known = lambda hashes: real([])  # type: ignore[method-assign]
    rows.live[rival] = NewChunk(rival, 99, 100, 50)
    mine.flush()
    assert ticket.key == ChunkKey(rival, 99)


def test_memory_is_bounded_by_waiting_for_puts(rows: MemoryChunks, pools: Pools) -> None:
    loader = uploader(rows, pools)
    for number in range(40):
        loader.add(chance(number).randbytes(MIB))
        assert loader._held <= 5 * MIB
    loader.flush()
    assert len(rows.live) == 40
    assert loader._held == 0


def asked_of(loader: Uploader) -> list[int]:
    """How many chunks it asks for at once, each time from now on."""
    asked: list[int] = []
    real = loader._session.known

    def known(hashes: Sequence[bytes]) -> dict[bytes, int]:
        asked.append(len(hashes))
        return dict(real(hashes))

    loader._session.known = known  # type: ignore[method-assign]
    return asked


def test_many_chunks_are_asked_for_at_once_also_when_memory_is_full(rows: MemoryChunks, pools: Pools) -> None:
    loader = Uploader(rows.blobs, rows.open(), pools, limit_bytes=16 * MIB)
    asked = asked_of(loader)
    for number in range(64):
        loader.add(chance(number).randbytes(MIB))
    loader.flush()
    assert asked == [8] * 8


def test_large_chunks_are_asked_for_before_they_fill_the_memory(rows: MemoryChunks, pools: Pools) -> None:
    """Else nothing would be put while all that may be held is hashed."""
    loader = Uploader(rows.blobs, rows.open(), pools, limit_bytes=16 * MIB)
    asked = asked_of(loader)
    for number in range(8):
        loader.add(chance(number).randbytes(4 * MIB))
    loader.flush()
    assert asked == [2] * 4


def test_what_is_said_to_be_stored_is_held_by_nobody(rows: MemoryChunks, pools: Pools) -> None:
    """Its memory is written to again at once."""
    loader = Uploader(rows.blobs, rows.open(), pools, limit_bytes=64 * MIB)
    there: list[weakref.ref[object]] = []
    for number in range(12):
        plain = np.frombuffer(chance(number).randbytes(MIB), dtype=np.uint8)
        there.append(weakref.ref(plain))
        loader.add(plain.data)
        del plain
    for count in range(1, 13):
        assert loader.wait_for_one()
        assert [one() is None for one in there[:count]] == [True] * count
    assert not loader.wait_for_one()
    loader.flush()


def test_a_hash_does_not_stand_in_line_behind_what_is_put(
    rows: MemoryChunks, pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who cuts the next pieces goes on while the disk is busy with those before."""
    asked, late, real = Event(), list[str](), rows.blobs.put

    def put(name: str, data: Data, *, passing: bool = False) -> bool:
        if not asked.wait(60):
            late.append(name)
        return real(name, data, passing=passing)

    monkeypatch.setattr(rows.blobs, "put", put)
    loader = Uploader(rows.blobs, rows.open(), pools, limit_bytes=64 * MIB)
    for number in range(16):
        loader.add(chance(number).randbytes(MIB))
    asked.set()
    loader.flush()
    assert late == []
    assert len(rows.live) == 16


def test_a_chunk_that_is_larger_than_the_memory_for_all_is_taken(rows: MemoryChunks, pools: Pools) -> None:
    loader = uploader(rows, pools)
    tickets = [loader.add(chance(number).randbytes(5 * MIB)) for number in range(3)]
    assert loader._held <= 5 * MIB
    loader.flush()
    assert [rows.live[ticket.hash].size_bytes for ticket in tickets] == [5 * MIB] * 3


def test_what_one_session_stores_beyond_a_bound_need_not_stay_in_memory(
    rows: MemoryChunks, pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "CACHED_BYTES", 3 * MIB)
    told: list[bool] = []
    real = rows.blobs.put

    def put(name: str, data: Data, *, passing: bool = False) -> bool:
        told.append(passing)
        return real(name, data, passing=passing)

    monkeypatch.setattr(rows.blobs, "put", put)
    loader = uploader(rows, pools)
    for number in (1, 2, 1, 1, 1, 3, 4, 5):  # what is there already counts for nothing
        loader.add(chance(number).randbytes(MIB))
        loader.flush()
    assert told == [False, False, False, True, True]


def test_a_crash_of_the_store_reaches_whoever_writes(rows: MemoryChunks, pools: Pools) -> None:
    assert isinstance(rows.blobs, MemoryBlobs)
    rows.blobs.crash_at(2)
    loader = uploader(rows, pools)
    loader.add(b"1")
    loader.add(b"2")
    with pytest.raises(InjectedCrash):
        loader.flush()
    loader.close()
    assert not rows.live


def store(rows: MemoryChunks, pools: Pools, plain: bytes, bounds: list[int]) -> ChunkKey:
    loader = uploader(rows, pools)
    ticket = loader.add(plain, bounds)
    loader.flush()
    return ticket.key


def test_one_small_file_costs_one_frame(rows: MemoryChunks, pools: Pools, pool: ThreadPoolExecutor) -> None:
    plain = chance(1).randbytes(8 * MIB)
    key = store(rows, pools, plain, list(range(65536, 8 * MIB + 1, 65536)))
    reader = ChunkReader(rows.blobs, pool)
    with rows.blobs.recording() as calls:
        got = list(reader.read([piece_of(key, plain, 65536 * 9, 65536)]))
    assert got == [plain[65536 * 9 : 65536 * 10]]
    assert sum(call.bytes_moved for call in calls) < 300_000
    with rows.blobs.recording() as calls:
        list(reader.read([piece_of(key, plain, 65536 * 10, 65536)]))
    assert calls == [], "its neighbour is in the cache"


def test_neighbours_are_fetched_together_and_in_order(
    rows: MemoryChunks, pools: Pools, pool: ThreadPoolExecutor
) -> None:
    plains = [chance(n).randbytes(2 * MIB) for n in range(5)]
    keys = [store(rows, pools, plain, list(range(1024, 2 * MIB + 1, 1024))) for plain in plains]
    pieces = [piece_of(k, p, at, 1024) for k, p in zip(keys, plains, strict=True) for at in range(0, 2 * MIB, 1024)]
    inline = Piece(blake3(b"tiny").digest(), 4, None, 0, b"tiny")
    with rows.blobs.recording() as calls:
        got = b"".join(ChunkReader(rows.blobs, pool).read([*pieces, inline]))
    assert got == b"".join(plains) + b"tiny"
    assert [call.verb for call in calls] == ["get"] * 5


def test_what_lies_in_file_sets_needs_no_thread(rows: MemoryChunks) -> None:
    ended = ThreadPoolExecutor(1)
    ended.shutdown()
    texts = [b"tiny", b"small", b"little"]
    pieces = [Piece(blake3(text).digest(), len(text), None, 0, text) for text in texts]
    assert list(ChunkReader(rows.blobs, ended).read(pieces)) == texts


@pytest.mark.parametrize(
    ("offset", "length"), [(0, None), (0, 0), (5, 3), (1023, 2), (1500, 1000), (3000, None), (3071, 9), (3072, 1)]
)
def test_a_span_of_a_file(
    rows: MemoryChunks, pools: Pools, pool: ThreadPoolExecutor, offset: int, length: int | None
) -> None:
    plain = chance(7).randbytes(3072)
    key = store(rows, pools, plain, [1024, 2048, 3072])
    pieces = [piece_of(key, plain, at, 1024) for at in (0, 1024, 2048)]
    expected = plain[offset:] if length is None else plain[offset : offset + length]
    assert b"".join(ChunkReader(rows.blobs, pool).read_span(pieces, offset, length)) == expected


def test_a_changed_byte_is_data_loss_and_is_reported(
    rows: MemoryChunks, pools: Pools, pool: ThreadPoolExecutor
) -> None:
    assert isinstance(rows.blobs, MemoryBlobs)
    plain = chance(8).randbytes(3000)
    key = store(rows, pools, plain, [1000, 2000, 3000])
    rows.blobs.damage(key.blob, -1500)
    damaged: list[ChunkKey] = []
    reader = ChunkReader(rows.blobs, pool, on_damage=damaged.append)
    assert b"".join(reader.read([piece_of(key, plain, 0, 1000)])) == plain[:1000]
    with pytest.raises(DataLoss, match=rf"chunk {key.hash.hex()}.1 is damaged: bytes 1000 to 2000 have changed"):
        list(reader.read([piece_of(key, plain, 1000, 1000)]))
    assert damaged == [key]


def test_a_part_that_is_kept_does_not_keep_the_whole(
    rows: MemoryChunks, pools: Pools, pool: ThreadPoolExecutor
) -> None:
    plain = chance(9).randbytes(8 * MIB)
    key = store(rows, pools, plain, [])
    reader = ChunkReader(rows.blobs, pool)
    (part,) = reader.read([piece_of(key, plain, 0, 2 * MIB)])
    assert part == plain[: 2 * MIB]
    assert memoryview(part.obj).nbytes < 3 * MIB
    assert reader.figures.bytes < 3 * MIB


def test_an_absent_blob_is_told_apart(rows: MemoryChunks, pools: Pools, pool: ThreadPoolExecutor) -> None:
    key = store(rows, pools, b"abc", [3])
    rows.blobs.delete(key.blob)
    with pytest.raises(BlobGone, match=key.hash.hex()):
        list(ChunkReader(rows.blobs, pool).read([piece_of(key, b"abc", 0, 3)]))


def test_an_abandoned_read_stops_fetching(rows: MemoryChunks, pools: Pools, pool: ThreadPoolExecutor) -> None:
    plains = [chance(n).randbytes(2 * MIB) for n in range(12)]
    pieces = [piece_of(store(rows, pools, p, []), p, 0, 2 * MIB) for p in plains]
    with rows.blobs.recording() as calls:
        reading = ChunkReader(rows.blobs, pool).read(pieces)
        next(reading)
        reading.close()  # type: ignore[attr-defined]
        pool.submit(int).result()
    assert len(calls) <= 4


def test_content_that_changed_in_memory_is_fetched_anew(
    rows: MemoryChunks, pools: Pools, pool: ThreadPoolExecutor
) -> None:
    plain = chance(4).randbytes(300_000)
    adding = uploader(rows, pools)
    ticket = adding.add(plain)
    adding.flush()
    damaged: list[ChunkKey] = []
    reader = ChunkReader(rows.blobs, pool, on_damage=damaged.append)
    piece = piece_of(ticket.key, plain, 100, 200_000)

    def read() -> bytes:
        return b"".join(reader.read([piece]))

    assert read() == read() == plain[100:200_100]
    assert (reader.figures.hits, reader.figures.misses, reader.figures.bytes) == (1, 1, 262_144)
    (where,) = reader._plain._kept
    reader._plain._kept[where] = b"x" * 1000 + reader._plain._kept[where][1000:]
    assert read() == plain[100:200_100]
    reader._layouts._kept[ticket.key].plain[1] = 7
    assert read() == plain[100:200_100]
    assert damaged == []
    assert reader.figures.mended == 1
