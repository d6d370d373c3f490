"""Repack: what lives in packs of mostly dead bytes is stored anew, and file sets point to the new places.

First a count: how much of each chunk the held file sets point to. Then, a few packs at a time, their live pieces are
put together in new packs by a write session, every file set that names one of them is written once more, and replaces
the old one in one transaction with whoever is finished and holds it. Content and hashes stay as they are. Then nothing
names the old packs, and a cycle frees them. Killed anywhere, a step has happened or has not; the next count sees what
is left. Who reads the old file sets goes on with them.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from itertools import pairwise

import numpy as np

from trunkline.catalog.collection import exchange as exchange_rows
from trunkline.catalog.collection import filesets as fileset_rows
from trunkline.catalog.collection import packs as pack_rows
from trunkline.catalog.collection.chunks import Key
from trunkline.catalog.purging import remains as remain_rows
from trunkline.errors import Aborted, DataLoss
from trunkline.pfs.collection.cycle import Figures
from trunkline.pfs.collection.marking import Lists, entries_of
from trunkline.pfs.files import Files
from trunkline.pfs.sessions import Session
from trunkline.storage import Sealed
from trunkline.storage.filesets.schema import Ints
from trunkline.storage.repacking.places import Keys, Moves, chunks_of, lengths_of, pieces_in, places_of

log = logging.getLogger(__name__)

SLICE_ROWS = 1_000_000
"""A count looks at so many rows' places at once; where there are more, it looks several times, at a part of the chunks
each time."""
PAGE = 500
BATCH_BYTES = 32 << 20
"""Live bytes that one session stores anew."""
BATCH_PACKS = 256

_START: Key = (b"", -1)


class Repacker:
    """Counts, and repacks, in steps between which the process may be killed."""

    def __init__(self, files: Files, lists: Lists) -> None:
        self._files, self._lists = files, lists

    def run(self, figures: Figures) -> Iterator[None]:
        """Count, then repack all that is worth it, adding to `figures`."""
        yield from self.count()
        after = _START
        while batch := self._batch(after):
            after = batch[-1]
            try:
                yield from self._repack(batch, figures)
            except DataLoss as error:
                log.warning("packs could not be repacked: %s", error)

    def empty(self, keys: Sequence[Key], figures: Figures) -> Iterator[None]:
        """Count, then repack those of some chunks that have any dead byte, however much of them lives."""
        yield from self.count()
        rows = self._files.catalog.read(lambda tx: remain_rows.partly_dead(tx, keys))
        while rows:
            sums = np.cumsum([row.live_bytes for row in rows[:BATCH_PACKS]])
            many = max(1, int(np.searchsorted(sums, BATCH_BYTES, side="right")))
            try:
                yield from self._repack([(row.hash, row.gen) for row in rows[:many]], figures)
            except DataLoss as error:
                log.warning("packs could not be repacked: %s", error)
            rows = rows[many:]

    def count(self) -> Iterator[None]:
        """Note for each chunk how many of its bytes the held file sets point to."""
        held, rows, newest = self._files.catalog.read(pack_rows.held)
        slices = min(256, 1 + rows // SLICE_ROWS)
        bounds = [bytes([256 * at // slices]) if at else b"" for at in range(slices)] + [b""]
        for low, high in pairwise(bounds):
            found = yield from self._places(held, low, high)
            chunks, starts = np.unique(chunks_of(found), return_index=True)
            sums = np.add.reduceat(lengths_of(found), starts) if len(starts) else lengths_of(found)
            yield from self._note(chunks, sums, low, high, newest)

    def _places(self, held: Sequence[str], low: bytes, high: bytes) -> Generator[None, None, Keys]:
        found = np.empty(0, dtype="S56")
        waiting: list[Keys] = []
        for sealed in self._sealed(held):
            for rows in self._files.store.parts(sealed):
                places = places_of(rows)
                first = int(np.searchsorted(places, np.bytes_(low)))
                last = int(np.searchsorted(places, np.bytes_(high))) if high else len(places)
                waiting.append(places[first:last])
            if sum(map(len, waiting)) > SLICE_ROWS:
                found, waiting = np.unique(np.concatenate([found, *waiting])), []
            yield
        return np.unique(np.concatenate([found, *waiting]))

    def _sealed(self, ids: Sequence[str]) -> Iterator[Sealed]:
        for start in range(0, len(ids), PAGE):
            bodies = self._files.catalog.read(
                partial(fileset_rows.get_filesets, ids=ids[start : start + PAGE])
            )  # what is not held any more counts for nothing
            yield from map(Sealed.from_bytes, bodies.values())

    def _note(self, chunks: Keys, sums: Ints, low: bytes, high: bytes, newest: int) -> Iterator[None]:
        after: Key = (low, -1)
        while rows := self._files.catalog.read(partial(pack_rows.list_counted, after=after, end=high, limit=PAGE)):
            keys: list[Key] = [(row.hash, row.gen) for row in rows]
            after = keys[-1]
            at = np.searchsorted(chunks, entries_of(keys))
            live = [
                int(sums[place]) if place < len(chunks) and chunks[place] == entry else 0
                for place, entry in zip(at.tolist(), entries_of(keys), strict=True)
            ]
            changed = [(key, now) for key, row, now in zip(keys, rows, live, strict=True) if row.live_bytes != now]
            if changed:
                self._files.catalog.transact(partial(pack_rows.set_live, counted=changed, through=newest))
            yield

    def _batch(self, after: Key) -> list[Key]:
        rows = self._files.catalog.read(partial(pack_rows.mostly_dead, after=after, limit=BATCH_PACKS))
        sums = np.cumsum([row.live_bytes for row in rows])
        return [(row.hash, row.gen) for row, so_far in zip(rows, sums, strict=True) if so_far <= BATCH_BYTES] or [
            (row.hash, row.gen) for row in rows[:1]
        ]

    def _repack(self, batch: Sequence[Key], figures: Figures) -> Iterator[None]:
        packs = np.sort(entries_of(batch))
        held, _, _ = self._files.catalog.read(pack_rows.held)
        naming = yield from self._lists.naming(held, packs)
        with self._files.session("repack") as session:
            old = [sealed for one in naming for sealed in self._held(session, one)]
            pieces: dict[bytes, bytes] = {}
            for sealed in old:
                for rows in self._files.store.parts(sealed):
                    pieces |= pieces_in(rows, packs)
                yield
            if not pieces:
                return
            moves = self._files.store.repack(session, pieces)
            yield
            before = figures.rewritten
            for sealed in old:
                figures.rewritten += self._exchange(session, sealed, moves)
                yield
        figures.repacked += len(batch) if figures.rewritten > before else 0

    def _held(self, session: Session, fileset: str) -> list[Sealed]:
        try:
            return self._files.held(session, [fileset])
        except Aborted:
            return []  # it was deleted meanwhile

    def _exchange(self, session: Session, sealed: Sealed, moves: Moves) -> bool:
        new = self._files.store.moved(session, sealed, moves)
        return self._files.catalog.transact(lambda tx: exchange_rows.exchange(tx, session.gen, sealed.id, new))
