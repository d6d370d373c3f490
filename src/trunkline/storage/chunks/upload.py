"""New content on its way into the store: hashed, looked up, compressed and put, several chunks at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from blake3 import blake3

from trunkline.storage.blobs import BlobStore
from trunkline.storage.chunks.frames import encode
from trunkline.storage.ports import ChunkKey, NewChunk, WriteSession

_LOOK_UP = 8  # chunks asked for in one call, or fewer that are half of what may be held
_REGISTER = 256  # chunks recorded in one call

CACHED_BYTES = 256 << 20
"""Of the content that one session stores, so much is left in the machine's page cache for whoever reads it next; what
comes after it is written past the cache, which costs less and pushes nothing else out."""


class Ticket:
    """A chunk handed to an `Uploader`. `key` can be read after the uploader's next `flush`."""

    def __init__(self, plain: bytes | memoryview, bounds: Sequence[int]) -> None:
        self.plain: bytes | memoryview = plain
        self.bounds = bounds
        self.hash = b""
        self.gen = -1

    @classmethod
    def done(cls, key: ChunkKey) -> Ticket:
        """For a chunk that is stored already."""
        ticket = cls(b"", ())
        ticket.hash, ticket.gen = key.hash, key.gen
        return ticket

    @property
    def key(self) -> ChunkKey:
        """Name of the chunk that holds the content now. Raises ValueError before the flush."""
        if self.gen < 0:
            raise ValueError("the chunk is still on its way")
        return ChunkKey(self.hash, self.gen)


class Pools:
    """Threads that uploaders share. Who hashes is not who puts: a hash that stood in line behind what waits for the
    disk would keep whoever cuts the next pieces waiting, too."""

    def __init__(self, threads: int) -> None:
        """threads: that many chunks are compressed and put at once, and half as many hashed."""
        self.hashing = ThreadPoolExecutor(max(1, threads // 2), thread_name_prefix="hash")
        self.putting = ThreadPoolExecutor(threads, thread_name_prefix="upload")

    def shutdown(self) -> None:
        """End the threads. What has not begun is not done, and what has begun is not waited for."""
        for pool in (self.hashing, self.putting):
            pool.shutdown(wait=False, cancel_futures=True)


class Uploader:
    """Stores chunks for one session. Used by one thread; hashing, compressing and putting run in `pools`.

    A chunk the session knows is not compressed or put again. Blob first, row second: a crash between them leaves an
    unnamed blob for the sweep, the other order would leave a row that names nothing (I-1). Holds at most `limit_bytes`
    of plain content, and one chunk more. After an error nothing more may be added.
    """

    def __init__(self, blobs: BlobStore, session: WriteSession, pools: Pools, limit_bytes: int) -> None:
        self._blobs = blobs
        self._session = session
        self._pools = pools
        self._limit = limit_bytes
        self._held = self._unasked = self._stored = 0
        self._hashing: deque[tuple[Ticket, Future[bytes]]] = deque()
        self._putting: deque[tuple[int, Future[NewChunk]]] = deque()
        self._unrecorded: list[NewChunk] = []
        self._gens: dict[bytes, int] = {}
        self._tickets: list[Ticket] = []

    def add(self, plain: bytes | memoryview, bounds: Sequence[int] = ()) -> Ticket:
        """Take one chunk; bounds as in `encode`. May wait for earlier ones, and raises what went wrong with them."""
        ticket = Ticket(plain, bounds)
        self._held += len(plain)
        self._unasked += len(plain)
        self._hashing.append((ticket, self._pools.hashing.submit(_digest, ticket)))
        self._tickets.append(ticket)
        if len(self._hashing) >= _LOOK_UP or self._unasked >= self._limit // 2:
            self._look_up()
        while self._held > self._limit and (self._putting or self._hashing):
            # One question for many chunks costs what it does for one: those that wait for theirs wait for company.
            if self._putting:
                self._finish_oldest()
            else:
                self._look_up()
        return ticket

    def known(self, hashes: Sequence[bytes]) -> dict[bytes, int]:
        """As `WriteSession.known`; asks the session for each chunk once."""
        unknown = list({digest: None for digest in hashes if digest not in self._gens})
        if unknown:
            self._gens.update(self._session.known(unknown))
        return {digest: self._gens[digest] for digest in hashes if digest in self._gens}

    def wait_for_one(self) -> bool:
        """Return when one chunk more is stored, and nobody looks into it any more. False: none is on its way."""
        if not self._putting:
            self._look_up()
        if self._putting:
            self._finish_oldest()
            return True
        return False

    def flush(self) -> None:
        """Return when everything added is durable and recorded. Raises what went wrong with any of it."""
        self._look_up()
        while self._putting:
            self._finish_oldest()
        self._record()
        for ticket in self._tickets:
            ticket.gen = self._gens[ticket.hash]
        self._tickets.clear()

    def close(self) -> None:
        """Wait for what is running, whatever comes of it. For a caller that gives up."""
        for _, putting in self._putting:
            putting.cancel()
        for _, putting in self._putting:
            if not putting.cancelled():
                putting.exception()
        self._putting.clear()
        self._hashing.clear()

    def _look_up(self) -> None:
        batch = [(ticket, hashing.result()) for ticket, hashing in self._hashing]
        self._hashing.clear()
        self._unasked = 0
        self.known([digest for _, digest in batch])
        for ticket, digest in batch:
            ticket.hash = digest
            plain, bounds = ticket.plain, ticket.bounds
            ticket.plain, ticket.bounds = b"", ()
            if digest in self._gens:
                self._held -= len(plain)
                continue
            self._gens[digest] = self._session.gen
            key = ChunkKey(digest, self._session.gen)
            self._stored += len(plain)
            passing = self._stored > CACHED_BYTES
            self._putting.append(
                (len(plain), self._pools.putting.submit(_store, self._blobs, key, [plain], bounds, passing))
            )

    def _finish_oldest(self) -> None:
        size, putting = self._putting[0]
        self._unrecorded.append(putting.result())
        self._putting.popleft()
        self._held -= size
        if len(self._unrecorded) >= _REGISTER:
            self._record()

    def _record(self) -> None:
        if self._unrecorded:
            self._gens.update(self._session.register(self._unrecorded))
            self._unrecorded = []


def _digest(ticket: Ticket) -> bytes:
    return blake3(ticket.plain).digest()


def _store(
    blobs: BlobStore, key: ChunkKey, held: list[bytes | memoryview], bounds: Sequence[int], passing: bool
) -> NewChunk:
    # Taken from whoever asked: when he hears that it is stored, nobody has it any more, and its memory can be used.
    plain = held.pop()
    blob = encode(plain, bounds)
    blobs.put(key.blob, blob, passing=passing)
    return NewChunk(key.hash, key.gen, len(plain), sum(map(len, blob)))
