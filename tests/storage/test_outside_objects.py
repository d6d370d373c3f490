"""Places outside: what URLs mean, reads that go on where they broke off, listings, and writes that are tried again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import obstore
import pytest
from obstore.exceptions import GenericError
from obstore.store import MemoryStore

from trunkline.ambient import SimulatedAmbient
from trunkline.errors import Aborted, InvalidArgument, NotFound, PermissionDenied, Unavailable
from trunkline.storage.objects import Place, fetch, listed, open_place, places, write
from trunkline.storage.objects.reading import TRIES, resumed

DATA = bytes(range(256)) * 4096


class Web(ThreadingHTTPServer):
    """A web server that gives DATA, and breaks off as it is told. daemon: nothing is waited for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[str | None] = []
        self.break_at: list[int] = []
        self.tag = '"one"'
        self.ranges = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Web

    def do_GET(self) -> None:
        server = self.server
        wanted = self.headers.get("Range")
        server.asked.append(wanted)
        if self.path.startswith("/status/"):
            self.send_error(int(self.path.removeprefix("/status/").partition("?")[0]))
            return
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges else 0
        self.send_response(206 if start else 200)
        self.send_header("ETag", server.tag)
        self.send_header("Content-Length", str(len(DATA) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(DATA) - 1}/{len(DATA)}")
        self.end_headers()
        rest = DATA[start:]
        self.wfile.write(rest[: server.break_at.pop(0)] if server.break_at else rest)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def web() -> Iterator[Web]:
    server = Web()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def whole(url: str | Place) -> bytes:
    return b"".join(fetch(url, SimulatedAmbient()))


def test_a_file_of_a_web_server(web: Web) -> None:
    assert whole(f"{web.url}/a file?x=1") == DATA
    assert web.asked == [None]


@pytest.mark.parametrize("ranges", [True, False])
def test_what_breaks_off_goes_on_from_there(web: Web, ranges: bool) -> None:
    web.ranges = ranges
    web.break_at = [500_000, 0, 100_000]
    assert whole(f"{web.url}/x") == DATA
    assert web.asked[0] is None
    assert web.asked[1] == "bytes=500000-"


def test_a_file_that_changes_meanwhile_is_not_mixed(web: Web) -> None:
    web.break_at = [500_000]
    pieces = fetch(f"{web.url}/x", SimulatedAmbient())
    next(pieces)
    web.tag = '"two"'
    with pytest.raises(Aborted, match="changed while it was being fetched"):
        list(pieces)


@pytest.mark.parametrize(
    ("status", "error", "asked"),
    [(404, NotFound, 1), (403, PermissionDenied, 1), (400, InvalidArgument, 1), (503, Unavailable, TRIES)],
)
def test_refusals_of_a_web_server(web: Web, status: int, error: type[Exception], asked: int) -> None:
    with pytest.raises(error, match=str(status)):
        whole(f"{web.url}/status/{status}?key=secret")
    assert len(web.asked) == asked


def test_a_redirect_leads_to_no_local_file(web: Web) -> None:
    with pytest.raises((InvalidArgument, Unavailable), match=r"302|redirect|file"):
        whole(f"{web.url}/elsewhere")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("file:///etc/passwd", "the server reads http, https, s3"),
        ("/etc/passwd", "the server reads http, https, s3"),
        ("ftp://x/y", "the server reads http, https, s3"),
        ("http:///x", "names no server"),
        ("s3:///x", "names no bucket"),
    ],
)
def test_other_urls_are_refused(url: str, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        whole(url)


def test_a_web_server_cannot_be_listed() -> None:
    with pytest.raises(InvalidArgument, match="a web server does not say"):
        list(listed("https://host/x"))
    with pytest.raises(InvalidArgument, match="cannot be listed"):
        list(listed("file:///etc"))


@pytest.mark.parametrize(
    ("url", "path", "shown"),
    [
        ("s3://bucket/a/b%20c?endpoint=http://h:1&region=r", "a/b c", "s3://bucket/a/b c"),
        ("s3://bucket", "", "s3://bucket/"),
        ("gs://bucket/x/", "x", "gs://bucket/x"),
        ("wasb://box@account.blob.core.windows.net/x", "x", "wasb://box/x"),
        ("az://box/x?account=a", "x", "az://box/x"),
    ],
)
def test_what_urls_mean(url: str, path: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Google's client looks for keys when it is made; one that needs none is at hand.
    monkeypatch.setattr(places, "_google", lambda _parts, _said: MemoryStore())
    place = open_place(url)
    assert (place.path, place.shown) == (path, shown)
    assert place.below("/y/z").path == f"{path}/y/z".lstrip("/")


class Flaky:
    """A remote file that gives one byte and breaks off, or nothing at all."""

    shown = "somewhere"

    def __init__(self, size: int, gives: int) -> None:
        self.size, self.gives, self.opened = size, gives, 0

    def open(self, offset: int, _tag: str | None) -> tuple[int | None, str | None, Iterator[bytes]]:
        self.opened += 1
        return self.size, None, iter([b"x"] * min(self.gives, self.size - offset))


def test_it_goes_on_as_long_as_there_is_progress() -> None:
    ambient = SimulatedAmbient()
    slow = Flaky(size=50, gives=1)
    assert b"".join(resumed(slow, ambient)) == b"x" * 50
    assert slow.opened == 50
    before = ambient.ticks_s()
    with pytest.raises(Unavailable, match="ended after 0 of 50 bytes"):
        list(resumed(Flaky(size=50, gives=0), ambient))
    assert 10 < ambient.ticks_s() - before < 60


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    made = MemoryStore()
    monkeypatch.setattr(places, "_s3", lambda _parts, _said: made)
    return made


def test_objects_are_listed_below_a_url(store: MemoryStore) -> None:
    for path, data in (("d/a", b"1"), ("d/m/x", b"22"), ("d/m", b""), ("dd", b"3"), ("d-", b"")):
        obstore.put(store, path, data)
    assert [(one.path, one.size_bytes) for one in listed("s3://b/d")] == [("a", 1), ("m/x", 2)]
    assert [one.path for one in listed("s3://b")] == ["d-", "d/a", "d/m/x", "dd"]
    assert [(one.path, one.place.shown) for one in listed("s3://b/dd")] == [("", "s3://b/dd")]
    with pytest.raises(NotFound, match="nothing lies at s3://b/none or below it"):
        list(listed("s3://b/none"))


def test_objects_are_read_and_written(store: MemoryStore) -> None:
    place = open_place("s3://b/x/y")
    write(place, lambda: b"small", SimulatedAmbient())
    assert whole("s3://b/x/y") == whole(place) == b"small"
    write(place, lambda: iter([DATA] * 20), SimulatedAmbient())
    assert whole(place) == DATA * 20
    with pytest.raises(NotFound, match="s3://b/none"):
        whole("s3://b/none")


def test_a_write_that_fails_is_tried_again_from_the_start(store: MemoryStore) -> None:
    tries: list[int] = []

    def data() -> Iterator[bytes]:
        tries.append(1)
        yield b"x"
        if len(tries) < 3:
            raise OSError("the network is away")
        yield b"y"

    place = open_place("s3://b/x")
    write(place, data, SimulatedAmbient())
    assert whole(place) == b"xy"
    assert len(tries) == 3


def test_missing_keys_are_said_at_once() -> None:
    asked = "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token - 403"
    said = places.translated(GenericError(asked), "s3://b/x", "read")
    assert isinstance(said, PermissionDenied)
    assert "the server has no keys for it; set AWS_ACCESS_KEY_ID" in str(said)


def test_an_error_of_the_source_passes_through(store: MemoryStore) -> None:
    def data() -> Iterator[bytes]:
        yield b"x"
        raise Aborted("deleted while it was read")

    with pytest.raises(Aborted, match="deleted while"):
        write(open_place("s3://b/x"), data, SimulatedAmbient())
    with pytest.raises(NotFound):
        whole("s3://b/x")
