"""New content on its way into rows: bytes become bits, bits become pieces of chunks, or stay inside the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from trunkline.storage.chunks import SMALL_FILE, ChunkReader, Cutter, Piece, Ticket, Uploader, pack_ends
from trunkline.storage.filesets.schema import DIGEST, EMPTY_HASH, PIECE, PIECES, hash_of_pieces, replace, truths
from trunkline.storage.reading.content import pieces_of

INLINE_PIECE = 4 << 10
INLINE_TOTAL = 64 << 10
MANY_SMALL = 64
"""A file with more pieces under 1 MiB than this has them stored anew when the next is appended."""


ReadInto = Callable[[memoryview], int]
"""Puts the next bytes of something into memory, as many as it likes; says how many, 0 at the end."""


class Bit:
    """A piece of a file on its way. Small ones carry their bytes until they have a place."""

    __slots__ = ("data", "digest", "length", "offset", "ticket")

    def __init__(self, digest: bytes, length: int, data: bytes | None, ticket: Ticket | None = None) -> None:
        self.digest, self.length, self.data, self.ticket, self.offset = digest, length, data, ticket, 0


class Intake:
    """Cuts files into bits and gives the bits places, for one session."""

    def __init__(self, uploader: Uploader) -> None:
        self.uploader = uploader
        self._cutters: list[Cutter] = []

    def small(self, data: bytes) -> Bit:
        """The bit that is a small file, or the end of a big one."""
        return Bit(blake3(data).digest(), len(data), data)

    def big(self, pieces: Iterable[memoryview]) -> list[Bit]:
        """Bits of a big file, as its cutter gave them: chunks of their own, but for what is too short."""
        bits = []
        for piece in pieces:
            if len(piece) < SMALL_FILE:
                bits.append(self.small(bytes(piece)))
            else:
                bits.append(Bit(b"", len(piece), None, self.uploader.add(piece)))
        return bits

    def whole(self, chunks: Iterable[bytes | memoryview]) -> list[Bit]:
        """Bits of one file that is at hand."""
        feed = Feed(self)
        for chunk in chunks:
            feed.add(chunk)
        return feed.close()

    def lend_cutter(self) -> Cutter:
        """One for the stream that begins; `give_back` it afterwards, since it has much memory."""
        return self._cutters.pop() if self._cutters else Cutter(self.uploader.wait_for_one)

    def give_back(self, cutter: Cutter) -> None:
        """Its stream has ended."""
        self._cutters.append(cutter)

    def place(self, bits: Sequence[Bit], *, inline: bool) -> None:
        """Give each of these bits, in path order, a place. All bits are durable and have digests afterwards.

        inline: bits of at most 4 KiB stay in their rows, if they have at most 64 KiB together.
        """
        waiting = list({id(bit): bit for bit in bits if bit.ticket is None and bit.length}.values())
        if inline:
            tiny = [bit for bit in waiting if bit.length <= INLINE_PIECE]
            if sum(bit.length for bit in tiny) <= INLINE_TOTAL:
                waiting = [bit for bit in waiting if bit.length > INLINE_PIECE]
        self._pack(waiting)
        self.uploader.flush()
        for bit in bits:
            if bit.ticket is not None:
                bit.digest = bit.digest or bit.ticket.hash
        for bit in waiting:
            bit.data = None

    def _pack(self, bits: Sequence[Bit]) -> None:
        sizes = np.fromiter((bit.length for bit in bits), np.int64, len(bits))
        digests = np.frombuffer(b"".join([bit.digest for bit in bits]), dtype="V32")
        first = 0
        for last in pack_ends(digests, sizes):
            pack = bits[first : last + 1]
            bounds = np.cumsum(sizes[first : last + 1]).tolist()
            ticket = self.uploader.add(b"".join([bit.data or b"" for bit in pack]), bounds)
            for bit, end in zip(pack, bounds, strict=True):
                bit.ticket, bit.offset = ticket, end - bit.length
            first = last + 1


class Feed:
    """One file while its bytes arrive, in any portions."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._start: list[bytes] = []
        self._size = 0
        self._cutter: Cutter | None = None
        self._bits: list[Bit] = []

    def add(self, data: bytes | memoryview) -> None:
        """More of it. Copied: the memory may be used for something else afterwards."""
        if self._cutter is not None:
            self._bits += self._intake.big(self._cutter.feed(data))
            return
        self._start.append(bytes(data))
        self._size += len(data)
        if self._size > SMALL_FILE:
            self._cutter = self._intake.lend_cutter()
            for one in self._start:
                self._bits += self._intake.big(self._cutter.feed(one))
            self._start = []

    def pour(self, read_into: ReadInto) -> None:
        """All that `read_into` gives until it gives nothing, without a copy of it.

        Of a large file the next bytes are read, by another thread, while those before are cut; never by two at once.
        """
        while self._cutter is None:
            start = bytearray(SMALL_FILE + 1 - self._size)
            count = read_into(memoryview(start))
            if not count:
                return
            self.add(bytes(start[:count]))
        cutter = self._cutter
        room = cutter.room()
        count = _fill(read_into, room)
        if count < len(room):
            self._bits += self._intake.big(cutter.filled(count))
            return
        with ThreadPoolExecutor(1, "pour") as pool:  # which waits, whatever happens: nobody reads on afterwards
            while count == len(room):
                room = cutter.next_room()
                filling = pool.submit(_fill, read_into, room)
                self._bits += self._intake.big(cutter.filled(count))
                count = filling.result()
        self._bits += self._intake.big(cutter.filled(count))

    def close(self) -> list[Bit]:
        """All of it, in bits; none for an empty file."""
        if self._cutter is not None:
            self._bits += self._intake.big(self._cutter.finish())
            self._intake.give_back(self._cutter)
            self._cutter = None
            return self._bits
        return [self._intake.small(b"".join(self._start))] if self._size else []


