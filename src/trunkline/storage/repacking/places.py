"""Where the pieces of rows lie, as columns of keys; and rows whose pieces lie elsewhere now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.storage.chunks import ChunkReader, Piece, Ticket, Uploader
from trunkline.storage.filesets.schema import DIGEST, PIECE, PIECES, Ints, fixed_bytes, replace, truths
from trunkline.storage.ports import ChunkKey

KEY = 56
"""Bytes of a place: hash and generation of the chunk, offset and length; numbers are big-endian."""
ENTRY = 40
"""Those of them that name the chunk."""

PACK_BYTES = 4 << 20
"""A pack made of others' live pieces ends with the piece that brings it to this size."""

Keys = npt.NDArray[np.bytes_]


def places_of(rows: pa.RecordBatch) -> Keys:
    """The place of every stored piece of these rows, ascending, each once."""
    values = rows.column("pieces").flatten()
    return np.unique(_keys(values, _stored(values)))


def chunks_of(places: Keys) -> Keys:
    """The entries of a chunk list for places, one for each."""
    return np.ascontiguousarray(_bytes(places, KEY)[:, :ENTRY]).view(f"S{ENTRY}").reshape(-1)


def lengths_of(places: Keys) -> Ints:
    """Plain bytes at each place."""
    return _number(_bytes(places, KEY), 48)


def among(entries: Keys, named: Keys) -> npt.NDArray[np.bool_]:
    """Which of some entries are in a sorted column of the same kind."""
    if not len(named):
        return np.zeros(len(entries), dtype=np.bool_)
    at = np.minimum(np.searchsorted(named, entries), len(named) - 1)
    found: npt.NDArray[np.bool_] = named[at] == entries
    return found


def pieces_in(rows: pa.RecordBatch, packs: Keys) -> dict[bytes, bytes]:
    """The digest of each piece of these rows that lies in one of some chunks, by its place."""
    column = rows.column("pieces")
    values = column.flatten()
    at = _stored(values)
    keys = _keys(values, at)
    chosen = among(chunks_of(keys), packs)
    if not chosen.any():
        return {}
    at, keys = at[chosen], keys[chosen]
    owners = np.repeat(np.arange(rows.num_rows), column.value_lengths().to_numpy())[at]
    # A piece that is a whole file has no digest of its own.
    own = values.field("digest").take(pa.array(at))
    digests = pc.coalesce(own, rows.column("hash").take(pa.array(owners)))
    whole = _bytes(keys, KEY)
    return {key.tobytes(): digest for key, digest in zip(whole, digests.to_pylist(), strict=True)}


@dataclass(frozen=True, slots=True)
class Moves:
    """Where pieces lie now. old: their places, ascending. chunk, gen, offset: for each of them."""

    old: Keys
    chunk: pa.Array
    gen: Ints
    offset: Ints

    def applied(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows, pointing to the new places. What they say of content stays as it is."""
        column = rows.column("pieces")
        values = column.flatten()
        at = _stored(values)
        keys = _keys(values, at)
        mine = among(keys, self.old)
        if not mine.any():
            return rows
        at = at[mine]
        which = np.searchsorted(self.old, keys[mine])
        moved = np.zeros(len(values), dtype=np.bool_)
        moved[at] = True
        gens, offsets = (values.field(name).to_numpy().copy() for name in ("gen", "offset"))
        gens[at], offsets[at] = self.gen[which], self.offset[which]
        columns = {
            "chunk": pc.replace_with_mask(values.field("chunk"), pa.array(moved), self.chunk.take(pa.array(which))),
            "gen": pa.array(gens),
            "offset": pa.array(offsets),
        }
        arrays = [columns.get(field.name, values.field(field.name)) for field in PIECE]
        counts = np.concatenate(([0], np.cumsum(column.value_lengths().to_numpy()))).astype(np.int32)
        pieces = pa.StructArray.from_arrays(arrays, fields=list(PIECE))
        return replace(rows, pieces=pa.ListArray.from_arrays(pa.array(counts), pieces, type=PIECES))


def move(found: dict[bytes, bytes], reader: ChunkReader, uploader: Uploader) -> Moves:
    """Store these pieces (digests by place) anew, in packs of their own, and say where they lie then.

    Every byte is checked on the way. Raises DataLoss for a chunk that is damaged; then nothing has moved.
    """
    places = sorted(found)
    tickets: list[tuple[Ticket, int]] = []
    for pack in _packs(reader.read(_piece(place, found[place]) for place in places)):
        ends = np.cumsum([len(one) for one in pack]).tolist()
        ticket = uploader.add(b"".join(pack), ends)
        tickets += [(ticket, end - len(one)) for one, end in zip(pack, ends, strict=True)]
    uploader.flush()
    return Moves(
        np.frombuffer(b"".join(places), dtype=f"S{KEY}"),
        pa.array([ticket.hash for ticket, _ in tickets], DIGEST),
        np.array([ticket.gen for ticket, _ in tickets], dtype=np.int64),
        np.array([offset for _, offset in tickets], dtype=np.int64),
    )


def _piece(place: bytes, digest: bytes) -> Piece:
    gen, offset, length = (int.from_bytes(place[at : at + 8], "big") for at in (32, 40, 48))
    return Piece(digest, length, ChunkKey(place[:32], gen), offset)


def _packs(pieces: Iterable[memoryview]) -> Iterator[list[memoryview]]:
    waiting: list[memoryview] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= PACK_BYTES:
            yield waiting
            waiting, size = [], 0
    if waiting:
        yield waiting


def _stored(values: pa.StructArray) -> Ints:
    inside = truths(pc.is_valid(values.field("chunk"))) & (values.field("length").to_numpy() > 0)
    return np.flatnonzero(inside)


def _keys(values: pa.StructArray, at: Ints) -> Keys:
    keys = np.empty((len(at), KEY), dtype=np.uint8)
    some = pa.array(at)
    hashes = values.field("chunk").take(some)
    keys[:, :32] = np.frombuffer(fixed_bytes(hashes), dtype=np.uint8).reshape(-1, 32) if len(at) else 0
    for start, name in ((32, "gen"), (40, "offset"), (48, "length")):
        numbers = values.field(name).take(some).to_numpy().astype(">u8")
        keys[:, start : start + 8] = numbers.view(np.uint8).reshape(-1, 8)
    return keys.view(f"S{KEY}").reshape(-1)


def _bytes(keys: Keys, width: int) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(keys).view(np.uint8).reshape(-1, width)


def _number(keys: npt.NDArray[np.uint8], start: int) -> Ints:
    return np.ascontiguousarray(keys[:, start : start + 8]).view(">u8").reshape(-1).astype(np.int64)
