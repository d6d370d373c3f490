"""The catalog as its users see it: open it, change it by functions, read it in snapshots, wait for events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from trunkline.ambient import Ambient
from trunkline.catalog.engine.lock import FolderLock
from trunkline.catalog.engine.readers import Readers
from trunkline.catalog.engine.sqlite import WAL_LIMIT_BYTES, Settings
from trunkline.catalog.engine.tx import Seed, Tx
from trunkline.catalog.engine.wake import Wake
from trunkline.catalog.engine.writer import Counts, Work, Writer
from trunkline.errors import Internal

T = TypeVar("T")

FILE_NAME = "catalog.db"


@dataclass(frozen=True)
class Parts:
    """What a catalog is made of, on a database of some kind."""

    writer: Writer
    readers: Readers
    wake: Wake
    copy_to: Callable[[Path], None]
    """Writes a copy of all rows to a new file."""
    close: Callable[[], None] = lambda: None
    """Ends what runs beside these."""
    alone: bool = True
    """Whether no other process can use the same rows."""


class Catalog:
    """All durable rows of one server. Safe to use from any thread.

    Nothing else touches the database: a change is a function of a transaction, a look is a function of a snapshot.
    """

    def __init__(self, lock: FolderLock, parts: Parts, ambient: Ambient) -> None:
        self.wake = parts.wake
        """Set after each commit that emitted events."""
        self._lock = lock
        self._parts = parts
        self._writer = parts.writer
        self._readers = parts.readers
        self._ambient = ambient
        self._epoch: int | None = None

    @classmethod
    def open(
        cls,
        place: str | Path,
        ambient: Ambient,
        *,
        database: str = "",
        readers: int = 4,
        synchronous: str = "FULL",
        wal_limit_bytes: int = WAL_LIMIT_BYTES,
        rehearse: bool = False,
    ) -> Catalog:
        """Open the catalog in the data folder `place`, making both where they are missing.

        database: where the rows lie instead, postgresql://…; the folder is this process's alone all the same.
        readers: how many snapshots may be read at once. synchronous: FULL keeps acknowledged writes through a power
        cut, NORMAL and OFF through the end of the process only. rehearse: run every function twice and
        compare, for tests.
        Raises FailedPrecondition when the folder cannot be used, when another process uses it, when a newer Trunkline
        wrote it, or when the SQLite here is one that corrupts files; InvalidArgument, Unavailable for a database.
        """
        folder = Path(place)
        lock = FolderLock(folder)
        try:
            if database:
                from trunkline.catalog.engine.postgres.connections import Place

                where = Place.of(database)  # says in words where the driver is missing, which the next line needs
                from trunkline.catalog.engine.postgres.opening import open_database

                parts = open_database(where, ambient, readers, synchronous, rehearse=rehearse)
            else:
                from trunkline.catalog.engine.opening import open_file

                settings = Settings(folder / FILE_NAME, synchronous, wal_limit_bytes)
                parts = open_file(settings, ambient, readers, rehearse=rehearse)
            catalog = cls(lock, parts, ambient)
        except BaseException:
            lock.release()
            raise
        try:
            if parts.alone:
                catalog._bury_predecessor()
        except BaseException:
            catalog.close()
            raise
        return catalog

    @property
    def alone(self) -> bool:
        """Whether this process is the only one that can use these rows."""
        return self._parts.alone

    @property
    def folder(self) -> Path:
        """The data folder."""
        return self._lock.folder

    @property
    def counts(self) -> Counts:
        """What the writer has done so far."""
        return self._writer.counts

    def led(self, epoch: int) -> Catalog:
        """The same catalog for a leader in one term: its writes are refused, by Aborted, when the next has begun."""
        return _Led(self, epoch)

    def transact(self, f: Callable[[Tx], T], seed: Seed | None = None) -> T:
        """Run `f(tx)` in a transaction and answer what it answers, once that is durable.

        f has no effect but through `tx`, since it may be run again. It must not call `transact` or `read`, wait, or
        take longer than 50 ms: everybody's writes wait for it. Whatever it raises undoes it alone and is raised here.
        seed: where its instant and ids come from; fresh when None.
        Raises ResourceExhausted when the disk is full, Unavailable when the catalog is closed or its disk failed.
        """
        return self._run(f, seed, keep=True)

    def dry_run(self, f: Callable[[Tx], T], seed: Seed | None = None) -> T:
        """As `transact`, but all is undone in the end: what would `f` answer? Emits no events."""
        return self._run(f, seed, keep=False)

    def read(self, f: Callable[[Tx], T]) -> T:
        """Run `f(tx)` on one snapshot, beside any number of writes, and answer what it answers.

        f fetches a page (5,000 rows at most) and returns; it must not wait, since an open snapshot keeps the log from
        being folded. Changing rows in it is refused.
        """
        if self._writer.is_mine():
            raise Internal("a transaction reads through its own tx, not through a second snapshot")
        return self._readers.read(f)

    def copy_to(self, path: Path) -> None:
        """Write a copy of all rows, as they are at one instant, to a new file. Beside any number of writes.

        Raises ResourceExhausted when the disk is full, Unavailable when it failed.
        """
        self._parts.copy_to(path)

    def fold_log(self) -> None:
        """Fold the log into the file now, unless a reader stands in the way: rows that were deleted lie in it still.

        Raises as `transact`.
        """
        self._writer.fold_next()
        self.transact(lambda tx: tx.execute("SELECT 1"))

    def refuse(self, why: str) -> None:
        """Take no more changes, once what waits is done: `transact` raises Unavailable(why). "": take them again."""
        self._writer.refuse(why)

    def close(self) -> None:
        """Finish what waits, then let go of the folder. A second call does nothing."""
        self.wake.close()
        self._parts.close()
        self._readers.close()
        self._writer.close()
        self._lock.release()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _bury_predecessor(self) -> None:
        """End the sessions and pins of the process that had this folder before: the lock proves it dead."""
        from trunkline.catalog.collection import sessions  # queries need the engine, so it imports them late

        self.transact(sessions.end_all)

    def _run(self, f: Callable[[Tx], T], seed: Seed | None, *, keep: bool) -> T:
        work = Work(f, seed or Seed.draw(self._ambient), keep, epoch=self._epoch)
        self._writer.submit(work)
        if work.error is not None:
            raise work.error
        value: T = work.value
        return value


class _Led(Catalog):
    """See `Catalog.led`. It is closed with the one that it was made of."""

    def __init__(self, catalog: Catalog, epoch: int) -> None:
        super().__init__(catalog._lock, catalog._parts, catalog._ambient)
        self._epoch = epoch

    def close(self) -> None:
        """Nothing of it is its own."""
