"""Certificates that are trusted besides the machine's own."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from trunkline.app.pods.side import store_keys
from trunkline.app.tls.trusted import TRUSTED, trust
from trunkline.testing.tls.certificates import make

ASKS = """
import os, sys, urllib.request
from trunkline.app.tls.trusted import trust
trust(os.environ)
import obstore
from obstore.store import HTTPStore
print(urllib.request.urlopen(sys.argv[1] + "/x").read().decode())
print(bytes(obstore.get(HTTPStore.from_url(sys.argv[1]), "x").bytes()).decode())
"""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.send_header("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")
        self.send_header("ETag", '"x"')
        self.end_headers()
        self.wfile.write(b"there")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The URL of a server, and the authority that has signed its certificate."""
    authority = make()
    files = make("127.0.0.1", issuer=authority, signs=False).write(tmp_path_factory.mktemp("tls"))
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}", authority.certificate.decode()
    server.shutdown()
    thread.join()
    server.server_close()


def asked(url: str, **variables: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", ASKS, url]
    environ = {**os.environ, "no_proxy": "*", **variables}
    return subprocess.run(words, env=environ, capture_output=True, text=True, check=False)


def test_stores_and_web_servers_are_trusted_by_the_variable_alone(served: tuple[str, str]) -> None:
    url, authority = served
    told = asked(url, **{TRUSTED: f"$(NOT_THERE){authority}"})
    assert told.stdout.split() == ["there", "there"], told.stderr
    assert "CERTIFICATE_VERIFY_FAILED" in asked(url).stderr


def test_those_that_were_trusted_before_still_are(tmp_path: Path) -> None:
    before, more = make("a").certificate.decode(), make("b").certificate.decode()
    (tmp_path / "before").write_text(before)
    environ = {"SSL_CERT_FILE": str(tmp_path / "before"), TRUSTED: more + more}
    trust(environ)
    told = Path(environ["SSL_CERT_FILE"]).read_text()
    assert told.count("BEGIN") == 3
    assert told.startswith(before)
    assert more in told


def test_without_a_certificate_nothing_changes_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    environ = {TRUSTED: "$(A)$(B)"}
    trust(environ)
    assert environ == {TRUSTED: "$(A)$(B)"}
    assert "holds no certificate in PEM" in caplog.text
    caplog.clear()
    trust({})
    assert not caplog.text


def test_certificates_need_no_line_between_them() -> None:
    one, other = make("a").certificate.decode().rstrip("\n"), make("b").certificate.decode()
    environ = {TRUSTED: one + other}
    trust(environ)
    context = ssl.create_default_context(cafile=environ["SSL_CERT_FILE"])
    names = [dict(part[0] for part in each["subject"]).get("commonName") for each in context.get_ca_certs()]
    assert {"a", "b"} <= set(names)


def test_workers_in_pods_trust_whom_the_server_trusts() -> None:
    assert store_keys({TRUSTED: "c", "SSL_CERT_FILE": "/f"}, "s3://b") == {TRUSTED: "c"}
