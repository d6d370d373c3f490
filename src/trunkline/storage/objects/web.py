"""Files of web servers, fetched from any offset on."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit

from trunkline.errors import Aborted, InvalidArgument, NotFound, PermissionDenied, Unavailable

SCHEMES = ("http", "https")
PIECE_BYTES = 1 << 20
_TIMEOUT_S = 60.0
_GONE = {404, 410}
_FORBIDDEN = {401, 403, 407}
_PASSING = {408, 425, 429}
_TOTAL = re.compile(r"bytes \d+-\d+/(\d+)\Z")


def opener() -> urllib.request.OpenerDirector:
    """One that speaks HTTP and nothing else: a redirect to a file of this machine leads nowhere."""
    made = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        made.add_handler(handler)
    return made


class WebFile:
    """A file behind an http or https URL. Fills `reading.Remote`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if not parts.hostname:
            raise InvalidArgument(f'"{url}" names no server')
        self.shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        self._url = quote(url, safe="%/:=&?~#+!$,;'@()*[]")
        self._opener = opener()

    def open(self, offset: int, tag: str | None) -> tuple[int | None, str | None, Iterator[bytes]]:
        """See `reading.Remote.open`."""
        headers = {"Accept-Encoding": "identity", "User-Agent": "trunkline"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if tag and not tag.startswith("W/"):
                headers["If-Range"] = tag
        try:
            answer: Any = self._opener.open(urllib.request.Request(self._url, headers=headers), timeout=_TIMEOUT_S)
        except HTTPError as error:
            raise self._refused(error.code, error.reason) from error
        except (URLError, HTTPException, OSError, ValueError) as error:
            raise Unavailable(f"cannot read {self.shown}: {getattr(error, 'reason', error)}") from error
        now = answer.headers.get("ETag")
        if tag and now != tag:
            answer.close()
            raise Aborted(f"{self.shown} changed while it was being fetched; start again")
        return self._size(answer), now, self._pieces(answer, offset if answer.status == 200 else 0)

    def _size(self, answer: HTTPResponse) -> int | None:
        total = _TOTAL.match(answer.headers.get("Content-Range", ""))
        if total:
            return int(total[1])
        length = answer.headers.get("Content-Length", "")
        return int(length) if answer.status == 200 and length.isdigit() else None

    def _pieces(self, answer: HTTPResponse, skip: int) -> Iterator[bytes]:
        """skip: bytes that are known already, where the server gave the whole file instead of its rest."""
        with answer:
            try:
                while piece := answer.read(PIECE_BYTES):
                    if skip < len(piece):
                        yield piece[skip:]
                    skip = max(0, skip - len(piece))
            except (HTTPException, OSError) as error:
                raise Unavailable(f"reading {self.shown} broke off: {error}") from error

    def _refused(self, status: int, reason: str) -> Exception:
        said = f"{status} {reason}"
        if status in _GONE:
            return NotFound(f"{self.shown} not found: the server answered {said}")
        if status in _FORBIDDEN:
            return PermissionDenied(f"{self.shown} may not be read: the server answered {said}")
        if status >= 500 or status in _PASSING:
            return Unavailable(f"cannot read {self.shown}: the server answered {said}")
        return InvalidArgument(f"cannot read {self.shown}: the server answered {said}")
