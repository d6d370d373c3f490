"""A backup put into a server that has nothing. The catalog is exchanged when the server starts anew.

Until then everything lies in a folder of its own, which is given up by whoever starts without finding it complete; the
blobs that were put are then leftovers, and collected as such.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from trunkline.catalog.collection import sessions as session_rows
from trunkline.catalog.copies import empty
from trunkline.catalog.copies.copy import CatalogCopy
from trunkline.catalog.copies.whole import load
from trunkline.catalog.engine import Catalog
from trunkline.catalog.engine.catalog import FILE_NAME
from trunkline.catalog.engine.lock import FolderLock
from trunkline.catalog.shared import identity
from trunkline.errors import DataLoss, FailedPrecondition, InvalidArgument
from trunkline.model import backups as form
from trunkline.model.names import DEFAULT_PROJECT
from trunkline.pfs.collection.loop import Collector
from trunkline.pfs.files import Files
from trunkline.storage import ChunkKey

FOLDER = "restore"
"""In the data folder: what is being restored."""
COMPLETE = "complete"
"""In FOLDER: the file that says that all is there."""
KEY = "secrets.key"

KEY_BYTES = 1 << 10
BLOB_BYTES = 1 << 30

_CHUNK = re.compile(r"chunks/../([0-9a-f]{64})\.([0-9]{1,18})")


@dataclass(slots=True)
class Restored:
    """What came back."""

    blobs: int = 0
    blob_bytes: int = 0
    catalog_bytes: int = 0
    keys: bool = False
    unreadable: list[str] = field(default_factory=list)
    """Names of secrets that the server cannot open."""


class Keys(Protocol):
    """The key of all secrets of this server. given: it was made by somebody else, and no backup may bring another."""

    path: Path
    given: bool

    def agrees(self, key: bytes) -> bool:
        """Whether a file with these bytes holds the same key."""
        ...

    def unreadable(self, secrets: Iterable[tuple[str, bytes]], key_file: Path | None = None) -> list[str]:
        """Names of those secrets that the key does not open; key_file: of another one."""
        ...


class Restoring:
    """Takes backups in. `on_complete` is called when the server is to start anew."""

    def __init__(
        self, files: Files, collector: Collector, data: Path, keys: Keys, on_complete: Callable[[], object]
    ) -> None:
        self._files, self._collector = files, collector
        self._keys = keys
        self._data = data
        self._folder = data / FOLDER
        self._on_complete = on_complete
        self._one = threading.Lock()

    def restore(self, backups: Iterable[Iterable[bytes]]) -> Restored:
        """Put back what the first backup holds; the others have the blobs that it only lists.

        Raises FailedPrecondition unless the server is empty, or where blobs are missing, or where it was given another
        key of all secrets; DataLoss for a damaged backup. Then the server is as it was.
        """
        if not self._one.acquire(blocking=False):
            raise FailedPrecondition("another restore is running; wait for it to end")
        try:
            self._must_be_empty()
            with self._collector.still():
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder.mkdir(mode=0o700)
                answer = self._take(backups)
                self._complete()
            self._on_complete()
            return answer
        except BaseException:
            if not (self._folder / COMPLETE).exists():
                shutil.rmtree(self._folder, ignore_errors=True)
            raise
        finally:
            self._one.release()

    def _must_be_empty(self) -> None:
        found = self._files.catalog.read(lambda tx: empty.find_anything(tx, DEFAULT_PROJECT))
        if found:
            raise FailedPrecondition(
                f"this server has {found}, and a backup is restored into an empty one only; "
                "start a pachd with another --data and restore there"
            )

    def _take(self, backups: Iterable[Iterable[bytes]]) -> Restored:
        answer = Restored()
        copy: CatalogCopy | None = None
        about: form.About | None = None
        try:
            for pieces in backups:
                for record in form.records(form.FORM, pieces):
                    if record.kind == form.ABOUT and about is None:
                        about = form.About.from_bytes(record.bytes(form.SMALL_BYTES))
                    elif record.kind == form.KEY and copy is None:
                        self._take_key(record.bytes(KEY_BYTES))
                        answer.keys = True
                    elif record.kind == form.CATALOG and copy is None:
                        answer.catalog_bytes = self._write(FILE_NAME, record.data)
                        copy = self._opened()
                    elif record.kind == form.BLOB:
                        self._blob(record, copy, answer)
            if copy is None or about is None:
                raise InvalidArgument("the backup is empty: there is no catalog in it")
            self._must_be_whole(copy, about)
            brought = self._folder / KEY
            answer.unreadable = self._keys.unreadable(copy.secrets(), brought if brought.exists() else None)
            self._renumber(copy)
        finally:
            if copy is not None:
                copy.close()
        return answer

    def _take_key(self, key: bytes) -> None:
        if not self._keys.given:
            self._write(KEY, iter([key]))
        elif not self._keys.agrees(key):
            raise FailedPrecondition(
                f"the backup brings a key of all secrets, and this server was started with another, {self._keys.path}; "
                "start it with that of the backup, which a pachd without --secrets-key has as secrets.key in its data "
                "folder once the backup was restored there"
            )

    def _write(self, name: str, data: Iterator[bytes]) -> int:
        size = 0
        with open(
            os.open(self._folder / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600), "wb"
        ) as file:
            for piece in data:
                size += file.write(piece)
        return size

    def _opened(self) -> CatalogCopy:
        copy = CatalogCopy(self._folder / FILE_NAME)
        # Blobs that come now belong to sessions that have ended, for this server too: if nothing comes of it they are
        # leftovers, and nobody ever puts others under their names.
        newest = copy.newest_gen()
        self._files.catalog.transact(lambda tx: empty.pass_gen(tx, newest))
        return copy

    def _blob(self, record: form.Record, copy: CatalogCopy | None, answer: Restored) -> None:
        if copy is None:
            raise InvalidArgument("the backup is not in order: blobs come before the catalog")
        if not _needed(copy, record.name) or copy.noted(record.name):
            return
        data = record.bytes(BLOB_BYTES)
        self._files.store.blobs.put(record.name, data)
        copy.note([record.name])
        answer.blobs += 1
        answer.blob_bytes += len(data)

    def _must_be_whole(self, copy: CatalogCopy, about: form.About) -> None:
        missing, first = 0, ""
        for name in _names(copy):
            if not copy.noted(name):
                missing, first = missing + 1, first or name
        if missing and about.since:
            raise FailedPrecondition(
                f"{missing} blobs lie in the backup {about.since}, of which this one is a continuation, or in those "
                "before it: name them too, as in `pachctl restore NEWEST EARLIER EARLIEST`"
            )
        if missing:
            raise DataLoss(f"{missing} blobs are not in the backup, such as {first}; it was not written to its end")

    def _renumber(self, copy: CatalogCopy) -> None:
        mine = self._files.catalog.read(session_rows.newest)
        copy.pass_gen(mine, self._files.ambient.now_us())

    def _complete(self) -> None:
        """From here on the server is the restored one, whatever is killed."""
        for name in (FILE_NAME, KEY):
            if (self._folder / name).exists():
                _sync(self._folder / name)
        catalog = self._files.catalog
        catalog.refuse("a backup was restored into this server and it starts anew; try again")
        try:
            self._must_be_empty()  # nobody can change that any more
            (self._folder / COMPLETE).touch()
            _sync(self._folder)
            _sync(self._data)
        except BaseException:
            catalog.refuse("")
            raise


def finish_restore_into(catalog: Catalog, data: Path) -> bool:
    """As `finish_restore`, for a server whose rows lie in a database: before it does anything else.

    May be killed anywhere and run again. Answers whether there was one.
    """
    folder = data / FOLDER
    whole = (folder / COMPLETE).exists()
    if whole:
        catalog.transact(lambda tx: load(tx, folder / FILE_NAME, DEFAULT_PROJECT))
        if (folder / KEY).exists():
            catalog.transact(identity.forget_key)
            (folder / KEY).replace(data / KEY)
        _sync(data)
    (folder / COMPLETE).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    return whole


def finish_restore(data: Path) -> bool:
    """Before a server opens its data folder: put a restored catalog in the place of the empty one.

    May be killed anywhere and run again. Answers whether there was one. Raises FailedPrecondition where another server
    has the folder.
    """
    folder = data / FOLDER
    if not folder.exists():
        return False
    lock = FolderLock(data)
    try:
        whole = (folder / COMPLETE).exists()
        if whole:
            if (folder / FILE_NAME).exists():
                # The log first: beside another catalog it would be taken for that one's.
                for ending in ("-wal", "-shm", ""):
                    (data / f"{FILE_NAME}{ending}").unlink(missing_ok=True)
                _sync(data)
                (folder / FILE_NAME).replace(data / FILE_NAME)
            if (folder / KEY).exists():
                (folder / KEY).replace(data / KEY)
            _sync(data)
        # The mark goes last but one: without it the rest is given up.
        (folder / COMPLETE).unlink(missing_ok=True)
        shutil.rmtree(folder)
        return whole
    finally:
        lock.release()


def _needed(copy: CatalogCopy, name: str) -> bool:
    found = _CHUNK.fullmatch(name)
    if found:
        return copy.needs_chunk(bytes.fromhex(found[1]), int(found[2]))
    return copy.needs_blob(name)


def _names(copy: CatalogCopy) -> Iterator[str]:
    for digest, gen, _ in copy.chunks():
        yield ChunkKey(digest, gen).blob
    yield from copy.blobs()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
