"""A stream of edits on its way to sealed file sets, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from trunkline.storage.chunks import SMALL_FILE
from trunkline.storage.filesets.merge import merge_layers
from trunkline.storage.filesets.schema import (
    ADD,
    DIGEST,
    DIR,
    as_batch,
    in_order,
    joined,
    keep,
    ops,
    replace,
    same_as_before,
)
from trunkline.storage.filesets.seal import Sealer
from trunkline.storage.ports import Sealed
from trunkline.storage.reading.view import View
from trunkline.storage.writing.edits import Edits, Key, content_rows, hides_of
from trunkline.storage.writing.intake import Bit, Feed, Intake, ReadInto, file_columns, hash_of_bits, pack_inline
from trunkline.storage.writing.reuse import Known, stored_already

SPILL_BYTES = 64 << 20
SPILL_EDITS = 250_000
_SCANNED = 10_000  # contents a subtree's delete looks through; with more, a new buffer is begun instead
_REMEMBERED = 200_000
TOLD = 20_000
"""Hashes of big files that a writer remembers."""


class Writer:
    """Takes edits in order, and seals them as layers: several if there is much, to be put on a commit in this order.

    Paths of files start with "/"; those of directories end with one. For one thread. After an error the writer is of no
    more use, and what it stored is left for the sweep. Whatever is copied from, the base too, must be held by the
    session. Memory: SPILL_BYTES of small files and what the uploader holds.
    """

    def __init__(self, intake: Intake, sealer: Sealer, base: View | None) -> None:
        self._intake, self._sealer, self._base = intake, sealer, base
        self._sealed: list[Sealed] = []
        self._segments: list[Edits | pa.RecordBatch] = []
        self._edits = Edits()
        self._bytes = 0
        self._seen: dict[bytes, Bit] = {}
        self._open: tuple[Key, Feed] | None = None
        self.big: dict[str, bytes] = {}
        """Once sealed: the hash that each file of more than SMALL_FILE bytes has as it was put, by its path; of TOLD
        files at most. Contents of one datum are not among them, nor says it what was deleted or appended to later."""

    def put(self, path: str, data: bytes | Iterable[bytes | memoryview], datum: str = "", append: bool = False) -> None:
        """Write a file. append: to what is there, below and in this stream; else in its place.

        With a datum, "in its place" means in the place of that datum's own content: if another's is there too, the
        commit will end in an error. Appending twice in a row is one file that came in portions.
        """
        feed = self._feed(path, datum, append)
        for portion in (bytes(data),) if isinstance(data, (bytes, bytearray, memoryview)) else data:
            feed.add(portion)

    def pour(self, path: str, read_into: ReadInto, datum: str = "", append: bool = False) -> None:
        """As `put`, for a big file: its bytes are read to where they stay until they are stored."""
        self._feed(path, datum, append).pour(read_into)

    def _feed(self, path: str, datum: str, append: bool) -> Feed:
        key = (path, datum)
        if not append or self._open is None or self._open[0] != key:
            self._close()
            if not append:
                self._edits.delete(path, datum or None)
            self._open = (key, Feed(self._intake))
        return self._open[1]

    def put_many(
        self, paths: Sequence[str], sizes: Sequence[int], data: bytes, datum: str = "", append: bool = False
    ) -> None:
        """Write many files, sizes[n] bytes of `data` for paths[n], as `put` would one after the other."""
        self._close()
        data, end = bytes(data), 0
        for path, size in zip(paths, sizes, strict=True):
            start, end = end, end + size
            if size > SMALL_FILE or append:
                self.put(path, data[start:end], datum, append)
                self._close()
                continue
            if not size:
                self._edits.replace(path, datum, [])
                continue
            portion = data[start:end]
            digest = blake3(portion).digest()
            bit = self._seen.get(digest)
            if bit is None:
                bit = self._seen[digest] = Bit(digest, size, portion)
                self._bytes += size
            self._edits.replace(path, datum, [bit])
            if self._bytes >= SPILL_BYTES:
                self._spill()
        self._make_room()

    def delete(self, path: str, datum: str | None = None) -> None:
        """Delete a file, or with a "/" at the end a directory and all below it; "/" is everything.

        datum: only that datum's content. What is not there is deleted without complaint.
        """
        self._close()
        if path.endswith("/") and len(self._edits.contents) > _SCANNED:
            self._begin_anew()
        self._edits.delete(path, datum)
        self._make_room()

    def copy(self, source: View, src: str, dst: str, datum: str = "", append: bool = False) -> None:
        """Copy a file or directory by reference: no bytes move. The session must hold the source.

        A directory's files go below `dst`, each in the place of what is there; "/" as `dst` is the top. Copying what is
        not there does nothing.
        """
        bare = src.rstrip("/")
        found = source.find(src)
        if found is None:
            return
        stem = dst.rstrip("/")
        for rows in source.rows(found.path):
            # In a commit with an error several datums may have written one path; the first is what readers get.
            rows = keep(rows, ~same_as_before(rows.column("path")))
            names = rows.column("path")
            if found.is_dir:
                names = pc.binary_join_element_wise(stem, pc.utf8_slice_codeunits(names, len(bare)), "")
            else:
                names = pa.array([dst] * len(names), pa.string())
            self._add_contents(rows, names, datum, append)

    def place(self, rows: pa.RecordBatch, append: bool = False) -> None:
        """Copy files by reference to their own paths: rows of a view, in path order, each in the place of what is there
        or, with `append`, behind it. The session must hold what they are from."""
        rows = keep(rows, ops(rows) == ADD)
        rows = keep(rows, ~same_as_before(rows.column("path")))
        if rows.num_rows:
            self._add_contents(rows, rows.column("path"), "", append)

    def remove(self, paths: pa.Array) -> None:
        """Delete files, whose paths ascend and differ. What is not there is deleted without complaint."""
        if len(paths):
            self.add_rows(hides_of(paths))

    def add_rows(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Add canonical rows of `SCHEMA` as they are, hides too, on top of what was written so far.

        Rows for directories are left out. The session must hold the file sets they are from.
        """
        batch = as_batch(rows)
        batch = in_order(keep(batch, ops(batch) != DIR))
        if batch.num_rows:
            self._begin_anew()
            self._segments.append(batch)
            self._make_room()

    def seal(self) -> list[Sealed]:
        """Make everything durable and known to the session. The layers, oldest first; none if there were no edits."""
        self._close()
        self._spill()
        return self._sealed

    def abort(self) -> None:
        """Give up, and wait for what is running."""
        self._intake.uploader.close()

    # --- inside

    def _add_contents(self, rows: pa.RecordBatch, names: pa.Array, datum: str, append: bool) -> None:
        batch = replace(as_batch(rows), path=names, datum=pa.array([datum] * len(names), pa.string()))
        batch = replace(batch, since=pc.multiply(batch.column("since"), 0))
        self.add_rows(batch if append else in_order(joined([hides_of(pc.unique(batch.column("path"))), batch])))

    def _close(self) -> None:
        """The file that was open is whole."""
        if self._open is None:
            return
        (path, datum), feed = self._open
        self._open = None
        bits = [self._remembered(bit) for bit in feed.close()]
        self._edits.content(path, datum).extend(bits)
        self._make_room()

    def _remembered(self, bit: Bit) -> Bit:
        """The same bytes came before in this stream: then the same bit, which gets one place."""
        if bit.ticket is not None:
            return bit
        known = self._seen.setdefault(bit.digest, bit)
        if known is bit:
            self._bytes += bit.length
        return known

    def _make_room(self) -> None:
        if self._bytes >= SPILL_BYTES or len(self._edits) >= SPILL_EDITS or self._rows_waiting() >= SPILL_EDITS:
            self._spill()

    def _rows_waiting(self) -> int:
        return sum(one.num_rows for one in self._segments if isinstance(one, pa.RecordBatch))

    def _begin_anew(self) -> None:
        self._close()
        if len(self._edits):
            self._segments.append(self._edits)
            self._edits = Edits()

    def _spill(self) -> None:
        """Seal what waits as one layer."""
        self._begin_anew()
        segments, self._segments = self._segments, []
        if not segments:
            return
        self._intake.uploader.flush()
        known = self._intake.uploader.known
        plans = [_Plan(one, self._base, known) if isinstance(one, Edits) else one for one in segments]
        new = [plan for plan in plans if isinstance(plan, _Plan)]
        fresh = sorted(chain.from_iterable(plan.fresh() for plan in new), key=lambda one: one[0])
        self._intake.place([bit for _, bits in fresh for bit in bits], inline=not self._sealed)
        rows = merge_layers([plan.rows() if isinstance(plan, _Plan) else plan for plan in plans])
        rows, _ = pack_inline(rows, self._intake)
        self._sealed.append(self._sealer.seal([rows]))
        for plan in new:
            self.big.update(islice(plan.big(), max(0, TOLD - len(self.big))))
        self._bytes = 0
        self._seen = {digest: bit for digest, bit in self._seen.items() if bit.ticket is not None}
        if len(self._seen) > _REMEMBERED:
            self._seen = {}


