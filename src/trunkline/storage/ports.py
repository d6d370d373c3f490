"""What storage hands to the catalog, and what it needs from it: keys of chunks, sealed file sets, write sessions.

Everything here is plain data that travels over a wire unchanged. The catalog stores a `Sealed` as it is and never
looks inside, but for `id` and the names of the blobs that belong to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec


class ChunkKey(msgspec.Struct, frozen=True, array_like=True, order=True):
    """One incarnation of a chunk: the BLAKE3 of its plain bytes (32 of them), and the session that uploaded it.

    A key is used for one upload and never again, so a late delete of an older incarnation hurts nobody.
    """

    hash: bytes
    gen: int

    @property
    def blob(self) -> str:
        """Name of the blob that holds this incarnation."""
        text = self.hash.hex()
        return f"chunks/{text[:2]}/{text}.{self.gen}"

    def __str__(self) -> str:
        return f"chunk {self.hash.hex()}.{self.gen}"


class NewChunk(msgspec.Struct, frozen=True, array_like=True):
    """A chunk whose blob is durable and whose row is still to be written. Sizes in bytes, plain and as stored."""

    hash: bytes
    gen: int
    size_bytes: int
    stored_bytes: int

    @property
    def key(self) -> ChunkKey:
        """The incarnation this upload made."""
        return ChunkKey(self.hash, self.gen)


class Part(msgspec.Struct, frozen=True, array_like=True):
    """One Parquet blob of a file set: consecutive rows of it. `first` and `last` are the paths of its outer rows."""

    blob: str
    rows: int
    first: str
    last: str
    stored_bytes: int
    digest: bytes
    """BLAKE3 of the blob, checked whenever it is fetched."""
    trees: int = 0
    """How many of the rows hide a subtree; they matter to older file sets beyond this part's paths."""


class Sealed(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A file set that never changes again. Either `body` (small sets) or `parts` holds the rows; both empty: no rows.

    size_bytes: plain bytes of all content rows, an upper bound of what the set adds to a commit.
    chunks: its chunk list, sorted distinct incarnations of 40 bytes each (hash, then gen big-endian); None when the
    list is a blob of its own, named by `chunks_blob`. chunks_digest: BLAKE3 of the list, wherever it lies.
    run: whether it has rows for directories, which hold when it lies on content whose root directory has the hash
    `over` (b"": on nothing); together they are content whose root has the hash `root`. On anything else it is a layer.
    """

    id: str
    rows: int
    size_bytes: int
    body: bytes | None = None
    parts: tuple[Part, ...] = ()
    chunks: bytes | None = None
    chunks_blob: str | None = None
    chunks_digest: bytes = b""
    run: bool = False
    over: bytes = b""
    root: bytes = b""

    def to_bytes(self) -> bytes:
        """For a catalog row or a wire message."""
        return _ENCODER.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Sealed:
        """The reverse of `to_bytes`. Raises msgspec.DecodeError when `data` is none."""
        return _DECODER.decode(data)

    def blobs(self) -> tuple[str, ...]:
        """Names of the blobs with this file set's own rows and chunk list; blobs of chunks are not among them."""
        own = tuple(part.blob for part in self.parts)
        return own if self.chunks_blob is None else (*own, self.chunks_blob)


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Sealed)


class WriteSession(Protocol):
    """A session that is OPEN and committed: what it finds or uploads is not collected while it lives.

    Every method may raise Aborted when the session has been ended. All are safe to call from one thread at a time.
    """

    @property
    def gen(self) -> int:
        """Number of this session, the generation of what it uploads. Never used by another one."""
        ...

    def known(self, hashes: Sequence[bytes]) -> dict[bytes, int]:
        """Which of these chunks may be used without an upload, and in which generation. The others are absent.

        A condemned chunk is made live again by asking. Answers are good for this session only.
        """
        ...

    def register(self, chunks: Iterable[NewChunk]) -> dict[bytes, int]:
        """Record chunks whose blobs are durable. Answers the generation to use for each hash.

        It is another one than offered when somebody else's live row got there first; our blob is then a leftover.
        """
        ...

    def seal(self, sealed: Iterable[Sealed]) -> None:
        """Record file sets whose blobs are durable, held by this session until it ends or they are adopted."""
        ...
