"""The certificate and the listening address with TLS: what is refused at the start, renewal, who is told what."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import grpc.aio
import pytest
import uvloop
from fronts import front

from trunkline.ambient import RealAmbient
from trunkline.app.config import origin_of, parse
from trunkline.app.front import Front
from trunkline.app.tls.certificate import Certificate
from trunkline.errors import FailedPrecondition, InvalidArgument
from trunkline.testing.tls.certificates import HERE, Made, make

OURS = make(*HERE)


def opened(folder: Path, made: Made = OURS) -> Certificate:
    return Certificate(*made.write(folder), RealAmbient())


def run(folder: Path, client: Callable[[Front, int], Awaitable[None]], made: Made = OURS) -> None:
    async def all_of_it() -> None:
        async with front(folder, certificate=opened(folder, made)) as (one, port):
            await client(one, port)

    uvloop.run(all_of_it())


def trusting(made: Made = OURS) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=made.certificate.decode())
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


async def seen(port: int) -> bytes:
    """The certificate that is shown, DER."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return found


@pytest.mark.parametrize(
    ("first", "label", "chosen"),
    [(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"grpc:", "h2"), (b"GET / HTTP/1.1\r\n\r\n", b"http:", "http/1.1")],
)
def test_the_first_decrypted_bytes_choose_the_server(tmp_path: Path, first: bytes, label: bytes, chosen: str) -> None:
    async def client(_front: Front, port: int) -> None:
        context = trusting()
        context.set_alpn_protocols(["h2"] if chosen == "h2" else ["h2", "http/1.1"])
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == chosen
        writer.write(first)
        assert await reader.readexactly(len(label + first)) == label + first
        writer.close()

    run(tmp_path, client)


def test_bytes_arrive_whole_both_ways(tmp_path: Path) -> None:
    sent = os.urandom(4 << 20)

    async def client(_front: Front, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting())
        got = asyncio.ensure_future(reader.readexactly(5 + len(sent)))
        for at in range(0, len(sent), 100_000):
            writer.write(sent[at : at + 100_000])
            await writer.drain()
        assert await got == b"http:" + sent
        writer.close()

    run(tmp_path, client)


def test_clients_that_leave_are_forgotten(tmp_path: Path) -> None:
    async def client(made: Front, port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)):
            pass  # without a word
        with socket.create_connection(("127.0.0.1", port)) as broken:
            broken.sendall(b"\x16\x03\x01")  # in the middle of the handshake
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting())
        while made.connections != 1:
            await asyncio.sleep(0.001)
        writer.transport.abort()
        while made.connections:
            await asyncio.sleep(0.001)

    run(tmp_path, client)


def test_a_silent_client_holds_nobody_up(tmp_path: Path) -> None:
    async def client(_front: Front, port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)):
            assert await seen(port)

    run(tmp_path, client)


