"""Objects read: whole, in part, under conditions, or only their headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from itertools import chain

from starlette.responses import Response, StreamingResponse

from trunkline.gateway.s3.documents import http_date
from trunkline.gateway.s3.faults import Fault
from trunkline.gateway.s3.ports import Object, Shelf
from trunkline.gateway.s3.requests import S3Request

_RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z")
_OVERRIDES = ("cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires")


async def get_object(request: S3Request) -> Response:
    """GetObject, and HeadObject, which has no body."""

    shelf, found = await request.work.do(lambda: _opened(request))
    headers = _headers(shelf, found) | _overridden(request)
    status = conditions(request.headers, found)
    if status == 304:
        return Response(status_code=304, headers=headers)
    start, end = _span(request.headers, found)
    headers["content-length"] = str(end - start)
    if (start, end) != (0, found.size_bytes) or _RANGE.match(request.headers.get("range", "")):
        headers["content-range"] = f"bytes {start}-{end - 1}/{found.size_bytes}"
        status = 206
    if request.http.method == "HEAD" or start == end:
        return Response(status_code=status, headers=headers)
    # The first piece is read before the answer begins: what is wrong with it can still be said.
    pieces = shelf.read(found.key, start, end - start)
    first = await request.work.do(lambda: next(pieces, b""))
    return StreamingResponse(map(bytes, chain([first], pieces)), status, headers)


def _opened(request: S3Request) -> tuple[Shelf, Object]:
    shelf = request.shop.open(request.bucket, request.query.get("versionId", ""))
    return shelf, need_object(shelf, request.bucket, request.key)


def need_object(shelf: Shelf, bucket: str, key: str) -> Object:
    """One object. Raises Fault NoSuchKey."""
    found = shelf.find(key) if key else None
    if found is None:
        raise Fault("NoSuchKey", f"there is no object {key} in the bucket {bucket}")
    return found


def _headers(shelf: Shelf, found: Object) -> dict[str, str]:
    headers = {
        "etag": f'"{found.etag}"',
        "last-modified": http_date(found.modified_us),
        "accept-ranges": "bytes",
        "content-type": "binary/octet-stream",
        "x-amz-storage-class": "STANDARD",
    }
    return headers | ({"x-amz-version-id": shelf.version} if shelf.version else {})


def _overridden(request: S3Request) -> dict[str, str]:
    """Headers that a signed address asks for."""
    given = {name: request.query.get(f"response-{name}", "") for name in _OVERRIDES}
    return {name: value for name, value in given.items() if value and value.isprintable() and value.isascii()}


def conditions(headers: Mapping[str, str], found: Object, prefix: str = "if-") -> int:
    """200, or 304 where the client has this object already. Raises Fault PreconditionFailed."""
    match = headers.get(f"{prefix}match")
    if match is not None:
        if not _names(match, found):
            raise Fault("PreconditionFailed", "the object is another one by now: its ETag is not the one in If-Match")
    elif _later(found, headers.get(f"{prefix}unmodified-since")) is True:
        raise Fault("PreconditionFailed", "the object was written after the moment in If-Unmodified-Since")
    none = headers.get(f"{prefix}none-match")
    if none is not None:
        return 304 if _names(none, found) else 200
    return 304 if _later(found, headers.get(f"{prefix}modified-since")) is False else 200


def _names(match: str, found: Object) -> bool:
    etags = [one.strip().removeprefix("W/").strip('"') for one in match.split(",")]
    return "*" in etags or found.etag in etags


def _later(found: Object, text: str | None) -> bool | None:
    """Whether an object was written after a moment, in whole seconds; None: no moment is given."""
    if not text:
        return None
    try:
        return found.modified_us // 1_000_000 > parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None


def _span(headers: Mapping[str, str], found: Object) -> tuple[int, int]:
    """Which bytes are asked for: from, and to before. Several ranges at once are answered with the whole."""
    size = found.size_bytes
    wanted = _RANGE.match(headers.get("range", "").replace(" ", ""))
    if wanted is None or not any(wanted.groups()):
        return 0, size
    return span_of(wanted, size)


def span_of(wanted: re.Match[str], size: int) -> tuple[int, int]:
    """The bytes that a range means of so many. Raises Fault InvalidRange where it lies past the end."""
    first, last = wanted.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if start >= end:
        raise Fault("InvalidRange", f"the range {wanted[0]} lies outside of the {size} bytes there are")
    return start, end


def ranged(text: str, size: int) -> tuple[int, int]:
    """The bytes that a header of a range means. Raises Fault."""
    wanted = _RANGE.match(text)
    if wanted is None or not all(wanted.groups()):
        raise Fault("InvalidArgument", f'"{text[:60]}" is no range: bytes=FIRST-LAST is expected')
    return span_of(wanted, size)
