"""Signatures and signed bodies, made by Amazon's own library or by hand, and judged by ours."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from trunkline.ambient import RealAmbient
from trunkline.gateway.s3.faults import Fault
from trunkline.gateway.s3.payload import Decoder
from trunkline.gateway.s3.signing import Asked, Chain, Signed, check, is_signed

NOW_US = RealAmbient().now_us()
KEYS = {"akey": "asecret"}
PLACES = [
    "http://host:1/",
    "http://host:1/bucket/a%20b/%C3%A9%2B?list-type=2&prefix=a%2Fb%20c&uploads",
    "http://host:1/b?acl",
]
SIGNERS = {
    "header4": auth.S3SigV4Auth,
    "query4": auth.S3SigV4QueryAuth,
    "header2": auth.HmacV1Auth,
    "query2": auth.HmacV1QueryAuth,
}


def signed(how: str, url: str, secret: str = "asecret", method: str = "GET") -> Asked:
    credentials = Credentials("akey", secret)
    request = AWSRequest(method=method, url=url, headers={"host": "host:1"})
    maker = SIGNERS[how]
    made = maker(credentials, "s3", "us-east-1") if how.endswith("4") else maker(credentials)
    made.add_auth(request)
    parts = urlsplit(request.url)
    given = request.headers.items()
    headers = {name.lower(): value if isinstance(value, str) else value.decode() for name, value in given}
    return Asked(method, parts.path.encode(), parts.query, headers)


@pytest.mark.parametrize("how", SIGNERS)
@pytest.mark.parametrize("url", PLACES)
def test_a_good_signature_is_known_and_any_change_is_refused(how: str, url: str) -> None:
    asked = signed(how, url)
    assert is_signed(asked)
    assert check(asked, KEYS.get, NOW_US).access_key == "akey"
    other = signed(how, url, secret="another")
    changed = {
        "another secret": other,
        "another method": replace(asked, method="DELETE"),
        "another place": replace(asked, path=asked.path + b"x"),
    }
    if how.endswith("4"):
        changed["more in the query"] = replace(asked, query=f"{asked.query}&x=1")
    for what, one in changed.items():
        with pytest.raises(Fault) as caught:
            check(one, KEYS.get, NOW_US)
        assert caught.value.code == "SignatureDoesNotMatch", what
    with pytest.raises(Fault) as caught:
        check(asked, {}.get, NOW_US)
    assert caught.value.code == "InvalidAccessKeyId"


@pytest.mark.parametrize(
    ("how", "later_s", "code"),
    [("header4", 3600, "RequestTimeTooSkewed"), ("query4", 7200, "AccessDenied"), ("query2", 7200, "AccessDenied")],
)
def test_what_was_signed_long_ago_counts_no_more(how: str, later_s: int, code: str) -> None:
    with pytest.raises(Fault) as caught:
        check(signed(how, PLACES[1]), KEYS.get, NOW_US + later_s * 1_000_000)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"authorization": "Basic x"}, ""),
        ({"authorization": "AWS nocolon"}, ""),
        ({"authorization": "AWS4-HMAC-SHA256 Credential=a"}, ""),
        ({"authorization": "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=x"}, ""),
        ({"authorization": "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=x",
          "x-amz-content-sha256": "x", "x-amz-date": "yesterday"}, ""),
        ({"authorization": "AWS4-HMAC-SHA256 Credential=\xff, SignedHeaders=host, Signature=\xff",
          "x-amz-content-sha256": "x"}, ""),
        ({}, "X-Amz-Algorithm=x"),
        ({}, "X-Amz-Signature=x"),
        ({}, "AWSAccessKeyId=akey"),
        ({}, "AWSAccessKeyId=akey&Expires=99999999999"),
        ({}, "AWSAccessKeyId=akey&Expires=-1&Signature=x"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_in_words(headers: dict[str, str], query: str) -> None:
    with pytest.raises(Fault) as caught:
        check(Asked("GET", b"/", query, headers), KEYS.get, NOW_US)
    assert caught.value.status in (400, 403)
    assert str(caught.value)


# --- bodies

CHAIN = Chain(b"key", "20260101T000000Z", "20260101/r/s3/aws4_request", "ab" * 32)
BODY = bytes(range(256)) * 40


def piece_text(kind: str, before: str, *digests: str) -> bytes:
    return "\n".join([f"AWS4-HMAC-SHA256-{kind}", CHAIN.date, CHAIN.scope, before, *digests]).encode()


def pieces(body: bytes, size: int, *, trailer: str = "", sign: bool = True) -> bytes:
    """A body as clients send it in signed pieces."""
    before, made = CHAIN.first, b""
    cuts = [body[at : at + size] for at in range(0, len(body), size)]
    for cut in [*cuts, b""]:
        digests = [hashlib.sha256(b"").hexdigest(), hashlib.sha256(cut).hexdigest()]
        before = hmac.digest(CHAIN.key, piece_text("PAYLOAD", before, *digests), "sha256").hex()
        made += f"{len(cut):x}".encode() + (f";chunk-signature={before}".encode() if sign else b"") + b"\r\n"
        made += cut + (b"\r\n" if cut else b"")
    if trailer:
        made += f"{trailer}\r\n".encode()
        if sign:
            digest = hashlib.sha256(f"{trailer}\n".encode()).hexdigest()
            seal = hmac.digest(CHAIN.key, piece_text("TRAILER", before, digest), "sha256").hex()
            made += f"x-amz-trailer-signature:{seal}\r\n".encode()
    return made + b"\r\n"


def decoded(data: bytes, kind: str, step: int = 1000, **headers: Any) -> bytes:
    named = {name.replace("_", "-"): str(value) for name, value in headers.items()}
    decoder = Decoder(named, Signed("akey", kind, CHAIN))

    def fed() -> Iterator[bytes]:
        for at in range(0, len(data), step):
            yield from decoder.feed(data[at : at + step])
        decoder.finish()

    return b"".join(fed())


SUM = "x-amz-checksum-sha256:" + base64.b64encode(hashlib.sha256(BODY).digest()).decode()
KINDS = {
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD": pieces(BODY, 3000),
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": pieces(BODY, 3000, trailer=SUM),
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER": pieces(BODY, 3000, trailer=SUM, sign=False),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", [1, 7, 1000, 1 << 20])
def test_a_body_in_pieces_is_put_together_however_it_is_cut(kind: str, step: int) -> None:
    more = {"x_amz_trailer": "x-amz-checksum-sha256"} if "TRAILER" in kind else {}
    assert decoded(KINDS[kind], kind, step, x_amz_decoded_content_length=len(BODY), **more) == BODY


@pytest.mark.parametrize("kind", KINDS)
def test_a_body_that_is_not_what_was_signed_is_refused(kind: str) -> None:
    more = {"x_amz_trailer": "x-amz-checksum-sha256"} if "TRAILER" in kind else {}
    data = KINDS[kind]
    at = data.index(b"\r\n") + 100
    wrong = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    for bad in (wrong, data[: len(data) // 2], data.replace(b"\r\n", b"\r\nxx", 1), b"zz\r\n" + data, b"x" * 20_000):
        with pytest.raises(Fault) as caught:
            decoded(bad, kind, **more)
        assert caught.value.status in (400, 403)
    with pytest.raises(Fault, match="announced"):
        decoded(data, kind, x_amz_decoded_content_length=len(BODY) + 1, **more)


def test_sums_in_headers_are_checked() -> None:
    good = hashlib.sha256(b"abc").hexdigest()
    assert decoded(b"abc", good) == b"abc"
    for kind, headers in [
        (hashlib.sha256(b"abd").hexdigest(), {}),
        ("UNSIGNED-PAYLOAD", {"content_md5": "AAAAAAAAAAAAAAAAAAAAAA=="}),
        ("UNSIGNED-PAYLOAD", {"content_md5": "not base64"}),
        ("UNSIGNED-PAYLOAD", {"x_amz_checksum_crc32": "AAAAAA=="}),
        ("UNSIGNED-PAYLOAD", {"x_amz_checksum_sha1": "AAAAAA=="}),
        ("UNSIGNED-PAYLOAD", {"x_amz_trailer": "x-amz-checksum-crc32"}),
        ("something", {}),
        ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", {}),
    ]:
        with pytest.raises(Fault):
            decoded(b"abc", kind, **headers)
    sums = {"content_md5": "kAFQmDzST7DWlj99KOF/cg==", "x_amz_checksum_crc32": "NSRBwg=="}
    assert decoded(b"abc", "UNSIGNED-PAYLOAD", **sums) == b"abc"
