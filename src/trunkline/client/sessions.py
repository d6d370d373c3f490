"""A write session that a worker has through the wire: storage's port onto the calls of `trunkline.worker.v1`."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from trunkline.storage.ports import NewChunk, Sealed
from trunkline.wire.gen import worker_pb2 as messages
from trunkline.wire.gen.worker_pb2_grpc import WorkersStub

BATCH = 1000
"""Hashes or chunks in one call."""


class RemoteSession:
    """One write session of a worker. Safe between threads: one part is written while another is reported."""

    def __init__(self, calls: WorkersStub, worker: str, gen: int = 0) -> None:
        """gen: of one that is open already; 0: open one."""
        self._calls = calls
        self.gen: int = gen or calls.OpenSession(messages.OpenSessionRequest(worker=worker)).gen
        self.used = False
        """Whether it holds anything, or knows of any chunk: it then keeps what it need not."""
        self._known: dict[bytes, int] = {}
        # While answers are on their way, a refresh would leave them out, and collection could take what they name.
        self._lock = threading.RLock()

    def known(self, hashes: Sequence[bytes]) -> dict[bytes, int]:
        """Which chunks may be used without an upload; see `storage.ports.WriteSession`."""
        with self._lock:
            asked = list(dict.fromkeys(digest for digest in hashes if digest not in self._known))
            for start in range(0, len(asked), BATCH):
                request = messages.KnownRequest(gen=self.gen, hashes=asked[start : start + BATCH])
                self._learn(self._calls.Known(request))
            return {digest: self._known[digest] for digest in hashes if digest in self._known}

    def register(self, chunks: Iterable[NewChunk]) -> dict[bytes, int]:
        """Record uploaded chunks; see `storage.ports.WriteSession`."""
        rows = [
            messages.NewChunk(hash=one.hash, gen=one.gen, size_bytes=one.size_bytes, stored_bytes=one.stored_bytes)
            for one in chunks
        ]
        learned: dict[bytes, int] = {}
        with self._lock:
            for start in range(0, len(rows), BATCH):
                request = messages.RegisterRequest(gen=self.gen, chunks=rows[start : start + BATCH])
                learned |= self._learn(self._calls.Register(request))
        return learned

    def _learn(self, answer: messages.Chunks) -> dict[bytes, int]:
        learned = dict(zip(answer.hashes, answer.gens, strict=True))
        self._known |= learned
        self.used = self.used or bool(learned)
        return learned

    def seal(self, sealed: Iterable[Sealed]) -> None:
        """Nothing to say yet: sealed file sets travel with the report that adopts them, in one transaction."""

    def hold(self, filesets: Sequence[str]) -> list[Sealed]:
        """Hold file sets for reading as long as this session lives; what they are, in that order."""
        self.used = True
        answer = self._calls.Hold(messages.HoldRequest(gen=self.gen, filesets=list(filesets)))
        return [Sealed.from_bytes(body) for body in answer.sealed]

    def refresh(self) -> None:
        """Keep the session, and let collection go on beside it. Raises FailedPrecondition once it is over."""
        with self._lock:
            hits = dict(self._known)
            self._calls.Refresh(messages.RefreshRequest(gen=self.gen, hashes=hits.keys(), gens=hits.values()))

    def end(self) -> None:
        """Give back what was not adopted."""
        self._calls.EndSession(messages.EndSessionRequest(gen=self.gen))
