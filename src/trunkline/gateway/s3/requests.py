"""A request as the operations see it, and the answers they give."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import unquote

import anyio
import anyio.from_thread
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from trunkline.gateway.s3.documents import MAX_BYTES, document
from trunkline.gateway.s3.faults import Fault
from trunkline.gateway.s3.payload import Decoder
from trunkline.gateway.s3.ports import Shop
from trunkline.gateway.s3.signing import Asked, Signed

T = TypeVar("T")

PIECE_BYTES = 256 << 10
"""So much of a body is gathered before a thread gets it."""

HANDS = 64
"""Requests that work at once; a slow upload takes one of them as long as it lasts."""


class Work:
    """The threads that requests work in."""

    def __init__(self) -> None:
        self._limiter: anyio.CapacityLimiter | None = None

    async def do(self, function: Callable[[], T]) -> T:
        """Run a function in a thread."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(HANDS)
        return await anyio.to_thread.run_sync(function, limiter=self._limiter)


@dataclass(frozen=True)
class S3Request:
    """One request. key: "" for one about a bucket; bucket: "" for one about all of them."""

    http: Request
    asked: Asked
    signed: Signed
    shop: Shop
    work: Work
    bucket: str
    key: str
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case."""
        return self.asked.headers

    def number(self, name: str, otherwise: int, most: int) -> int:
        """A number of the query, bounded. Raises Fault InvalidArgument."""
        text = self.query.get(name, "")
        if not text:
            return otherwise
        if not text.isascii() or not text.isdigit():
            raise Fault("InvalidArgument", f'{name} must be a number from 0 on, not "{text[:40]}"')
        return min(int(text[:10]), most)

    def body(self) -> Iterator[bytes]:
        """The body, for a thread of `work`: read as it is taken, and judged at its end."""
        decoder = Decoder(self.headers, self.signed)
        stream = self.http.stream()
        while True:
            data = anyio.from_thread.run(_gather, stream)
            if not data:
                decoder.finish()
                return
            yield from decoder.feed(data)

    async def document(self) -> bytes:
        """The whole body, which is a document."""

        def whole() -> bytes:
            found = bytearray()
            for piece in self.body():
                found += piece
                if len(found) > MAX_BYTES:
                    raise Fault("EntityTooLarge", f"the document has more than {MAX_BYTES} bytes")
            return bytes(found)

        return await self.work.do(whole)


async def _gather(stream: AsyncIterator[bytes]) -> bytes:
    """Some of a body; b"" at its end."""
    found = bytearray()
    async for data in stream:
        found += data
        if len(found) >= PIECE_BYTES:
            break
    return bytes(found)


def asked_of(request: Request) -> Asked:
    """What of a request is signed."""
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    path = request.scope.get("raw_path") or request.scope["path"].encode()
    return Asked(request.method, path, request.scope["query_string"].decode("latin-1"), headers)


def place_of(path: bytes) -> tuple[str, str]:
    """Bucket and key of an address. Raises Fault InvalidFilePath for bytes that are no text."""
    try:
        text = unquote(path.decode("latin-1"), errors="strict")
    except UnicodeDecodeError:
        raise Fault("InvalidFilePath", "a key has to be valid UTF-8") from None
    bucket, _, key = text.lstrip("/").partition("/")
    return bucket, key.strip("/")


def xml(
    name: str, fields: Mapping[str, object], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer that is a document."""
    return Response(document(name, fields), 200, headers, "application/xml")


def source_of(request: S3Request) -> tuple[str, str, str]:
    """Bucket, key and version of what is to be copied."""
    path, _, query = request.headers["x-amz-copy-source"].partition("?")
    bucket, key = place_of(path.encode("utf-8", "surrogateescape"))
    if not bucket or not key:
        raise Fault("InvalidArgument", "x-amz-copy-source must be BUCKET/KEY")
    return bucket, key, unquote(query.removeprefix("versionId=")) if query.startswith("versionId=") else ""
