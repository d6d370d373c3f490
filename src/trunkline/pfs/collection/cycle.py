"""One cycle of collection, in steps between which the process may be killed: docs/formats/collection.md has the rules.

A step is a page of reading or a small transaction. Whoever takes the fence next goes on from the rows alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial

from trunkline.catalog.collection import chunks as chunk_rows
from trunkline.catalog.collection import cycle as cycle_rows
from trunkline.catalog.collection.chunks import Key
from trunkline.catalog.engine import Tx
from trunkline.catalog.engine.tx import AnyRow
from trunkline.pfs.collection.marking import Entries, Lists, among, entries_of
from trunkline.pfs.files import Files
from trunkline.storage import ChunkKey

PAGE = 2000
"""Chunk rows looked at in one step."""
SOME = 500
"""Chunks that change in one transaction."""
DELETES = 500
"""Blobs of a kind that are deleted between two transactions. An object store takes 1,000 in a request."""
FILESETS = 100


@dataclass(slots=True)
class Figures:
    """What a cycle, or several, did. Bytes are those of blobs, as stored.

    condemned: chunks as the last cycle left them. waits: sessions that were open when it had condemned. Of a dry run,
    `doomed` and `filesets` are what nothing holds any more, `leftovers` what belongs to nothing. repacked: packs whose
    live pieces were stored anew; rewritten: file sets that were, for it.
    """

    cycles: int = 0
    revived: int = 0
    newly_condemned: int = 0
    doomed: int = 0
    doomed_bytes: int = 0
    filesets: int = 0
    blobs: int = 0
    leftovers: int = 0
    leftover_bytes: int = 0
    repacked: int = 0
    rewritten: int = 0
    condemned: int = 0
    condemned_bytes: int = 0
    waits: int = 0

    def add(self, other: Figures) -> None:
        """Count what another run did as well. What is condemned now, and waited for, is as the other found it."""
        for each in fields(self):
            now = each.name in ("condemned", "condemned_bytes", "waits")
            if not now or other.cycles:
                mine = 0 if now else getattr(self, each.name)
                setattr(self, each.name, mine + getattr(other, each.name))

    @property
    def moved(self) -> bool:
        """Whether anything was freed or is on its way to it."""
        return bool(self.newly_condemned or self.doomed or self.filesets or self.blobs or self.leftovers)


class Cycle:
    """Cycles of one collector, which has taken the fence."""

    def __init__(self, files: Files, lists: Lists) -> None:
        self._files = files
        self._lists = lists
        self._fence = files.catalog.transact(cycle_rows.take)

    def run(self, figures: Figures) -> Iterator[None]:
        """One cycle, adding to `figures`. Raises Aborted when another collector took over, DataLoss for a chunk list
        that is missing or damaged (then nothing was freed)."""
        catalog = self._files.catalog
        number = catalog.transact(lambda tx: cycle_rows.begin(tx, self._fence))
        marked = catalog.read(cycle_rows.mark)
        figures.cycles += 1
        figures.condemned = figures.condemned_bytes = 0
        named = yield from self._lists.union(marked.held)
        after: Key | None = None
        while rows := catalog.read(partial(cycle_rows.list_chunks, after=after, limit=PAGE)):
            page = _Page(rows, named, marked.clear_through)
            after = page.keys[-1]
            yield from self._change(page, number, marked.clear_through, figures)
        yield
        figures.waits = len(catalog.transact(lambda tx: cycle_rows.note_waits(tx, self._fence, number)))
        yield
        while gone := catalog.transact(lambda tx: cycle_rows.delete_unheld(tx, self._fence, number, FILESETS)):
            figures.filesets += len(gone)
            yield
        catalog.transact(lambda tx: cycle_rows.finish_doom(tx, self._fence, number))
        yield
        yield from self.delete(figures)

    def _change(self, page: _Page, number: int, clear_through: int, figures: Figures) -> Iterator[None]:
        for some in _few(page.revived):
            figures.revived += self._files.catalog.transact(partial(chunk_rows.revive, keys=some))
            yield
        for some in _few(page.due):
            dooming: Callable[[Tx], list[Key]] = partial(
                cycle_rows.doom, fence=self._fence, cycle=number, clear_through=clear_through, keys=some
            )
            gone = self._files.catalog.transact(dooming)
            figures.doomed += len(gone)
            figures.doomed_bytes += page.bytes_of(gone)
            yield
        condemned = len(page.kept)
        for some in _few(page.unnamed):
            condemning: Callable[[Tx], int] = partial(cycle_rows.condemn, fence=self._fence, cycle=number, keys=some)
            count = self._files.catalog.transact(condemning)
            figures.newly_condemned += count
            condemned += count
            yield
        figures.condemned += condemned
        figures.condemned_bytes += page.bytes_of([*page.kept, *page.unnamed])

    def delete(self, figures: Figures) -> Iterator[None]:
        """Delete the blobs of what is doomed and no running read can need: blob first, row second."""
        self._files.reading.settle()
        catalog = self._files.catalog
        while True:
            keys, names = catalog.read(partial(cycle_rows.list_deletable, limit=DELETES))
            if not keys and not names:
                return
            self._files.store.discard([*names, *(ChunkKey(*key).blob for key in keys)])
            yield
            catalog.transact(partial(cycle_rows.forget, keys=keys, names=names))
            figures.blobs += len(keys) + len(names)
            yield


class _Page:
    """Some chunk rows, sorted by what is to become of them.

    revived: condemned, but named. unnamed: live, and not named. kept: condemned by a cycle that is not clear yet.
    """

    def __init__(self, rows: Sequence[AnyRow], named: Entries, clear_through: int) -> None:
        self.keys: list[Key] = [(row.hash, row.gen) for row in rows]
        self.stored = {key: int(row.stored_bytes) for key, row in zip(self.keys, rows, strict=True)}
        self.revived: list[Key] = []
        self.unnamed: list[Key] = []
        self.due: list[Key] = []
        self.kept: list[Key] = []
        for key, row, is_named in zip(self.keys, rows, among(entries_of(self.keys), named).tolist(), strict=True):
            if row.condemned is None:
                if not is_named:
                    self.unnamed.append(key)
            elif is_named:
                self.revived.append(key)
            else:
                (self.due if row.condemned <= clear_through else self.kept).append(key)

    def bytes_of(self, keys: Iterable[Key]) -> int:
        """How many the blobs of these chunks have."""
        return sum(self.stored[key] for key in keys)


def _few(keys: Sequence[Key]) -> Iterator[Sequence[Key]]:
    for start in range(0, len(keys), SOME):
        yield keys[start : start + SOME]


def would_free(files: Files, lists: Lists, figures: Figures) -> Iterator[None]:
    """Count what nothing names, without changing anything; not beside a cycle of this process."""
    catalog = files.catalog
    marked = catalog.read(cycle_rows.mark)
    named = yield from lists.union(marked.held)
    after: Key | None = None
    while rows := catalog.read(partial(cycle_rows.list_chunks, after=after, limit=PAGE)):
        page = _Page(rows, named, marked.clear_through)
        after = page.keys[-1]
        dead = [*page.due, *page.kept, *page.unnamed]
        figures.doomed += len(dead)
        figures.doomed_bytes += page.bytes_of(dead)
        yield
    figures.filesets = catalog.read(cycle_rows.count_unheld)
