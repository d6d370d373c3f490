"""The catalog as its users see it: open it, change it by functions, read it in snapshots, wait for events."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine

from trunkline.ambient import Ambient
from trunkline.catalog import migrate
from trunkline.catalog.engine.failures import in_words, undecodable
from trunkline.catalog.engine.lock import FolderLock
from trunkline.catalog.engine.readers import Readers
from trunkline.catalog.engine.rehearsal import Rehearsal
from trunkline.catalog.engine.sqlite import WAL_LIMIT_BYTES, Settings, make_engine, open_writer
from trunkline.catalog.engine.tx import Seed, Tx
from trunkline.catalog.engine.wake import Wake
from trunkline.catalog.engine.writer import Counts, Work, Writer
from trunkline.errors import Internal, Unimplemented

T = TypeVar("T")

FILE_NAME = "catalog.db"


class Catalog:
    """All durable rows of one server. Safe to use from any thread.

    Nothing else touches the database: a change is a function of a transaction, a look is a function of a snapshot.
    """

    def __init__(self, lock: FolderLock, writer: Writer, readers: Readers, wake: Wake, ambient: Ambient) -> None:
        self.wake = wake
        """Set after each commit that emitted events."""
        self._lock = lock
        self._writer = writer
        self._readers = readers
        self._ambient = ambient

    @classmethod
    def open(
        cls,
        place: str | Path,
        ambient: Ambient,
        *,
        readers: int = 4,
        synchronous: str = "FULL",
        wal_limit_bytes: int = WAL_LIMIT_BYTES,
        rehearse: bool = False,
    ) -> Catalog:
        """Open the catalog in the data folder `place`, making both where they are missing.

        readers: how many snapshots may be read at once. synchronous: FULL keeps acknowledged writes through a power
        cut, NORMAL and OFF through the end of the process only. rehearse: run every function twice and
        compare, for tests.
        Raises FailedPrecondition when the folder cannot be used, when another process uses it, when a newer Trunkline
        wrote it, or when the SQLite here is one that corrupts files; Unimplemented for the address of a server.
        """
        if "://" in str(place):
            raise Unimplemented(f"the catalog cannot live in {place} yet; give a folder on this machine")
        folder = Path(place)
        lock = FolderLock(folder)
        try:
            settings = Settings(folder / FILE_NAME, synchronous, wal_limit_bytes)
            engine = make_engine(settings)
            connection, newest = _connect(engine, settings)
            wake = Wake(newest)
            rehearsal = Rehearsal(connection) if rehearse else None
            writer = Writer(connection, settings, wake, ambient, rehearsal)
            catalog = cls(lock, writer, Readers(engine, ambient, readers), wake, ambient)
        except BaseException:
            lock.release()
            raise
        try:
            catalog._bury_predecessor()
        except BaseException:
            catalog.close()
            raise
        return catalog

    @property
    def folder(self) -> Path:
        """The data folder."""
        return self._lock.folder

    @property
    def counts(self) -> Counts:
        """What the writer has done so far."""
        return self._writer.counts

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
        self._readers.copy_to(path)

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
        work = Work(f, seed or Seed.draw(self._ambient), keep)
        self._writer.submit(work)
        if work.error is not None:
            raise work.error
        value: T = work.value
        return value


def _connect(engine: Engine, settings: Settings) -> tuple[Connection, int]:
    """The writing connection, its tables brought up to date; and the number of the newest event."""
    connection: Connection | None = None
    try:
        connection = open_writer(engine, settings)
        return connection, migrate.bring_up_to_date(connection, str(settings.path))
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, UnicodeDecodeError):
            raise undecodable(error) from error
        told = in_words(error, isinstance(error, engine.dialect.loaded_dbapi.Error))
        if told is error:
            raise
        raise told from error
