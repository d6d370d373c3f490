"""What is named: the union of the chunk lists of all held file sets, as one sorted column of 40-byte entries."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from trunkline.catalog.collection import cycle as cycle_rows
from trunkline.catalog.collection.chunks import Key
from trunkline.catalog.engine.tx import AnyRow
from trunkline.errors import Aborted, DataLoss
from trunkline.pfs.files import Files
from trunkline.storage import Sealed

ENTRY = 40
PAGE = 200
_WAITING_BYTES = 8 << 20

Entries = npt.NDArray[np.bytes_]


def entries_of(keys: Sequence[Key]) -> Entries:
    """Incarnations as the entries of a chunk list, in their order."""
    return _column([digest + gen.to_bytes(8, "big") for digest, gen in keys])


def _column(parts: Sequence[bytes]) -> Entries:
    # All are of one length, so that numpy's reading of zeros at the end as padding changes no comparison.
    return np.frombuffer(b"".join(parts), dtype=f"S{ENTRY}")


def among(entries: Entries, named: Entries) -> npt.NDArray[np.bool_]:
    """Which of some entries are in a sorted column."""
    if not len(named):
        return np.zeros(len(entries), dtype=np.bool_)
    places = np.minimum(np.searchsorted(named, entries), len(named) - 1)
    found: npt.NDArray[np.bool_] = named[places] == entries
    return found


class Lists:
    """Reads chunk lists. Each is checked against its digest once by this process: a file set never changes."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._checked: set[str] = set()

    def union(self, held: Sequence[str]) -> Generator[None, None, Entries]:
        """Give the union of the lists of these file sets; yields after each page of them.

        Raises DataLoss naming the file set whose list is missing or damaged: then nothing may be freed.
        """
        found = _column([])
        waiting: list[bytes] = []
        for start in range(0, len(held), PAGE):
            waiting += self._lists(held[start : start + PAGE])
            if sum(map(len, waiting)) > _WAITING_BYTES:
                found, waiting = np.union1d(found, _column(waiting)), []
            yield
        self._checked &= set(held)
        return np.union1d(found, _column(waiting))

    def naming(self, held: Sequence[str], entries: Entries) -> Generator[None, None, list[str]]:
        """Which of these file sets name one of some chunks (ascending); yields after each page of them.

        What is not held any more names nothing. Raises DataLoss for a list that is missing or damaged.
        """
        found: list[str] = []
        for start in range(0, len(held), PAGE):
            page = held[start : start + PAGE]
            for row in self._files.catalog.read(partial(cycle_rows.chunk_lists, ids=page)):
                listed = row.chunks
                if listed is None:
                    listed = self._files.store.chunk_list(Sealed.from_bytes(row.body))
                if among(entries, _column([listed])).any():
                    found.append(row.id)
            yield
        return found

    def _lists(self, ids: Sequence[str]) -> Iterator[bytes]:
        known = [one for one in ids if one in self._checked]
        rows = self._files.catalog.read(partial(cycle_rows.chunk_lists, ids=known, bodies=False))
        yield from (row.chunks for row in rows if row.chunks is not None)
        fresh = [one for one in ids if one not in self._checked] + [row.id for row in rows if row.chunks is None]
        fresh_rows = self._files.catalog.read(partial(cycle_rows.chunk_lists, ids=fresh))
        # Only the collector deletes file sets: if one is not there, another collector is at work.
        if len(fresh_rows) + len(rows) < len(ids):
            raise Aborted("a held file set was deleted while its chunk list was to be read; the next cycle starts over")
        for row in fresh_rows:
            yield self._checked_list(row)

    def _checked_list(self, row: AnyRow) -> bytes:
        sealed = Sealed.from_bytes(row.body)
        listed = self._files.store.chunk_list(sealed)
        if row.chunks is not None and row.chunks != listed:
            raise DataLoss(f"file set {row.id} is damaged: its chunk list is not the one that was sealed")
        if row.chunks is not None:
            self._checked.add(row.id)
        return listed
