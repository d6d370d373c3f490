"""A proxy in front of an object store that has bad days: it answers 500, at times or always, or takes its time."""

from __future__ import annotations

import http.client
import itertools
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from trunkline.ambient import RealAmbient

_ERROR = b'<?xml version="1.0"?><Error><Code>InternalError</Code><Message>a bad day</Message></Error>'
_OWN = ("connection", "keep-alive", "transfer-encoding", "content-length")


class Proxy:
    """As a context it serves, at `endpoint`; what it is told while it does holds from the next request on."""

    def __init__(self, endpoint: str) -> None:
        self.fail_every = 0
        """Each n-th request is answered by 500 and does nothing; 1: all of them; 0: none."""
        self.delay_s = 0.0
        """So long a request waits before it is passed on."""
        self.failed = 0
        """How many were answered by 500."""
        self.passed = 0
        self._to = urlsplit(endpoint).netloc
        self._number = itertools.count(1)
        self._ambient = RealAmbient()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True

    @property
    def endpoint(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def well(self) -> None:
        """No more trouble."""
        self.fail_every, self.delay_s = 0, 0.0

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="proxy", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _fails(self) -> bool:
        number = next(self._number)
        return bool(self.fail_every) and number % self.fail_every == 0

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if proxy._fails():
                    proxy.failed += 1
                    self._answer(500, [("Content-Type", "application/xml")], _ERROR)
                    return
                proxy._ambient.sleep(proxy.delay_s)
                there = http.client.HTTPConnection(proxy._to, timeout=60)
                try:
                    # With the Host that was asked for: it is part of what is signed.
                    there.request(self.command, self.path, body, dict(self.headers.items()))
                    answer = there.getresponse()
                    proxy.passed += 1
                    self._answer(answer.status, answer.getheaders(), answer.read())
                finally:
                    there.close()

            def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
                self.send_response_only(status)
                known = dict(headers)
                for name, value in headers:
                    if name.lower() not in _OWN:
                        self.send_header(name, value)
                size = known.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
                self.send_header("Content-Length", size)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass_on

            def log_message(self, format: str, *args: Any) -> None: ...

        return Handler
