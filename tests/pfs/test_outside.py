"""Files fetched from an object store into a commit, and a commit sent to one."""

from __future__ import annotations

import os

import obstore
import pytest
from obstore.store import MemoryStore

from trunkline.errors import Aborted, InvalidArgument, NotFound
from trunkline.model.names import Repo
from trunkline.pfs import reads
from trunkline.pfs.content import Bounds
from trunkline.pfs.edits import Add, AddUrl, Delete, Target, modify
from trunkline.pfs.files import Files
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import repos
from trunkline.pfs.outside.fetching import SMALL_BYTES
from trunkline.pfs.outside.sending import send
from trunkline.storage.objects import places

DATA = Repo("default", "data")
MASTER = Target(DATA, branch="master")


@pytest.fixture
def store(files: Files, monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """What every s3:// URL leads to."""
    made = MemoryStore()
    monkeypatch.setattr(places, "_s3", lambda _parts, _said: made)
    files.catalog.transact(lambda tx: repos.create_repo(tx, DATA))
    return made


def tree(files: Files) -> dict[str, bytes]:
    """All files of the branch."""
    finish_waiting(files)
    return {one.path: one.bytes() for one in reads.need_source(files, DATA, "master").view.contents()}


def test_a_file_comes_from_a_url(files: Files, store: MemoryStore) -> None:
    big = os.urandom(SMALL_BYTES + 1)
    obstore.put(store, "d/big", big)
    obstore.put(store, "small", b"1")
    modify(files, MASTER, [Delete("/a"), AddUrl("/a", "s3://b/d/big"), AddUrl("/b", "s3://b/small"), Add("/b", b"+")])
    assert tree(files) == {"/a": big, "/b": b"1+"}


def test_a_tree_comes_from_a_url_and_replaces(files: Files, store: MemoryStore) -> None:
    content = {f"top/{at % 3}/{at:03}": os.urandom(at) for at in range(200)}
    content["top/big"] = os.urandom(2 * SMALL_BYTES)
    for path, data in content.items():
        obstore.put(store, path, data)
    modify(files, MASTER, [Add("/there/0/000", b"old"), Add("/there/kept", b"kept")])
    for _ in range(2):
        modify(files, MASTER, [AddUrl("/there", "s3://b/top", recursive=True, concurrency=3)])
    expected = {path.replace("top", "/there", 1): data for path, data in content.items()}
    assert tree(files) == expected | {"/there/kept": b"kept"}
    modify(
        files, MASTER, [AddUrl("/", "s3://b/top/1", recursive=True), AddUrl("/one", "s3://b/top/big", recursive=True)]
    )
    found = tree(files)
    assert found["/001"] == content["top/1/001"]
    assert found["/one"] == content["top/big"]


def test_one_that_fails_leaves_nothing(files: Files, store: MemoryStore) -> None:
    modify(files, MASTER, [Add("/a", b"1")])
    obstore.put(store, "d/ok", b"1")
    obstore.put(store, "e/" + "x" * 300, b"1")
    for bad in (
        AddUrl("/b", "s3://b/none"),
        AddUrl("/b", "s3://b/none", recursive=True),
        AddUrl("/b", "s3://b/e", recursive=True),
        AddUrl("/b", "file:///etc/passwd"),
        AddUrl("/", "s3://b/d/ok", recursive=True),
        AddUrl("/b", "s3://b/d", recursive=True, concurrency=1000),
    ):
        with pytest.raises((InvalidArgument, NotFound)):
            modify(files, MASTER, [Add("/new", b"1"), AddUrl("/c", "s3://b/d", recursive=True), bad])
    assert tree(files) == {"/a": b"1"}


def test_a_commit_is_sent(files: Files, store: MemoryStore) -> None:
    big = os.urandom(SMALL_BYTES * 2 + 5)
    content = {"/a b": b"1", "/d/ü": b"22", "/d/big": big, "/empty": b""} | {f"/m/{at}": b"x" * at for at in range(50)}
    modify(files, MASTER, [Add(path, data) for path, data in content.items()])
    finish_waiting(files)
    source = reads.need_source(files, DATA, "master")
    obstore.put(store, "out/a b", b"old")
    obstore.put(store, "out/other", b"stays")
    sent = send(source, "/", "s3://bucket/out", files.ambient)
    assert (sent.files, sent.size_bytes) == (len(content), sum(map(len, content.values())))
    stored = [meta["path"] for page in obstore.list(store) for meta in page]
    found = {path: bytes(obstore.get(store, path).bytes()) for path in stored}
    assert found == {f"out{path}": data for path, data in content.items()} | {"out/other": b"stays"}
    assert send(source, "/m/*", "s3://bucket/again", files.ambient, Bounds("/m/1", "/m/2")).files == 11
    assert send(source, "/d/big", "s3://bucket", files.ambient).size_bytes == len(big)
    with pytest.raises(NotFound):
        send(source, "/none", "s3://bucket", files.ambient)
    with pytest.raises(InvalidArgument, match="no URL of an object store"):
        send(source, "/", "file:///tmp/x", files.ambient)


def test_an_empty_commit_sends_nothing(files: Files, store: MemoryStore) -> None:
    modify(files, MASTER, [Add("/a", b"1")])
    modify(files, MASTER, [Delete("/")])
    finish_waiting(files)
    sent = send(reads.need_source(files, DATA, "master"), "/", "s3://bucket/out", files.ambient)
    assert (sent.files, sent.size_bytes) == (0, 0)


def test_what_nobody_waits_for_ends(files: Files, store: MemoryStore) -> None:
    for at in range(10):
        obstore.put(store, f"d/{at}", b"1")
    answers = iter([True, True, True])

    def wanted() -> bool:
        return next(answers, False)

    modify(files, MASTER, [Add("/a", b"1"), Add("/b", b"2")])
    finish_waiting(files)
    with pytest.raises(Aborted, match="not wanted any more"):
        modify(files, MASTER, [AddUrl("/x", "s3://b/d", recursive=True, wanted=wanted)])
    assert tree(files) == {"/a": b"1", "/b": b"2"}
    answers = iter([True])
    with pytest.raises(Aborted, match="1 files are there"):
        send(reads.need_source(files, DATA, "master"), "/", "s3://bucket/out", files.ambient, wanted=wanted)