def _fill(read_into: ReadInto, room: memoryview) -> int:
    """Fill it, or as much of it as there is; how many bytes."""
    filled = 0
    while filled < len(room) and (count := read_into(room[filled:])):
        filled += count
    return filled


def file_columns(files: Sequence[Sequence[Bit]]) -> tuple[pa.Array, pa.Array, pa.ListArray]:
    """Sizes, hashes and pieces of files whose bits have places."""
    counts = [len(bits) for bits in files]
    sizes = pa.array(
        [bits[0].length if len(bits) == 1 else sum(bit.length for bit in bits) for bits in files], pa.int64()
    )
    hashes = pa.array([hash_of_bits(bits) for bits in files], DIGEST)
    flat = [bit for bits in files for bit in bits]
    digests = [None if count == 1 else bit.digest for count, bits in zip(counts, files, strict=True) for bit in bits]
    values = pa.StructArray.from_arrays(
        [
            pa.array(digests, DIGEST),
            pa.array([bit.length for bit in flat], pa.int64()),
            pa.array([bit.ticket.hash if bit.ticket else None for bit in flat], DIGEST),
            pa.array([bit.ticket.gen if bit.ticket else 0 for bit in flat], pa.int64()),
            pa.array([bit.offset for bit in flat], pa.int64()),
            pa.array([None if bit.ticket else bit.data for bit in flat], pa.binary()),
        ],
        fields=list(PIECE),
    )
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    return sizes, hashes, pa.ListArray.from_arrays(pa.array(offsets), values, type=PIECES)


def hash_of_bits(bits: Sequence[Bit]) -> bytes:
    """The hash of the file that these are."""
    if len(bits) == 1:
        return bits[0].digest
    return hash_of_pieces([(bit.digest, bit.length) for bit in bits]) if bits else EMPTY_HASH


