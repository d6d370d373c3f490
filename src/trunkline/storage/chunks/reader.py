"""Content on its way out: only the frames that are needed, checked before anybody sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from typing import NamedTuple

from blake3 import blake3

from trunkline.errors import BlobGone, DataLoss, NotFound
from trunkline.storage.blobs import BlobStore
from trunkline.storage.cached import Cache, CacheFigures
from trunkline.storage.chunks.frames import HEADER, Layout, decode, layout, table_size
from trunkline.storage.ports import ChunkKey

_UNIT = 16 << 20
_WHOLE_BLOB = 1 << 20
_AHEAD = 2


class Piece(NamedTuple):
    """Some bytes of a file: `length` bytes at `offset` of a chunk, or `inline`. digest: BLAKE3 of the plain bytes."""

    digest: bytes
    length: int
    chunk: ChunkKey | None
    offset: int = 0
    inline: bytes | None = None


@dataclass(slots=True)
class _Unit:
    """Consecutive pieces that are fetched together: one chunk's bytes from start to end, or one inline piece."""

    chunk: ChunkKey | None
    start: int
    end: int
    pieces: list[Piece]


class ChunkReader:
    """Reads pieces of chunks. Safe between threads. `on_damage` hears of each chunk found bad, before the error."""

    def __init__(
        self,
        blobs: BlobStore,
        pool: ThreadPoolExecutor,
        cache_bytes: int = 64 << 20,
        on_damage: Callable[[ChunkKey], None] = lambda _: None,
    ) -> None:
        self._blobs, self._pool, self._on_damage = blobs, pool, on_damage
        self._plain: Cache[bytes | memoryview] = Cache(cache_bytes, len)
        self._layouts: Cache[Layout] = Cache(4096, lambda _: 1)
        self._mended = 0

    @property
    def figures(self) -> CacheFigures:
        """The cache of plain bytes."""
        kept = self._plain
        return CacheFigures(kept.used, kept.limit, kept.hits, kept.misses, self._mended)

    def read(self, pieces: Iterable[Piece]) -> Iterator[memoryview]:
        """The content of each piece, in order, each checked against its digest. A piece of no bytes gives none.

        Fetches at most two times 16 MiB ahead. Raises DataLoss naming the chunk when stored bytes are not what they
        were, BlobGone when its blob is absent.
        """
        units = _units(pieces)
        first = next(units, None)
        second = next(units, None)
        if first is None:
            return
        if second is None:
            # One unit, as for most single files: no thread could be ahead of us.
            yield from self._opened(first, *self._load(first))
            return
        waiting: list[tuple[_Unit, Future[tuple[int, bytes | memoryview]] | None]] = []
        try:
            ahead = chain((first, second), units)
            while True:
                for unit in islice(ahead, _AHEAD + 1 - len(waiting)):
                    # What lies inside a file set is here already: a thread would cost more than it does.
                    waiting.append((unit, None if unit.chunk is None else self._pool.submit(self._load, unit)))
                if not waiting:
                    return
                unit, loading = waiting.pop(0)
                yield from self._opened(unit, *(self._load(unit) if loading is None else loading.result()))
        finally:
            for _, loading in waiting:
                if loading is not None:
                    loading.cancel()

    def whole(self, key: ChunkKey) -> bytes:
        """All plain bytes of a chunk, checked. Raises as `read` does."""
        try:
            where = self._layouts.get(key, lambda: self._layout(key))
        except NotFound:
            raise BlobGone(f"{key} is needed, but its blob is gone") from None
        except DataLoss as error:
            raise self._damaged(key, str(error)) from error
        return b"".join(self.read([Piece(key.hash, int(where.plain[-1]), key)]))

    def read_span(self, pieces: Iterable[Piece], offset: int, length: int | None) -> Iterator[memoryview]:
        """The bytes from `offset` on, `length` of them or all, of the pieces joined. Past the end there are none.

        Pieces outside the span are not fetched; those inside are fetched and checked whole.
        """
        left = length
        chosen: list[Piece] = []
        skip: int | None = None
        for piece in pieces:
            if offset >= piece.length and skip is None:
                offset -= piece.length
                continue
            if skip is None:
                skip = offset
                left = None if left is None else left + skip
            if left is not None and left <= 0:
                break
            chosen.append(piece)
            left = None if left is None else left - piece.length
        wanted = length
        for data in self.read(chosen):
            part = data[skip:] if skip else data
            skip = 0
            if wanted is not None:
                part = part[:wanted]
                wanted -= len(part)
            if part:
                yield part

    def _opened(self, unit: _Unit, base: int, plain: bytes | memoryview) -> Iterator[memoryview]:
        view = memoryview(plain)
        for piece in unit.pieces:
            data = _inside(view, base, piece)
            if blake3(data).digest() != piece.digest:
                # Memory may have changed, or the way from the disk; what is stored decides.
                anew, stored = self._load(unit, afresh=True)
                data = _inside(memoryview(stored), anew, piece)
                if blake3(data).digest() != piece.digest:
                    what = f"bytes {piece.offset} to {piece.offset + piece.length} have changed"
                    raise self._damaged(unit.chunk, what)
                self._mended += 1
            yield data

    def _load(self, unit: _Unit, *, afresh: bool = False) -> tuple[int, bytes | memoryview]:
        key = unit.chunk
        if key is None:
            return 0, unit.pieces[0].inline or b""
        try:
            return self._frames(key, unit.start, unit.end, afresh)
        except NotFound:
            raise BlobGone(f"{key} is needed, but its blob is gone") from None
        except DataLoss as error:
            if not afresh and key in self._layouts:
                return self._load(unit, afresh=True)
            raise self._damaged(key, str(error)) from error

    def _damaged(self, key: ChunkKey | None, what: str) -> DataLoss:
        if key is None:
            return DataLoss(f"bytes kept inside a file set are damaged: {what}")
        self._on_damage(key)
        return DataLoss(f"{key} is damaged: {what}")

    def _frames(self, key: ChunkKey, start: int, end: int, afresh: bool) -> tuple[int, bytes | memoryview]:
        """Plain bytes that include start..end, and where in the chunk they begin."""
        if afresh:
            self._layouts.drop(key)
        blob = b""
        if end - start >= _WHOLE_BLOB and key not in self._layouts:
            blob = self._blobs.get(key.blob)
        where = self._layouts.get(key, lambda: layout(blob) if blob else self._layout(key))
        first, last = where.covering(start, end)

        def load() -> bytes | memoryview:
            begin, stop = int(where.stored[first]), int(where.stored[last])
            stored = memoryview(blob)[begin:stop] if blob else self._blobs.get(key.blob, begin, stop - begin)
            plain = decode(where, first, last, stored)
            return plain if 2 * len(plain) > len(blob) else bytes(plain)  # no view that keeps much more than it shows

        if afresh:
            self._plain.drop((key, first, last))
        return int(where.plain[first]), self._plain.get((key, first, last), load)

    def _layout(self, key: ChunkKey) -> Layout:
        header = self._blobs.get(key.blob, 0, HEADER.size)
        return layout(header + self._blobs.get(key.blob, HEADER.size, table_size(header)))


def _inside(plain: memoryview, base: int, piece: Piece) -> memoryview:
    """One piece, of the plain bytes of its unit, which begin at `base` of the chunk."""
    return plain if piece.chunk is None else plain[piece.offset - base : piece.offset - base + piece.length]


def _units(pieces: Iterable[Piece]) -> Iterator[_Unit]:
    """Neighbours in one chunk that follow each other are fetched together."""
    unit: _Unit | None = None
    for piece in pieces:
        end = piece.offset + piece.length
        if (
            unit is not None
            and piece.chunk is not None
            and piece.chunk == unit.chunk
            and unit.end <= piece.offset
            and end - unit.start <= _UNIT
        ):
            unit.end = end
            unit.pieces.append(piece)
            continue
        if unit is not None:
            yield unit
        unit = _Unit(piece.chunk, piece.offset, end, [piece])
    if unit is not None:
        yield unit
