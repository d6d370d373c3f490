"""A store in memory with its rows, and the dict model beside it."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trunkline.ambient import SimulatedAmbient
from trunkline.storage import Finished, Sealed, Store, View, Writer
from trunkline.storage.blobs import MemoryBlobs
from trunkline.testing.sessions import MemoryChunks

Model = dict[str, dict[str, bytes]]
"""What a commit holds: path, datum, content."""


@dataclass
class World:
    """One store. Each writer and each finish has a session of its own."""

    blobs: MemoryBlobs = field(default_factory=MemoryBlobs)

    def __post_init__(self) -> None:
        self.rows = MemoryChunks(self.blobs)
        self._folder = tempfile.TemporaryDirectory()
        self.ambient = SimulatedAmbient(7)
        self.store = Store(self.blobs, self._folder.name, self.ambient, threads=2)
        self._seq = 0

    def writer(self, base: View | None = None) -> Writer:
        """A stream of edits in a session of its own."""
        return self.store.writer(self.rows.open(), base)

    def layer(self, files: dict[str, bytes], base: View | None = None, datum: str = "") -> list[Sealed]:
        """These files, put in order by one stream, sealed."""
        writer = self.writer(base)
        for path, content in files.items():
            writer.put(path, content, datum)
        return writer.seal()

    def finish(self, base: Sequence[Sealed], layers: Sequence[Sealed]) -> Finished:
        """Finish a commit; commits are numbered from 1."""
        self._seq += 1
        return self.store.finish(self.rows.open(), base, layers, self._seq)

    def commit(self, base: Sequence[Sealed], files: dict[str, bytes]) -> Finished:
        """Put these files on top of a manifest, and finish."""
        return self.finish(base, self.layer(files, self.store.view(base)))

    def view(self, sealed: Sequence[Sealed]) -> View:
        """See `Store.view`."""
        return self.store.view(sealed)

    def close(self) -> None:
        """End the threads and remove the cache."""
        self.store.close()
        self._folder.cleanup()


def contents(view: View) -> Model:
    """All of a view, read."""
    found: Model = {}
    for content in view.contents():
        found.setdefault(content.path, {})[content.datum] = content.bytes()
    return found


def blank(model: Model) -> Model:
    """The model without paths that nobody has content at."""
    return {path: dict(by) for path, by in model.items() if by}


def goes_past_the_cache(folder: Path) -> bool:
    """Whether files here can be written past the page cache, which not every file system has."""
    with tempfile.NamedTemporaryFile(dir=folder) as probe:
        try:
            fcntl.fcntl(probe, fcntl.F_SETFL, os.O_DIRECT)
        except OSError:
            return False
    return True
