"""Write sessions of this process: storage's port onto the catalog's collection rows.

What a session finds, uploads and seals is safe while it lives. `seal` only remembers; the rows are written by
`finish`, in the one transaction that also adopts them, so that a stream costs two transactions and not five.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import TypeVar

from trunkline.catalog.collection import chunks as chunk_rows
from trunkline.catalog.collection import filesets as fileset_rows
from trunkline.catalog.collection import sessions as session_rows
from trunkline.catalog.engine import Catalog, Tx
from trunkline.storage import NewChunk, Sealed

T = TypeVar("T")


class Session:
    """One write session; a context manager that ends it, with or without result."""

    def __init__(self, catalog: Catalog, kind: str) -> None:
        self._catalog = catalog
        self._known: dict[bytes, int] = {}
        self._sealed: dict[str, Sealed] = {}
        self._written: set[str] = set()
        self._ended = False
        self.gen: int = catalog.transact(lambda tx: session_rows.open_session(tx, kind))

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._ended:
            self._ended = True
            self._catalog.transact(lambda tx: session_rows.end_session(tx, self.gen))

    def known(self, hashes: Sequence[bytes]) -> dict[bytes, int]:
        """Which chunks may be used without an upload; see `storage.ports.WriteSession`."""
        asked = [digest for digest in hashes if digest not in self._known]
        if asked:
            self._known |= chunk_rows.ask(self._catalog, self.gen, asked)
        return {digest: self._known[digest] for digest in hashes if digest in self._known}

    def register(self, chunks: Iterable[NewChunk]) -> dict[bytes, int]:
        """Record uploaded chunks; see `storage.ports.WriteSession`."""
        rows = list(chunks)
        answer = self._catalog.transact(lambda tx: chunk_rows.register(tx, self.gen, rows))
        self._known |= answer
        return answer

    def seal(self, sealed: Iterable[Sealed]) -> None:
        """Remember file sets whose blobs are durable, for `finish`."""
        self._sealed.update((one.id, one) for one in sealed)

    def finish(self, function: Callable[[Tx], T]) -> T:
        """Run the transaction that this session was for, and end the session in it."""

        def work(tx: Tx) -> T:
            self._written.clear()
            answer = function(tx)
            session_rows.end_session(tx, self.gen)
            return answer

        answer = self._catalog.transact(work)
        self._ended = True
        return answer

    def adopt(self, tx: Tx, sealed: Iterable[Sealed], kind: str, key: str) -> None:
        """Give file sets of this session a holder for good, writing their rows first. Refused unless it is open."""
        ids = []
        for one in sealed:
            if one.id in self._sealed and one.id not in self._written:
                fileset_rows.seal(tx, self.gen, [one])
                self._written.add(one.id)
            ids.append(one.id)
        if ids:
            fileset_rows.adopt(tx, self.gen, ids, kind, key)

    def release(self, tx: Tx, fileset: str, kind: str, key: str) -> None:
        """Take one holder away."""
        fileset_rows.release(tx, fileset, kind, key)
