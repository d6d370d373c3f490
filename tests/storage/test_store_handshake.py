"""What is said of a store with which no TLS connection comes about."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import obstore
import pytest
from obstore.exceptions import BaseError
from obstore.store import S3Store

from trunkline.errors import Unavailable
from trunkline.storage.objects.handshake import refusal
from trunkline.storage.objects.places import translated
from trunkline.testing.tls.certificates import Made, make

AUTHORITY = make()
MADE: dict[str, tuple[Made | None, str]] = {
    "unknown": (make("127.0.0.1", signs=False), "is not trusted: have it, or who signed it, among those that"),
    "another": (
        make("127.0.0.1", issuer=make(), signs=False),
        "is not trusted: have it, or who signed it, among those",
    ),
    "old": (make("127.0.0.1", issuer=AUTHORITY, signs=False, days=(-3, -1)), "has expired: renew it"),
    "new": (make("127.0.0.1", issuer=AUTHORITY, signs=False, days=(3, 5)), "is not valid yet: look at both clocks"),
    "named": (make("other.example", issuer=AUTHORITY, signs=False), "is for another name"),
    "authority": (make("127.0.0.1"), "make one with basicConstraints=CA:FALSE"),
    "plain": (None, "does not speak TLS: write the endpoint with http://"),
}


@contextmanager
def served(made: Made | None, folder: Path) -> Iterator[str]:
    """The address of a server with this certificate; None: in plaintext."""
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    if made is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*made.write(folder))
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("name", MADE)
def test_the_error_says_what_is_wrong_and_what_to_do(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, words = MADE[name]
    (tmp_path / "trusted").write_bytes(AUTHORITY.certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted"))
    with served(made, tmp_path) as endpoint:
        store = S3Store(
            "b", endpoint=endpoint, access_key_id="k", secret_access_key="s", retry_config={"max_retries": 0}
        )
        with pytest.raises(BaseError) as failed:
            obstore.get(store, "x")
    error = translated(failed.value, "s3://b/x", "read")
    assert isinstance(error, Unavailable)
    assert str(error).startswith("cannot read s3://b/x: ")
    assert words in str(error)


def test_reasons_without_words_are_named_and_other_failures_are_left_as_they_are() -> None:
    assert refusal("InvalidCertificate(\n  Revoked,") == "the server's certificate was refused (Revoked)"
    assert refusal("Connect, ConnectionRefused") == ""
    assert refusal("InvalidMessage(MissingData)") == ""
