"""Chunks over HTTP, for who was given a signed address: `storage.Fileset/ReadFilesetCDR` gives such."""

from __future__ import annotations

import asyncio
import re

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from trunkline.errors import NotFound, PermissionDenied, TrunklineError
from trunkline.pfs.lent.links import PATH, Links

AT_ONCE = 4
"""Chunks in memory for clients at the same time; the others wait."""
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def chunk_route(links: Links) -> Route:
    """`GET /chunks/NAME?expires=…&signature=…`, whole or a range of bytes."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def chunk(request: Request) -> Response:
        asked = request.query_params
        name, expires, signature = request.path_params["name"], asked.get("expires", ""), asked.get("signature", "")
        async with turns:
            try:
                data = await asyncio.to_thread(links.read, name, expires, signature)
            except TrunklineError as error:
                return _refused(error)
        return ranged(data, request.headers.get("range", ""))

    return Route(PATH + "{name}", chunk)


def ranged(data: bytes, asked: str) -> Response:
    """The bytes that a Range header asks for: all of them where it asks for something that is no single range."""
    headers = {"accept-ranges": "bytes", "cache-control": "private, no-store"}
    found = _RANGE.fullmatch(asked.strip())
    if found is None or not (found[1] or found[2]):
        return Response(data, media_type="application/octet-stream", headers=headers)
    if found[1]:
        start, end = int(found[1]), min(int(found[2]) + 1 if found[2] else len(data), len(data))
    else:
        start, end = max(0, len(data) - int(found[2])), len(data)
    if start >= end:
        words = f"bytes {asked.strip().removeprefix('bytes=')} were asked for, and there are {len(data)}\n"
        return PlainTextResponse(words, 416, headers={"content-range": f"bytes */{len(data)}"})
    headers["content-range"] = f"bytes {start}-{end - 1}/{len(data)}"
    return Response(data[start:end], 206, media_type="application/octet-stream", headers=headers)


def _refused(error: TrunklineError) -> Response:
    status = 403 if isinstance(error, PermissionDenied) else 410 if isinstance(error, NotFound) else 500
    return PlainTextResponse(f"{error}\n", status)
