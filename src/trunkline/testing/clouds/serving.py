"""A web server that holds objects: what is the same for every make of store."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import ClassVar, Self, cast
from urllib.parse import parse_qsl, unquote, urlsplit

LAST_MODIFIED = "Sun, 06 Nov 1994 08:49:37 GMT"
"""Every object is as old as this; nobody asks."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. path: unescaped, without its first slash. headers: by their names in small letters."""

    method: str
    target: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with. size_bytes: of the object, where the body is not to be sent."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    size_bytes: int | None = None


class Cloud:
    """A server on a free port of this machine, as a context. page: how many names it lists in one answer."""

    def __init__(self, page: int = 1000) -> None:
        self.page = page
        self.objects: dict[str, bytes] = {}
        """By container and path, as "container/path"."""
        self.gone: set[str] = set()
        """Containers that do not exist; any other does."""
        self.asked: list[str] = []
        """The requests so far, as "GET"."""
        self.lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, asked: Asked) -> Answer:
        """What the store says to a request; holds the lock."""
        raise NotImplementedError

    def read(self, asked: Asked, name: str) -> Answer:
        """An object, or the span of it that the header Range names."""
        data = self.objects.get(name)
        if data is None:
            return Answer(404)
        said = {"ETag": tag(data), "Last-Modified": LAST_MODIFIED, "Content-Type": "application/octet-stream"}
        if asked.method == "HEAD":
            return Answer(200, headers=said, size_bytes=len(data))
        if "range" not in asked.headers:
            return Answer(200, data, said)
        first, _, last = asked.headers["range"].removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last) + 1 if last else len(data), len(data))
        if start >= len(data):
            return Answer(416, headers={"Content-Range": f"bytes */{len(data)}"})
        return Answer(206, data[start:end], {**said, "Content-Range": f"bytes {start}-{end - 1}/{len(data)}"})

    def listed(self, container: str, query: Mapping[str, str], after: str) -> tuple[list[str], str]:
        """A page of names and of folders ("x/"), in order, without the container; and where the next page begins."""
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        found: set[str] = set()
        for name in self.objects:
            path = name.removeprefix(f"{container}/")
            if path == name or not path.startswith(prefix):
                continue
            head, cut, _ = path[len(prefix) :].partition(delimiter) if delimiter else (path[len(prefix) :], "", "")
            found.add(prefix + head + cut)
        rest = sorted(name for name in found if name > after)
        return rest[: self.page], rest[self.page - 1] if len(rest) > self.page else ""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def tag(data: bytes) -> str:
    """The ETag of a content."""
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


class _Server(ThreadingHTTPServer):
    """daemon: connections that clients keep open are not waited for."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm: ClassVar[bool] = True

    def _serve(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        cloud = cast(_Server, self.server).cloud
        asked = Asked(self.command, url.path, unquote(url.path).lstrip("/"), query, headers, body)
        with cloud.lock:
            cloud.asked.append(self.command)
            said = cloud.answer(asked)
        self.send_response(said.status)
        for name, value in said.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(said.body) if said.size_bytes is None else said.size_bytes))
        self.end_headers()
        self.wfile.write(said.body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
