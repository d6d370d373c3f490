"""The store: what the rooms above see of bytes, chunks and file sets."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import pyarrow as pa

from trunkline.ambient import Ambient
from trunkline.errors import DataLoss
from trunkline.storage.blobs import BlobStore
from trunkline.storage.cached import CacheFigures
from trunkline.storage.chunks import ChunkReader, Pools, Uploader
from trunkline.storage.chunks.whole import plain_size
from trunkline.storage.filesets.cache import MEMORY_BYTES, PartCache, with_depth
from trunkline.storage.filesets.runs import LooseRun, Run, SealedRun, plain, read_rows
from trunkline.storage.filesets.schema import Mask, as_batch
from trunkline.storage.filesets.seal import Sealer, keys_of_list, read_chunk_list, rows_of_body
from trunkline.storage.ports import ChunkKey, NewChunk, Part, Sealed, WriteSession
from trunkline.storage.reading.content import Content, contents_of
from trunkline.storage.reading.rendered import RenderedRun
from trunkline.storage.reading.view import View
from trunkline.storage.repacking.elsewhere import rows_of_part, settled
from trunkline.storage.repacking.losses import Loss, Rebuilding, everything_but, lost_of_run, without
from trunkline.storage.repacking.places import Moves, move
from trunkline.storage.writing.finish import Finished, Finisher, split
from trunkline.storage.writing.intake import Intake, Packer, recut_many_small
from trunkline.storage.writing.layers import Layers, Spool
from trunkline.storage.writing.levels import crowd, merge_runs
from trunkline.storage.writing.resolve import resolve
from trunkline.storage.writing.reuse import same_files
from trunkline.storage.writing.writer import Writer

DISK_BYTES = 2 << 30
"""Decoded parts that are kept on disk, unless somebody says otherwise."""
CONTENT_BYTES = 64 << 20
"""Content that is kept in memory, unless somebody says otherwise."""

_UPLOADING = 40 << 20
"""Content that one writer has on its way: enough for what is hashed, what is put and what waits for either."""
_OVERLAYS = 8


class Store:
    """Everything stored, in one blob store. Safe between threads; what it gives for one session is for one thread.

    cache_dir: decoded parts of file sets, at most `cache_bytes` of disk and `part_bytes` of memory; may be lost at any
    time. read_cache_bytes: of content, in memory. threads: how many chunks are hashed, compressed and put at once.
    on_damage hears of each chunk found bad.
    """

    def __init__(
        self,
        blobs: BlobStore,
        cache_dir: Path | str,
        ambient: Ambient,
        *,
        cache_bytes: int = DISK_BYTES,
        part_bytes: int = MEMORY_BYTES,
        read_cache_bytes: int = CONTENT_BYTES,
        threads: int = 4,
        on_damage: Callable[[ChunkKey], None] = lambda _: None,
    ) -> None:
        self.blobs, self._ambient = blobs, ambient
        self._uploads = Pools(threads)
        self._reads = ThreadPoolExecutor(threads, thread_name_prefix="read")
        self._cache = PartCache(blobs, Path(cache_dir), cache_bytes, ambient, part_bytes)
        self._on_damage = on_damage
        self.reader = ChunkReader(blobs, self._reads, read_cache_bytes, on_damage)
        self._overlays: OrderedDict[tuple[str, ...], Run] = OrderedDict()
        self._runs: OrderedDict[str, SealedRun] = OrderedDict()
        self._lock = Lock()

    def close(self) -> None:
        """End the threads. What is being written is not waited for."""
        self._uploads.shutdown()
        self._reads.shutdown(wait=False, cancel_futures=True)

    @property
    def caches(self) -> dict[str, CacheFigures]:
        """What is kept at hand: content of chunks, and the index, which is parts of file sets."""
        return {"chunk": self.reader.figures, "index": self._cache.figures}

    def writer(self, session: WriteSession, base: View | None = None) -> Writer:
        """A stream of edits for one session. base: what files are compared with, so that equal ones are not stored
        again; the session holds its file sets."""
        return Writer(self._intake(session), self._sealer(session), base)

    def view(self, sealed: Sequence[Sealed], keeper: object = None) -> View:
        """The content of a stack of file sets, oldest first: a commit's manifest, layers on top of it, or layers alone.

        Something must hold the file sets while the view is used. Nothing is read before the view is. Layers are then
        merged in memory, which costs about what finishing them does; the last few stacks are remembered. keeper: what
        holds the file sets, if it does so by being there.
        """
        stack = list(sealed)
        runs, layers = split(stack)

        def opened() -> list[Run]:
            found: list[Run] = [self._open(run) for run in runs]
            if layers:
                found.append(self._overlay(tuple(one.id for one in stack), found, layers))
            return found

        below = self.view(runs, keeper) if layers else None
        return View(opened, self.reader, keeper, below=below, loose=sum(layer.rows for layer in layers))

    def same_files(self, session: WriteSession, view: View, paths: pa.Array, sizes: pa.Array, hashes: pa.Array) -> Mask:
        """Which of these files, whose paths ascend and differ, the view has as a plain put would leave them: of that
        size and hash, undamaged, and nobody else's. The session holds the view's file sets."""
        return same_files(view, session.known, paths, sizes, hashes)

    def rendered(self, run: RenderedRun) -> View:
        """The content of a run that is made as it is read."""
        return View(lambda: [run], self.reader)

    def finish(self, session: WriteSession, base: Sequence[Sealed], layers: Sequence[Sealed], since: int) -> Finished:
        """Merge layers, oldest first, into one diff on the manifest `base`; check it; make the new manifest.

        since: the commit's number, kept with each row it changed. What it makes is sealed in the session. Costs the
        diff's rows times their depth, plus the children of touched directories.
        """
        runs, more = split(base)
        under = self.view(runs)
        over = Layers([self._open(layer) for layer in (*more, *layers)])
        intake = self._intake(session)
        finisher = Finisher(
            self._sealer(session),
            intake,
            self._open,
            lambda rows: recut_many_small(rows, intake, self.reader),
            self._cache.folder,
        )
        return finisher.finish(runs, under, over, since)

    def crowd(self, runs: Sequence[Sealed]) -> tuple[int, int] | None:
        """Which adjacent runs of a manifest should become one: first, and one past the last. None: there are few."""
        return crowd([run.rows for run in runs])

    def level(self, session: WriteSession, runs: Sequence[Sealed]) -> Sealed:
        """One run in the place of these adjacent ones of a manifest, oldest first. A range of paths at a time."""
        opened = [(run, self._open(run)) for run in runs]
        return merge_runs(opened, not runs[0].over, self._sealer(session), self._intake(session))

    def compact(self, session: WriteSession, sealed: Sequence[Sealed]) -> Sealed:
        """One layer in the place of these adjacent ones, oldest first. Rows for directories are left out."""
        layers = Layers([self._open(one) for one in sealed])
        rows = (layers.between(low, high) for low, high in layers.ranges())
        return self._sealer(session).seal(map(Packer(self._intake(session)), rows))

    def repack(self, session: WriteSession, pieces: dict[bytes, bytes]) -> Moves:
        """Store pieces (digests by place, as `pieces_in` finds them) once more, in packs of their own.

        Raises DataLoss for a chunk that is damaged.
        """
        return move(pieces, self.reader, Uploader(self.blobs, session, self._uploads, _UPLOADING))

    def moved(self, session: WriteSession, sealed: Sealed, moves: Moves) -> Sealed:
        """A file set that says what this one does, of the same content, whose pieces lie where they were moved to."""
        roots = (sealed.over, sealed.root) if sealed.run else None
        return self._sealer(session).seal((moves.applied(rows) for rows in self.parts(sealed)), roots)

    def chunk_from(self, session: WriteSession, digest: bytes, blob: bytes) -> NewChunk:
        """Put a chunk's blob that comes from another store; to be registered. Raises DataLoss for a damaged one."""
        size = plain_size(digest, blob)
        found = NewChunk(digest, session.gen, size, len(blob))
        self.blobs.put(found.key.blob, blob)
        return found

    def fileset_from(
        self, session: WriteSession, sealed: Sealed, parts: Iterable[tuple[Part, bytes]], shift: int
    ) -> Sealed:
        """A file set of another store, given the bytes of its parts, on the chunks that the session knows.

        shift: how much higher the numbers of commits are here. Raises DataLoss for damage, and for lacking chunks.
        """
        batches = [rows_of_body(sealed)] if sealed.body else (rows_of_part(part, data) for part, data in parts)
        roots = (sealed.over, sealed.root) if sealed.run else None
        made = self._sealer(session).seal((settled(rows, session.known, shift) for rows in batches), roots)
        if made.rows != sealed.rows or made.size_bytes != sealed.size_bytes:
            raise DataLoss(f"file set {sealed.id} is damaged: it has {made.rows} rows and should have {sealed.rows}")
        return made

    def rebuilt(
        self,
        session: WriteSession,
        ground: Sequence[Sealed],
        old: View,
        diff: Sequence[Sealed],
        loss: Loss,
        more: pa.Array,
        since: int,
    ) -> Finished:
        """A commit made again on other ground, without what `loss` says: `Rebuilding` has the rest."""
        under = self.view(ground)
        writer = self.writer(session)
        Rebuilding(old, [self._open(one) for one in diff], under, loss, more).write(writer)
        layers = writer.seal()
        if not layers:
            return Finished(None, tuple(ground), under.size_bytes, under.count)
        return self.finish(session, ground, layers, since)

    def all_but(self, session: WriteSession, old: View, loss: Loss, since: int) -> tuple[Sealed, ...]:
        """Runs of all that stays of a content."""
        writer = self.writer(session)
        everything_but(old, loss, writer)
        layers = writer.seal()
        return self.finish(session, (), layers, since).manifest if layers else ()

    def without(self, session: WriteSession, sealed: Sealed, loss: Loss) -> Sealed:
        """A layer without the rows that go."""
        return self._sealer(session).seal(without(self.parts(sealed), loss))

    def lost(self, sealed: Sealed, loss: Loss) -> pa.RecordBatch:
        """The rows of one file set that go, whether anything hides them or not."""
        return lost_of_run(self._open(sealed), loss)

    def parts(self, sealed: Sealed) -> Iterator[pa.RecordBatch]:
        """All rows of one file set as they are, a part at a time."""
        run = self._open(sealed)
        for number in range(len(run.parts)):
            yield plain(run.part(number))

    def rows(self, sealed: Sealed) -> pa.Table:
        """All rows of one file set as they are: hides, contents, directories."""
        return pa.Table.from_batches([read_rows(sealed, self._cache)])

    def contents(self, rows: pa.Table | pa.RecordBatch, reader: ChunkReader | None = None) -> Iterator[Content]:
        """The files that rows say (`View.files` gives such rows), each to be read; quickest in this order."""
        return contents_of([with_depth(as_batch(rows))], reader or self.reader)

    def checker(self) -> ChunkReader:
        """A reader that takes nothing from memory: for who wants to know what is stored."""
        return ChunkReader(self.blobs, self._reads, 0, self._on_damage)

    def chunk_keys(self, sealed: Sealed) -> frozenset[ChunkKey]:
        """The chunks a file set needs, by its chunk list. Raises DataLoss when the list is missing or damaged."""
        return keys_of_list(self.chunk_list(sealed))

    def chunk_list(self, sealed: Sealed) -> bytes:
        """As `chunk_keys`, as bytes: LIST_ENTRY of them for each, ascending."""
        return read_chunk_list(self.blobs, sealed)

    def damages(self, sealed: Sealed) -> Iterator[str]:
        """What is wrong with the blobs of a file set's own rows, whatever this machine still has of them decoded."""
        for part in sealed.parts:
            try:
                self._cache.check(part)
            except DataLoss as error:
                yield str(error)

    def discard(self, names: Sequence[str]) -> None:
        """Delete blobs, and what is kept of them elsewhere on this machine. Absent ones are no error."""
        for name in names:
            self._cache.drop(name)
        self.blobs.delete_all(names)

    # --- inside

    def _intake(self, session: WriteSession) -> Intake:
        return Intake(Uploader(self.blobs, session, self._uploads, _UPLOADING))

    def _sealer(self, session: WriteSession) -> Sealer:
        return Sealer(self.blobs, self._cache, self._ambient, session)

    def _open(self, sealed: Sealed) -> SealedRun:
        with self._lock:
            run = self._runs.get(sealed.id)
            if run is not None:
                self._runs.move_to_end(sealed.id)
                return run
        run = SealedRun(sealed, self._cache)
        with self._lock:
            self._runs[sealed.id] = run
            while len(self._runs) > 256:
                self._runs.popitem(last=False)
        return run

    def _overlay(self, name: tuple[str, ...], under: Sequence[Run], layers: Sequence[Sealed]) -> Run:
        with self._lock:
            run = self._overlays.get(name)
        if run is not None:
            return run
        over = Layers([self._open(layer) for layer in layers])
        below = list(under)
        run = LooseRun("+".join(name), resolve(View(lambda: below, self.reader), over, Spool(None)).batches)
        with self._lock:
            self._overlays[name] = run
            while len(self._overlays) > _OVERLAYS:
                self._overlays.popitem(last=False)
        return run
