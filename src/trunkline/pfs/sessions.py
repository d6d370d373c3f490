"""Write sessions of this process: storage's port onto the catalog's collection rows.

What a session finds, uploads and seals is safe while it lives. `seal` only remembers; the rows are written by
`finish`, in the one transaction that also adopts them, so that a stream costs two transactions and not five.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import TypeVar

from trunkline.ambient import Ambient
from trunkline.catalog.collection import chunks as chunk_rows
from trunkline.catalog.collection import filesets as fileset_rows
from trunkline.catalog.collection import sessions as session_rows
from trunkline.catalog.engine import Catalog, Tx
from trunkline.storage import NewChunk, Sealed

T = TypeVar("T")

REFRESH_S = 600.0
"""A session older than this is refreshed, so that collection need not wait for a stream that never ends."""


class Session:
    """One write session; a context manager that ends it, with or without result."""

    def __init__(
        self,
        catalog: Catalog,
        kind: str,
        ended: Callable[[int], None] = lambda _: None,
        first: Callable[[Tx, int], object] = lambda _tx, _gen: None,
    ) -> None:
        """first: done in the transaction that opens it; where it raises, nothing was opened."""
        self._catalog = catalog
        self._tell_ended = ended
        self._known: dict[bytes, int] = {}
        self._sealed: dict[str, Sealed] = {}
        self._written: set[str] = set()
        self._ended = False
        # What is found while a refresh runs would be left out of it, and could be collected.
        self._lock = threading.Lock()

        def begin(tx: Tx) -> int:
            gen = session_rows.open_session(tx, kind, leased=not catalog.alone)
            first(tx, gen)
            return gen

        self.gen: int = catalog.transact(begin)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._ended:
            self._ended = True
            self._catalog.transact(lambda tx: session_rows.end_session(tx, self.gen))
        self._tell_ended(self.gen)

    def known(self, hashes: Sequence[bytes]) -> dict[bytes, int]:
        """Which chunks may be used without an upload; see `storage.ports.WriteSession`."""
        with self._lock:
            asked = [digest for digest in hashes if digest not in self._known]
            if asked:
                self._known |= chunk_rows.ask(self._catalog, self.gen, asked)
            return {digest: self._known[digest] for digest in hashes if digest in self._known}

    def register(self, chunks: Iterable[NewChunk]) -> dict[bytes, int]:
        """Record uploaded chunks; see `storage.ports.WriteSession`."""
        rows = list(chunks)
        with self._lock:
            answer = self._catalog.transact(lambda tx: chunk_rows.register(tx, self.gen, rows))
            self._known |= answer
        return answer

    def refresh(self) -> None:
        """Count as newly opened; what was found stays. Does nothing once the session has ended.

        Raises Aborted when somebody else ended it.
        """
        with self._lock:
            if not self._ended:
                self._catalog.transact(self._refresh)

    def _refresh(self, tx: Tx) -> None:
        # It may have ended while this waited for its turn.
        if session_rows.is_open(tx, self.gen):
            chunk_rows.refresh(tx, self.gen, self._known.items())

    def seal(self, sealed: Iterable[Sealed]) -> None:
        """Remember file sets whose blobs are durable, for `finish`."""
        self._sealed.update((one.id, one) for one in sealed)

    def write_down(self) -> None:
        """Write the rows of what was sealed so far, held by this session: it need not be remembered any longer."""
        rows = list(self._sealed.values())
        self._catalog.transact(lambda tx: fileset_rows.seal(tx, self.gen, rows))
        self._sealed.clear()

    def finish(self, function: Callable[[Tx], T]) -> T:
        """Run the transaction that this session was for, and end the session in it."""

        def work(tx: Tx) -> T:
            self._written.clear()
            answer = function(tx)
            session_rows.end_session(tx, self.gen)
            return answer

        answer = self._catalog.transact(work)
        self._ended = True
        self._tell_ended(self.gen)
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


class Sessions:
    """The write sessions of this process that are open. Safe between threads."""

    def __init__(self, catalog: Catalog, ambient: Ambient) -> None:
        self._catalog, self._ambient = catalog, ambient
        self._open: dict[int, tuple[Session, float]] = {}

    def open(self, kind: str, first: Callable[[Tx, int], object] = lambda _tx, _gen: None) -> Session:
        """A new one. first: done in the transaction that opens it."""
        session = Session(self._catalog, kind, self._forget, first)
        self._open[session.gen] = (session, self._ambient.ticks_s())
        return session

    def _forget(self, gen: int) -> None:
        self._open.pop(gen, None)

    def renew(self) -> None:
        """Say that all of them live, where others could think that this process is dead."""
        gens = [] if self._catalog.alone else list(self._open)
        if gens:
            self._catalog.transact(lambda tx: session_rows.renew(tx, gens))

    def refresh_old(self) -> int:
        """Refresh those that were opened or refreshed long ago. Answers how many were."""
        old_s = self._ambient.ticks_s() - REFRESH_S
        old = [session for session, at_s in list(self._open.values()) if at_s <= old_s]
        for session in old:
            session.refresh()
            if session.gen in self._open:
                self._open[session.gen] = (session, self._ambient.ticks_s())
        return len(old)
