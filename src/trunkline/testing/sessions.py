"""Write sessions without a catalog, for tests of whoever writes file sets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trunkline.errors import Aborted
from trunkline.storage.blobs import BlobStore
from trunkline.storage.ports import NewChunk, Sealed


class MemoryChunks:
    """The rows that a catalog keeps of chunks and file sets, in dicts. `open` gives sessions over them.

    Stricter than a catalog: a chunk or file set is refused unless its blobs are there, in the store given.
    """

    def __init__(self, blobs: BlobStore) -> None:
        self.blobs = blobs
        self.live: dict[bytes, NewChunk] = {}
        self.sealed: dict[str, Sealed] = {}
        self._sessions = 0

    def open(self) -> MemorySession:
        """A new session, with a generation no other has."""
        self._sessions += 1
        return MemorySession(self, self._sessions)


class MemorySession:
    """A `WriteSession` over `MemoryChunks`; counts what it is asked in `lookups` (hashes)."""

    def __init__(self, rows: MemoryChunks, gen: int) -> None:
        self._rows = rows
        self._gen = gen
        self._open = True
        self.lookups = 0

    @property
    def gen(self) -> int:
        """See `WriteSession.gen`."""
        return self._gen

    def known(self, hashes: Sequence[bytes]) -> dict[bytes, int]:
        """See `WriteSession.known`."""
        self._check_open()
        self.lookups += len(hashes)
        live = self._rows.live
        return {digest: live[digest].gen for digest in hashes if digest in live}

    def register(self, chunks: Iterable[NewChunk]) -> dict[bytes, int]:
        """See `WriteSession.register`."""
        self._check_open()
        answers = {}
        for chunk in chunks:
            assert chunk.gen == self._gen, f"{chunk.key} was not uploaded by this session"
            assert self._rows.blobs.size(chunk.key.blob) == chunk.stored_bytes
            answers[chunk.hash] = self._rows.live.setdefault(chunk.hash, chunk).gen
        return answers

    def seal(self, sealed: Iterable[Sealed]) -> None:
        """See `WriteSession.seal`."""
        self._check_open()
        for one in sealed:
            assert one.id not in self._rows.sealed, f"file set {one.id} is sealed twice"
            for blob in one.blobs():
                assert self._rows.blobs.size(blob) > 0
            self._rows.sealed[one.id] = one

    def end(self) -> None:
        """From now on every call is refused, as a catalog refuses an ended session."""
        self._open = False

    def _check_open(self) -> None:
        if not self._open:
            raise Aborted(f"write session {self._gen} has ended")