class _Plan:
    """One buffer of edits: which of its files the base has already, and which need a place."""

    def __init__(self, edits: Edits, base: View | None, known: Known) -> None:
        self._edits = edits
        keys = self._keys = sorted(edits.contents)
        for bits in edits.contents.values():
            for bit in bits:
                if bit.ticket is not None:
                    bit.digest = bit.digest or bit.ticket.hash
        files = [edits.contents[key] for key in keys]
        paths = pa.array([path for path, _ in keys], pa.string())
        self._sizes = pa.array([sum([bit.length for bit in bits]) for bits in files], pa.int64())
        self._hashes = pa.array([hash_of_bits(bits) for bits in files], DIGEST)
        found, self._pieces = stored_already(base, known, paths, self._sizes, self._hashes)
        self._found = pa.array(found)
        self._old = [key for key, there in zip(keys, found.tolist(), strict=True) if there]
        self._new = [key for key, there in zip(keys, found.tolist(), strict=True) if not there]

    def fresh(self) -> list[tuple[Key, list[Bit]]]:
        """Files that need places for their bits."""
        return [(key, self._edits.contents[key]) for key in self._new]

    def big(self) -> Iterator[tuple[str, bytes]]:
        """Path and hash of each big file that is nobody's."""
        for at in np.flatnonzero(self._sizes.to_numpy() > SMALL_FILE).tolist():
            path, datum = self._keys[at]
            if not datum:
                yield path, self._hashes[at].as_py()

    def rows(self) -> pa.RecordBatch:
        """All as canonical rows, when every bit has a place."""
        old = content_rows(self._old, self._sizes.filter(self._found), self._hashes.filter(self._found), self._pieces)
        new = content_rows(self._new, *file_columns([self._edits.contents[key] for key in self._new]))
        return in_order(joined([self._edits.hide_rows(), old, new]))
