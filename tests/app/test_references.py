"""ReadFilesetCDR: references that lead to the content by plain HTTP, on the server's one address."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from hashlib import blake2b

import grpc
import pytest
from google.protobuf.wrappers_pb2 import BytesValue

from trunkline.ambient import chance
from trunkline.testing.serving import PachdProcess
from trunkline.wire.gen import cdr_pb2 as cdr
from trunkline.wire.gen import storage_pb2 as storage
from trunkline.wire.gen import storage_pb2_grpc

FILES = {"/a": b"a", "/big": chance(5).randbytes(5 << 20), "/c": chance(6).randbytes(50_000), "/none": b""}


@pytest.fixture(scope="module")
def refs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, cdr.Ref]]:
    with (
        PachdProcess(tmp_path_factory.mktemp("pachd"), ["--workers", "0"]) as pachd,
        grpc.insecure_channel(pachd.address) as channel,
    ):
        sets = storage_pb2_grpc.FilesetStub(channel)
        appends = [storage.AppendFile(path=path, data=BytesValue(value=data)) for path, data in FILES.items()]
        made = sets.CreateFileset(iter([storage.CreateFilesetRequest(append_file=one) for one in appends]))
        request = storage.ReadFilesetRequest(fileset_id=made.fileset_id)
        found = {one.path: one.ref for one in sets.ReadFilesetCDR(request)}
        bare = list(sets.ReadFilesetCDR(storage.ReadFilesetRequest(fileset_id=made.fileset_id, empty_files=True)))
        assert [one.path for one in bare] == sorted(FILES)
        assert all(resolved(one.ref) == b"" for one in bare)
        yield found


def get(url: str, span: str = "") -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Range": span} if span else {})) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def resolved(ref: cdr.Ref) -> bytes:
    """What a reference leads to."""
    match ref.WhichOneof("body"):
        case "http":
            status, data = get(ref.http.url)
            assert status == 200
            return data
        case "content_hash":
            data = resolved(ref.content_hash.inner)
            assert ref.content_hash.algo == cdr.BLAKE2b_256
            assert blake2b(data, digest_size=32).digest() == ref.content_hash.hash
            return data
        case "slice":
            return resolved(ref.slice.inner)[ref.slice.start : ref.slice.end]
        case "concat":
            return b"".join(map(resolved, ref.concat.refs))
    raise AssertionError(ref)


def url_of(ref: cdr.Ref) -> str:
    while ref.WhichOneof("body") != "http":
        body = getattr(ref, ref.WhichOneof("body") or "")
        ref = body.refs[0] if isinstance(body, cdr.Concat) else body.inner
    return ref.http.url


def test_references_lead_to_the_content(refs: dict[str, cdr.Ref]) -> None:
    assert {path: resolved(ref) for path, ref in refs.items()} == FILES


@pytest.mark.parametrize(
    ("span", "status", "where"),
    [
        ("bytes=0-3", 206, slice(0, 4)),
        ("bytes=100-", 206, slice(100, None)),
        ("bytes=-7", 206, slice(-7, None)),
        ("bytes=5-999999999", 206, slice(5, None)),
        ("bytes=0-1,4-5", 200, slice(None)),
        ("lines=1-2", 200, slice(None)),
        ("bytes=-", 200, slice(None)),
    ],
)
def test_a_range_of_bytes_is_served(refs: dict[str, cdr.Ref], span: str, status: int, where: slice) -> None:
    url = url_of(refs["/c"])
    assert get(url, span) == (status, get(url)[1][where])


def test_what_cannot_be_served_is_said_in_words(refs: dict[str, cdr.Ref]) -> None:
    url = url_of(refs["/c"])
    assert get(url, "bytes=90000000-") == (416, b"bytes 90000000- were asked for, and there are 50000\n")
    forged = url.replace("expires=", "expires=9")
    assert get(forged)[0] == 403
    assert b"was not given out by this server" in get(forged)[1]
    assert get(url.partition("?")[0])[0] == 403
    assert get(url.replace("/chunks/", "/chunks/x/"))[0] == 404
