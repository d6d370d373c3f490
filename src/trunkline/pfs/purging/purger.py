"""The work of a purge, in steps between which the process may be killed: whoever starts next goes on from the rows.

First every commit is written anew, what is made from others before the others. Then it is found out who else has the
same content, leases that have it end, and what the commits were made of is let go. Then collection runs, and packs with
bytes of it are packed anew, until each chunk and file set that had any is gone.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Protocol

import pyarrow as pa

from trunkline.catalog import commits as commit_rows
from trunkline.catalog.collection.chunks import Key
from trunkline.catalog.engine import Tx
from trunkline.catalog.purging import purges as purge_rows
from trunkline.catalog.purging import remains as remain_rows
from trunkline.catalog.purging.purges import COLLECTING, RELEASING, REWRITING, STOPPED, PurgeRow
from trunkline.errors import Aborted, NotFound, TrunklineError
from trunkline.model.globs import Glob
from trunkline.pfs.files import Files, load
from trunkline.pfs.purging.hits import LineagePort
from trunkline.pfs.purging.rewriting import rewrite
from trunkline.pfs.purging.scope import Scope
from trunkline.pfs.purging.survey import commits_from
from trunkline.storage import ChunkKey, Sealed
from trunkline.storage.repacking.losses import with_digest

log = logging.getLogger(__name__)

PURGE_TOPIC = "purge"
"""Events of this topic: {"id", "stage"}."""

PAGE = 500
NAMED = 100
"""How many files with the same content are named."""
TRIES = 20
"""How often a commit that is packed anew at the same time is written again."""
IDLE_S = 5.0
AGAIN_S = 30.0
"""What readers or writers keep from collection is looked at again after this."""


class EmptierPort(Protocol):
    """Makes collection run."""

    def empty(self, chunks: Sequence[Key]) -> None:
        """Pack these chunks anew where some of their bytes are dead, and collect all that can be now."""
        ...


class Purger:
    """Does purges, oldest first: all steps of one by `steps`, or for good by `start`."""

    def __init__(self, files: Files, lineage: LineagePort, emptier: EmptierPort) -> None:
        self._files, self._lineage, self._emptier = files, lineage, emptier
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="purger", daemon=True)

    def steps(self, key: int) -> Iterator[None]:
        """Bring a purge on as far as it goes. It may be left after any step, and begun again."""
        purge = self._get(key)
        if purge.stage == REWRITING:
            yield from self._rewrite(purge)
            self._files.catalog.transact(lambda tx: self._rewritten(tx, purge))
            yield
            purge = self._get(key)
        if purge.stage == RELEASING:
            yield from self._release(purge)
            purge = self._get(key)
        if purge.stage == COLLECTING:
            yield from self._collect(purge)

    def _get(self, key: int) -> PurgeRow:
        row = self._files.catalog.read(lambda tx: purge_rows.get_purge(tx, key))
        if row is None:
            raise Aborted("the purge has gone")
        return row

    @staticmethod
    def _tell(tx: Tx, purge: PurgeRow, trouble: str) -> None:
        purge_rows.set_trouble(tx, purge.key, trouble)
        tx.emit(PURGE_TOPIC, {"id": purge.id, "stage": purge.stage})

    @staticmethod
    def _rewritten(tx: Tx, purge: PurgeRow) -> None:
        if purge_rows.is_rewriting(tx, purge.key):  # else it was stopped meanwhile
            purge_rows.set_stage(tx, purge.key, RELEASING)
            tx.emit(PURGE_TOPIC, {"id": purge.id, "stage": RELEASING})

    def _come_to(self, purge: PurgeRow, stage: str) -> None:
        def work(tx: Tx) -> None:
            purge_rows.set_stage(tx, purge.key, stage)
            tx.emit(PURGE_TOPIC, {"id": purge.id, "stage": stage})

        self._files.catalog.transact(work)

    # --- history is written anew

    def _rewrite(self, purge: PurgeRow) -> Iterator[None]:
        scope = Scope(self._files, self._lineage, purge.repo, Glob(purge.pattern))
        for repo, done in self._files.catalog.read(lambda tx: purge_rows.order_of(tx, purge.key)):
            for seq in commits_from(self._files, repo, max(done, purge.oldest - 1)):
                with self._files.reading.begin():
                    self._one(scope, purge, repo, seq)
                yield

    def _one(self, scope: Scope, purge: PurgeRow, repo: int, seq: int) -> None:
        for left in range(TRIES, 0, -1):
            try:
                rewrite(scope, purge, repo, seq)
            except Aborted:
                if left == 1 or self._stop.is_set():
                    raise
            else:
                return

    # --- what had it is let go

    def _release(self, purge: PurgeRow) -> Iterator[None]:
        raw = self._files.catalog.read(lambda tx: purge_rows.digests_of(tx, purge.key))
        digests = pa.FixedSizeBinaryArray.from_buffers(pa.binary(32), len(raw) // 32, [None, pa.py_buffer(raw)])
        ended = 0
        count, named = 0, list[str]()
        if len(digests):
            for lease in self._leases_with(digests):
                self._files.catalog.transact(partial(remain_rows.end_lease, lease=lease))
                ended += 1
                yield
            for name in self._kept(digests):
                count += 1
                if len(named) < NAMED:
                    named.append(name)
        remains = sorted(set(self._remains(purge)))
        self._files.catalog.transact(lambda tx: purge_rows.clear_remains(tx, purge.key))
        for start in range(0, len(remains), PAGE):
            some = remains[start : start + PAGE]
            self._files.catalog.transact(partial(purge_rows.add_remains, key=purge.key, remains=some))
            yield

        def work(tx: Tx) -> None:
            remain_rows.release_all(tx, purge.key)
            purge_rows.set_kept(tx, purge.key, count, named, ended)
            purge_rows.set_stage(tx, purge.key, COLLECTING)
            tx.emit(PURGE_TOPIC, {"id": purge.id, "stage": COLLECTING})

        self._files.catalog.transact(work)
        yield

    def _leases_with(self, digests: pa.Array) -> list[str]:
        found: dict[str, None] = {}
        after = ("", -1)
        while rows := self._files.catalog.read(partial(remain_rows.lent, after=after, limit=PAGE)):
            after = (rows[-1].lease, rows[-1].position)
            for row in rows:
                if row.lease not in found and self._has(row.fileset, digests):
                    found[row.lease] = None
        return list(found)

    def _has(self, fileset: str, digests: pa.Array) -> bool:
        return next(self._with(fileset, digests), None) is not None

    def _with(self, fileset: str, digests: pa.Array) -> Iterator[str]:
        """Paths of a file set with content that has one of these digests."""
        try:
            with self._files.reading.begin():
                sealed = self._files.catalog.read(lambda tx: load(tx, [fileset]))[0]
                for rows in self._files.store.parts(sealed):
                    yield from with_digest(rows, digests).column("path").to_pylist()
        except Aborted:
            return  # it was deleted meanwhile

    def _kept(self, digests: pa.Array) -> Iterator[str]:
        """Files of commits that have the same content, each where it was put."""
        seen: set[str] = set()
        above = 0
        while rows := self._files.catalog.read(partial(commit_rows.all_commits, above=above, limit=PAGE)):
            above = rows[-1].seq
            for row in rows:
                for fileset in self._files.catalog.read(partial(commit_rows.layers, seq=row.seq)):
                    if fileset not in seen:
                        seen.add(fileset)
                        yield from (f"{row.commit}:{path}" for path in self._with(fileset, digests))

    def _remains(self, purge: PurgeRow) -> Iterator[tuple[str, str]]:
        """Chunks, file sets and blobs that had any of it, or lay beside it; with all that was dead before.

        That may have had some too: runs that were merged while history was written anew, say.
        """
        read = self._files.catalog.read
        yield from read(remain_rows.doomed)
        for pages in (partial(remain_rows.let_go_by, key=purge.key), remain_rows.unheld):
            after = ""
            while rows := read(partial(pages, after=after, limit=PAGE)):
                after = rows[-1].id
                for row in rows:
                    yield "fileset", row.id
                    for key in self._files.store.chunk_keys(Sealed.from_bytes(row.body)):
                        yield "chunk", key.blob
                yield from (("blob", name) for name in read(partial(remain_rows.blobs_of, ids=[r.id for r in rows])))

    # --- its bytes go

    def _collect(self, purge: PurgeRow) -> Iterator[None]:
        self._emptier.empty([_key(name) for kind, name in self._left(purge) if kind == "chunk"])
        yield
        # A chunk of which every byte is pointed to has nothing of it, once no file set points there that had.
        held = any(self._filesets(page) for page in self._pages(purge))
        for page in self._pages(purge):
            gone = self._gone(page, full_will_do=not held)
            if gone:
                self._files.catalog.transact(partial(purge_rows.drop_remains, key=purge.key, remains=gone))
            yield
        if not self._files.catalog.read(lambda tx: purge_rows.count_remains(tx, purge.key)):
            self._files.catalog.fold_log()
            yield
            self._come_to(purge, purge_rows.GONE)

    def _left(self, purge: PurgeRow) -> Iterator[tuple[str, str]]:
        for page in self._pages(purge):
            yield from page

    def _pages(self, purge: PurgeRow) -> Iterator[list[tuple[str, str]]]:
        after = ("", "")
        while page := self._files.catalog.read(
            partial(purge_rows.list_remains, key=purge.key, after=after, limit=PAGE)
        ):
            after = page[-1]
            yield page

    def _filesets(self, page: Sequence[tuple[str, str]]) -> set[str]:
        names = [name for kind, name in page if kind == "fileset"]
        return self._files.catalog.read(lambda tx: remain_rows.stored_filesets(tx, names))

    def _gone(self, page: Sequence[tuple[str, str]], *, full_will_do: bool) -> list[tuple[str, str]]:
        """Which of these are stored no more; blobs were looked for. full_will_do: nor if others point to all of it."""
        keys = {_key(name): name for kind, name in page if kind == "chunk"}
        blobs = [name for kind, name in page if kind == "blob"]
        there, full = self._files.catalog.read(lambda tx: remain_rows.stored_chunks(tx, list(keys)))
        needed = self._files.catalog.read(lambda tx: remain_rows.stored_blobs(tx, blobs))
        stored = self._filesets(page)
        gone = [("fileset", name) for kind, name in page if kind == "fileset" and name not in stored]
        gone += [("blob", name) for name in blobs if name not in needed and self._absent(name)]
        for key, name in keys.items():
            if (full_will_do and key in full) or (key not in there and self._absent(name)):
                gone.append(("chunk", name))
        return gone

    def _absent(self, name: str) -> bool:
        try:
            self._files.store.blobs.size(name)
        except NotFound:
            return True
        return False

    # --- the thread

    def start(self) -> None:
        """Begin, with what a previous run of the server left."""
        self._thread.start()

    def stop(self) -> None:
        """End after the step in hand. `Catalog.wake` must be set once more for it to notice at once."""
        self._stop.set()

    def join(self, timeout_s: float) -> None:
        """Wait until it has ended; not at all where it never began."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        wake, ambient = self._files.catalog.wake, self._files.ambient
        seen, due_s = wake.seq, dict[int, float]()
        while not self._stop.is_set():
            try:
                for purge in self._files.catalog.read(purge_rows.unfinished):
                    if due_s.get(purge.key, 0.0) <= ambient.ticks_s() and not self._stop.is_set():
                        self._try(purge)
                        due_s[purge.key] = ambient.ticks_s() + AGAIN_S
            except TrunklineError as error:
                log.warning("purges could not be looked at; they are again: %s", error)
            seen = wake.wait(seen, IDLE_S, PURGE_TOPIC)

    def _try(self, purge: PurgeRow) -> None:
        trouble = ""
        try:
            for _ in self.steps(purge.key):
                if self._stop.is_set():
                    return
        except TrunklineError as error:
            trouble = str(error)
        except Exception as error:
            log.exception("purge %s could not go on", purge.id)
            trouble = f"a bug: {error!r}"
        if trouble != purge.trouble and not self._stop.is_set() and self._get(purge.key).stage != STOPPED:
            log.warning("purge %s could not go on, and tries again: %s", purge.id, trouble)
            self._files.catalog.transact(lambda tx: self._tell(tx, purge, trouble))


def _key(blob: str) -> Key:
    digest, _, gen = blob.rpartition("/")[2].partition(".")
    key = ChunkKey(bytes.fromhex(digest), int(gen))
    return key.hash, key.gen