def test_plaintext_is_answered_in_words(tmp_path: Path) -> None:
    async def client(_front: Front, port: int) -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            for _ in range(2):
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await channel.unary_unary("/a.API/B")(b"x" * 100_000)
                assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
                assert "grpcs://" in (refused.value.details() or "")
                assert "localhost, 127.0.0.1" in (refused.value.details() or "")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")
        told = await reader.read()
        assert told.startswith(b"HTTP/1.1 400 ")
        assert b"https://" in told
        writer.close()

    run(tmp_path, client)


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH\r\n", b"PRI * HTTP/1.0\r\n\r\n", b"\0" * 5000])
def test_who_says_something_else_is_left_without_an_answer(tmp_path: Path, said: bytes) -> None:
    async def client(_front: Front, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        assert await reader.read() == b""
        writer.close()

    run(tmp_path, client)


def test_a_renewed_certificate_is_shown_to_who_comes_next(tmp_path: Path) -> None:
    newer = make(*HERE)

    async def client(_front: Front, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting())
        newer.write(tmp_path)
        assert await seen(port) == ssl.PEM_cert_to_DER_cert(newer.certificate.decode())
        writer.write(b"GET")  # connections go on as they were
        assert await reader.readexactly(8) == b"http:GET"
        writer.close()

    run(tmp_path, client)


def test_half_a_renewal_keeps_the_former_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    newer = make(*HERE)

    async def client(_front: Front, port: int) -> None:
        (tmp_path / "tls.crt").write_bytes(newer.certificate)
        ours = ssl.PEM_cert_to_DER_cert(OURS.certificate.decode())
        assert [await seen(port), await seen(port)] == [ours, ours]
        (tmp_path / "tls.key").write_bytes(newer.key)
        assert await seen(port) == ssl.PEM_cert_to_DER_cert(newer.certificate.decode())

    run(tmp_path, client)
    assert [line.getMessage()[:31] for line in caplog.records] == ["the certificate was not renewed"]


def test_a_link_that_leads_elsewhere_is_a_renewal(tmp_path: Path) -> None:
    """As volumes of Kubernetes are brought up to date."""
    newer = make(*HERE)
    for name, made in (("a", OURS), ("b", newer)):
        (tmp_path / name).mkdir()
        made.write(tmp_path / name)
    (tmp_path / "now").symlink_to("a")
    certificate = Certificate(tmp_path / "now" / "tls.crt", tmp_path / "now" / "tls.key", RealAmbient())
    first = certificate.context()
    assert certificate.context() is first
    (tmp_path / "then").symlink_to("b")
    (tmp_path / "then").replace(tmp_path / "now")
    assert certificate.context() is not first


def test_files_that_are_no_good_are_refused_in_words(tmp_path: Path) -> None:
    certificate, key = OURS.write(tmp_path)
    _, other = make("other").write(tmp_path, "other")
    _, locked = make("locked", password=b"p").write(tmp_path, "locked")
    signed = make(*HERE, issuer=OURS)
    swapped = tmp_path / "swapped.crt"
    swapped.write_bytes(OURS.certificate + signed.certificate)
    _, signed_key = signed.write(tmp_path, "signed")
    cases = [
        (tmp_path / "none", key, r"certificate .*none cannot be read \(No such file"),
        (certificate, tmp_path / "none", r"key .*none cannot be read \(No such file"),
        (tmp_path, key, r"cannot be read \(Is a directory"),
        (key, key, r"tls\.key holds no PEM certificate"),
        (certificate, certificate, r"tls\.crt holds no PEM private key"),
        (certificate, other, r"other\.key is not that of the certificate .*tls\.crt"),
        (certificate, locked, "is locked with a password"),
        (swapped, signed_key, "begins with another certificate .* put the server's own first"),
    ]
    for one, two, words in cases:
        with pytest.raises(FailedPrecondition, match=words):
            Certificate(one, two, RealAmbient())


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (make(*HERE, days=(-9, -1)), "expired on"),
        (make(*HERE, days=(1, 9)), "is not valid before"),
        (make(), "names no host"),
        (OURS, ""),
    ],
)
def test_what_clients_will_refuse_is_a_warning(tmp_path: Path, made: Made, words: str) -> None:
    warning = opened(tmp_path, made).warning
    assert words in warning
    assert bool(words) == bool(warning)


def test_flags_of_tls() -> None:
    told = parse(["--tls-cert", "/c", "--listen", "127.0.0.1:1"], {"TRUNKLINE_TLS_KEY": "/k"})
    assert (told.tls, told.peer) == ((Path("/c"), Path("/k")), ("127.0.0.1", 0))
    assert (parse([], {}).tls, parse([], {}).peer) == (None, None)
    assert parse(["--peer", ":7"], {}).peer == ("127.0.0.1", 7)
    for flags, words in (
        (["--tls-cert", "/c"], "--tls-cert is given without --tls-key"),
        (["--tls-key", "/k"], "--tls-key is given without --tls-cert"),
        (["--peer", "0.0.0.0:1"], "--insecure"),
    ):
        with pytest.raises(InvalidArgument, match=words):
            parse(flags, {})
    pods = ["--fleet", "kubernetes", "--worker-image", "i", "--storage", "s3://b/p", "--tls-cert", "/c"]
    with pytest.raises(InvalidArgument, match="--peer HOST:PORT"):
        parse([*pods, "--tls-key", "/k"], {})
    assert parse([*pods, "--tls-key", "/k", "--peer", ":30653"], {}).peer == ("127.0.0.1", 30653)


@pytest.mark.parametrize(
    ("host", "names", "origin"),
    [
        ("127.0.0.1", None, "http://127.0.0.1:1"),
        ("127.0.0.1", ("localhost", "127.0.0.1"), "https://127.0.0.1:1"),
        ("0.0.0.0", ("*.example", "pachd.example"), "https://pachd.example:1"),
        ("::1", (), "https://[::1]:1"),
    ],
)
def test_content_by_reference_lies_where_the_certificate_is_good(
    host: str, names: tuple[str, ...] | None, origin: str
) -> None:
    assert origin_of(host, 1, names) == origin