def pack_inline(rows: pa.RecordBatch, intake: Intake, allowed: int = INLINE_TOTAL) -> tuple[pa.RecordBatch, int]:
    """The rows, with their inline bytes moved into packs when they are more than `allowed`; and how many are left."""
    pieces = rows.column("pieces")
    values = pieces.flatten()
    inside = truths(pc.is_valid(values.field("inline")))
    total = int(values.field("length").to_numpy()[inside].sum())
    if total <= allowed:
        return rows, total
    at = np.flatnonzero(inside)
    data = values.field("inline").take(pa.array(at)).to_pylist()
    bits = [intake.small(one) for one in data]
    intake.place(bits, inline=False)
    gens, offsets = (values.field(name).to_numpy().copy() for name in ("gen", "offset"))
    gens[at] = [bit.ticket.gen for bit in bits if bit.ticket]
    offsets[at] = [bit.offset for bit in bits]
    hashes = pa.array([bit.ticket.hash for bit in bits if bit.ticket], DIGEST)
    columns = {
        "chunk": pc.replace_with_mask(values.field("chunk"), pa.array(inside), hashes),
        "gen": pa.array(gens),
        "offset": pa.array(offsets),
        "inline": pa.nulls(len(values), pa.binary()),
    }
    arrays = [columns.get(field.name, values.field(field.name)) for field in PIECE]
    moved = pa.StructArray.from_arrays(arrays, fields=list(PIECE))
    lengths = pieces.value_lengths().to_numpy()
    counts = pa.array(np.concatenate(([0], np.cumsum(lengths))).astype(np.int32))
    return replace(rows, pieces=pa.ListArray.from_arrays(counts, moved, type=PIECES)), 0


class Packer:
    """Keeps the inline bytes of one file set, whose rows come in batches, to INLINE_TOTAL."""

    def __init__(self, intake: Intake) -> None:
        self._intake, self._left = intake, INLINE_TOTAL

    def __call__(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The next rows, with inline bytes moved into packs where they would be too many."""
        packed, used = pack_inline(rows, self._intake, self._left)
        self._left -= used
        return packed


def recut_many_small(rows: pa.RecordBatch, intake: Intake, reader: ChunkReader) -> pa.RecordBatch:
    """The rows, where a file of very many small pieces has each stretch of them stored anew as one."""
    lengths = rows.column("pieces").flatten().field("length").to_numpy()
    owner = np.repeat(np.arange(rows.num_rows), rows.column("pieces").value_lengths().to_numpy())
    small = np.bincount(owner[lengths < SMALL_FILE], minlength=rows.num_rows)
    many = np.flatnonzero(small > MANY_SMALL)
    if not len(many):
        return rows
    chosen = rows.take(pa.array(many))
    files = [list(_recut(pieces, intake, reader)) for pieces in pieces_of(chosen)]
    intake.place([bit for bits in files for bit in bits], inline=False)
    _, hashes, pieces = file_columns(files)
    mask = np.zeros(rows.num_rows, dtype=np.bool_)
    mask[many] = True
    place = np.arange(rows.num_rows)
    place[many] = rows.num_rows + np.arange(len(many))
    both = pa.concat_arrays([rows.column("pieces"), pieces])
    return replace(
        rows,
        hash=pc.replace_with_mask(rows.column("hash"), pa.array(mask), hashes),
        pieces=both.take(pa.array(place)),
    )


def _recut(pieces: Sequence[Piece], intake: Intake, reader: ChunkReader) -> Iterator[Bit]:
    for small, stretch in groupby(pieces, key=lambda piece: piece.length < SMALL_FILE):
        if small:  # as are all that have no chunk
            yield from intake.whole(reader.read(stretch))
            continue
        for piece in stretch:
            ticket = Ticket.done(piece.chunk) if piece.chunk else None
            bit = Bit(piece.digest, piece.length, piece.inline, ticket)
            bit.offset = piece.offset
            yield bit
