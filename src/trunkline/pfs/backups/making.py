"""A backup of the server that runs: one instant of the catalog, and every blob that its rows name."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from trunkline import __version__
from trunkline.catalog.copies.copy import CatalogCopy
from trunkline.errors import Aborted, DataLoss, FailedPrecondition, InvalidArgument, NotFound
from trunkline.model import backups as form
from trunkline.pfs.files import Files
from trunkline.storage import ChunkKey
from trunkline.storage.objects import fetch, open_place, write

AT_ONCE = 4
"""Blobs that are read at once; so many are in memory."""

INDEX = ".index"
"""Where a backup in an object store lies, with this behind it, lie the names of its blobs."""


@dataclass(frozen=True, slots=True)
class Size:
    """Of a backup. known: blobs that an earlier one has. size_bytes: about how long it is."""

    id: str
    blobs: int
    known: int
    size_bytes: int


class Making:
    """A backup on its way. Collection takes nothing of it until it is closed.

    folder: where the copy of the catalog lies meanwhile. key_file: the key of all secrets.
    """

    def __init__(self, files: Files, folder: Path, key_file: Path) -> None:
        self._files = files
        self._key_file = key_file
        self.id = files.ambient.new_id()
        self._folder = folder / self.id
        self._since = ""
        self._folder.mkdir(parents=True, mode=0o700)
        # First the pin, then the copy: what the copy names cannot go any more.
        self._reading = files.reading.begin()
        try:
            files.catalog.copy_to(self._folder / "catalog.db")
            self._copy = CatalogCopy(self._folder / "catalog.db")
        except BaseException:
            self._reading.close()
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def close(self) -> None:
        """Leave nothing behind."""
        self._reading.close()
        self._copy.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def since(self, backup: str, names: Iterable[str]) -> None:
        """Only list these blobs: the earlier backup of that id has them."""
        self._since = backup
        self._copy.note(names)

    def since_url(self, url: str) -> None:
        """As `since`, with what a backup in an object store has."""
        lines = _lines(fetch(_with_index(url), self._files.ambient))
        self._since = next(lines, "")
        self._copy.note(lines)

    def size(self) -> Size:
        """How much it will be. Chunks are counted by their rows; other blobs are few and small."""
        known, known_bytes = 0, 0
        for name, stored in self._names():
            if self._copy.noted(name):
                known, known_bytes = known + 1, known_bytes + stored
        blobs, size = self._copy.figures()
        return Size(self.id, blobs - known, known, size - known_bytes + self._copy.path.stat().st_size)

    def pieces(self, *, with_keys: bool, wanted: Callable[[], bool] = lambda: True) -> Iterator[bytes]:
        """The backup, from its start. Raises DataLoss for a blob that is not there: then it cannot be made."""
        about = form.About(self.id, self._files.ambient.now_us(), __version__, self._since, with_keys)
        yield form.FORM.start()
        yield form.record(form.ABOUT, "about", about.to_bytes())
        if with_keys:
            yield form.record(form.KEY, "secrets.key", self._key())
        path = self._copy.path
        yield from form.pieces_of(form.CATALOG, "catalog.db", path.stat().st_size, _read(path))
        waiting: deque[tuple[str, Future[bytes]]] = deque()
        with ThreadPoolExecutor(AT_ONCE, "backup") as pool:
            try:
                for name, _ in self._names():
                    if self._copy.noted(name):
                        yield form.record(form.LISTED, name)
                        continue
                    waiting.append((name, pool.submit(self._blob, name)))
                    if len(waiting) >= AT_ONCE:
                        yield from self._next(waiting)
                    if not wanted():
                        raise Aborted("nobody waits for this backup any more")
                while waiting:
                    yield from self._next(waiting)
            finally:
                for _, future in waiting:
                    future.cancel()
        yield form.record(form.END, "")

    def write(self, url: str, *, with_keys: bool, wanted: Callable[[], bool] = lambda: True) -> None:
        """Write it to an object store, and the names of its blobs beside it. Raises as `storage.objects.write`."""
        place, index = open_place(url), open_place(_with_index(url))
        write(place, lambda: _joined(self.pieces(with_keys=with_keys, wanted=wanted)), self._files.ambient)
        write(index, lambda: _joined(self._index()), self._files.ambient)

    def _index(self) -> Iterator[bytes]:
        yield f"{self.id}\n".encode()
        for name, _ in self._names():
            yield f"{name}\n".encode()

    def _next(self, waiting: deque[tuple[str, Future[bytes]]]) -> Iterator[bytes]:
        name, future = waiting.popleft()
        data = future.result()
        self._reading.touch()
        yield from form.pieces_of(form.BLOB, name, len(data), _cut(data))

    def _names(self) -> Iterator[tuple[str, int]]:
        for digest, gen, stored in self._copy.chunks():
            yield ChunkKey(digest, gen).blob, stored
        for name in self._copy.blobs():
            yield name, 0

    def _blob(self, name: str) -> bytes:
        try:
            return self._files.store.blobs.get(name)
        except NotFound:
            raise DataLoss(
                f"blob {name} is not there, so no backup can be whole; `pachctl fsck` says what it was"
            ) from None

    def _key(self) -> bytes:
        try:
            return self._key_file.read_bytes()
        except FileNotFoundError:
            raise FailedPrecondition(
                "this server has no secrets and no key; make the backup without --with-keys"
            ) from None


def _with_index(url: str) -> str:
    path, mark, query = url.partition("?")
    if path.endswith("/"):
        raise InvalidArgument(f'"{url}" names no object: write the name of the backup behind the last slash')
    return f"{path}{INDEX}{mark}{query}"


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line.decode()


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(form.PIECE_BYTES):
            yield piece


def _cut(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), form.PIECE_BYTES):
        yield data[start : start + form.PIECE_BYTES]


def _joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Larger pieces: a store's client is called for each."""
    held = bytearray()
    for piece in pieces:
        held += piece
        if len(held) >= form.PIECE_BYTES:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)
