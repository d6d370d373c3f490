"""File sets of pachyderm-sdk by reference: the client fetches chunks itself, and puts files together from them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import cdr, storage
from pachyderm_sdk.api.cdr.resolver import CdrResolver

BIG = b"".join(hashlib.blake2b(number.to_bytes(4, "big")).digest() for number in range(100_000))
FILES = {"/a/one": b"1", "/a/two": BIG[:40_000], "/big": BIG, "/none": b""}


@pytest.fixture
def fileset(client: Client) -> str:
    """A file set with `FILES`."""
    appends = (storage.AppendFile(path=path, data=data) for path, data in FILES.items())
    requests = iter([storage.CreateFilesetRequest(append_file=one) for one in appends])
    return client.storage.create_fileset(requests).fileset_id


def test_references_are_resolved(client: Client, fileset: str) -> None:
    found = {one.path: one.ref for one in client.storage.read_fileset_cdr(fileset_id=fileset)}
    resolver = CdrResolver()
    assert {path: resolver.resolve(ref) for path, ref in found.items()} == FILES


def test_a_wrong_hash_is_found_by_the_client(client: Client, fileset: str) -> None:
    wanted = [storage.FileFilter(path_range=storage.PathRange(lower="/a/two", upper="/b"))]
    (one,) = client.storage.read_fileset_cdr(fileset_id=fileset, filters=wanted)
    whole = one.ref.content_hash if one.ref.content_hash.hash else one.ref.slice.inner.content_hash
    assert whole.algo == cdr.HashAlgo.BLAKE2b_256
    assert whole.hash == hashlib.blake2b(CdrResolver().resolve(whole.inner), digest_size=32).digest()
    whole.hash = bytes(32)
    with pytest.raises(ValueError, match="failed hash check"):
        CdrResolver().resolve(one.ref)


def test_a_file_set_is_assembled_from_chunks_that_were_fetched(client: Client, fileset: str, tmp_path: Path) -> None:
    kept, made = tmp_path / "kept", tmp_path / "made"
    kept.mkdir()
    client.storage.fetch_chunks(fileset, "/", cache_location=kept)
    assert list(kept.iterdir())
    client.storage.assemble_fileset(fileset, "/", made, cache_location=kept, fetch_missing_chunks=False)
    for path, data in FILES.items():
        assert (made / path.lstrip("/")).read_bytes() == data
