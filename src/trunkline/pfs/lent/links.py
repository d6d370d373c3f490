"""Content by reference: addresses from which a client fetches the chunks of a lent file set itself.

An address is signed and good for half an hour, counted by the clock of leases: whoever has it may read that one chunk,
and nothing else. The key is this process's own, so that a restart ends all of them.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import blake2b
from urllib.parse import urlencode

from trunkline.errors import BlobGone, NotFound, PermissionDenied
from trunkline.pfs.lent.leases import Leases
from trunkline.storage import ChunkKey, Content
from trunkline.storage.cached import Cache

LINK_S = 1800
"""How long an address is good; no lease lasts longer without a renewal."""
PATH = "/chunks/"
_INLINE = "inline."
_HASHES = 100_000


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a file: from `start` to before `end` of what is at `url`, which has `length` bytes. hash: BLAKE2b-256 of
    all of these."""

    url: str
    hash: bytes
    length: int
    start: int
    end: int


class Links:
    """Makes addresses, and reads what they name. key: 32 secret bytes. origin: http://HOST:PORT of this server."""

    def __init__(self, leases: Leases, key: bytes, origin: Callable[[], str]) -> None:
        self._leases, self._key, self._origin = leases, key, origin
        self._store = leases.files.store
        self._known: Cache[tuple[bytes, int]] = Cache(_HASHES, lambda _: 1)

    def parts(self, content: Content) -> list[Part]:
        """Where the bytes of a file are, in order. A chunk that is seen for the first time is read for its hash."""
        found: list[Part] = []
        for piece in content.pieces:
            name = _INLINE + _text(piece.inline or b"") if piece.chunk is None else _name(piece.chunk)
            digest, length = self._known.get(name, lambda name=name: _summed(self._bytes(name)))  # type: ignore[misc]
            end = piece.offset + piece.length
            part = Part(self._link(name), digest, length, piece.offset, end)
            before = found[-1] if found else None
            if before is not None and (before.url, before.end) == (part.url, part.start):
                found[-1] = replace(before, end=end)
            elif piece.length:
                found.append(part)
        return found

    def read(self, name: str, expires: str, signature: str) -> bytes:
        """What an address names, checked. Raises PermissionDenied for one that nobody was given or whose time is over,
        NotFound for content that was deleted."""
        if not hmac.compare_digest(signature.encode(), self._signature(name, expires).encode()):
            raise PermissionDenied(
                "this address was not given out by this server as it runs now; ask for the file set's references again"
            )
        if int(expires) <= self._leases.now_s:
            raise PermissionDenied("this address has expired; ask for the file set's references again")
        try:
            return self._bytes(name)
        except BlobGone:
            raise NotFound(
                "what this address names has been deleted; a file set has to be renewed while it is read"
            ) from None

    def _link(self, name: str) -> str:
        expires = str(self._leases.now_s + LINK_S)
        asked = urlencode({"expires": expires, "signature": self._signature(name, expires)})
        return f"{self._origin()}{PATH}{name}?{asked}"

    def _signature(self, name: str, expires: str) -> str:
        return hmac.digest(self._key, f"{name}\n{expires}".encode(), "sha256").hex()

    def _bytes(self, name: str) -> bytes:
        if name.startswith(_INLINE):
            return urlsafe_b64decode(name.removeprefix(_INLINE))
        text, _, gen = name.partition(".")
        return self._store.reader.whole(ChunkKey(bytes.fromhex(text), int(gen)))


def _name(key: ChunkKey) -> str:
    return f"{key.hash.hex()}.{key.gen}"


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode()


def _summed(data: bytes) -> tuple[bytes, int]:
    return blake2b(data, digest_size=32).digest(), len(data)
