"""A tree put again: what the server has is not read and not sent, and never is anything missing for it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from blake3 import blake3

from trunkline.ambient import RealAmbient
from trunkline.app.config import Config
from trunkline.app.engine import Engine, open_engine
from trunkline.client import Client, connect, sources, uploads
from trunkline.client.known.cache import PutCache, cache_folder, encoded, load
from trunkline.testing.calls import Client as Calls
from trunkline.testing.calls import bulk, on, refused
from trunkline.testing.doors import serving
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own

HOUR_NS = 3_600_000_000_000


class Counting:
    """A client whose uploads are counted: bytes of all messages, one number a call."""

    def __init__(self, client: Client) -> None:
        self.client, self.sent, self.calls = client, list[int](), list[str]()

    def upload(self, method: str, messages: Iterator[bytes], *, compress: bool = False) -> bytes:
        self.sent.append(0)

        def counted() -> Iterator[bytes]:
            for message in messages:
                self.sent[-1] += len(message)
                yield message

        return self.client.upload(method, counted(), compress=compress)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    opened = open_engine(Config(data=tmp_path_factory.mktemp("data")), RealAmbient())
    opened.start(("127.0.0.1", 0))
    yield opened
    opened.stop()
    opened.close()


@pytest.fixture(scope="module")
def socket(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[grpc.Channel, Path]]:
    folder = tmp_path_factory.mktemp("s")
    with serving(folder, engine.doors) as channel:
        yield channel, folder / "s"


@pytest.fixture(scope="module")
def calls(socket: tuple[grpc.Channel, Path]) -> Calls:
    return Calls.on(socket[0])


@pytest.fixture
def client(socket: tuple[grpc.Channel, Path]) -> Iterator[Counting]:
    with connect(f"unix:{socket[1]}") as dialled:
        yield Counting(dialled)


class Tree:
    """A folder of files, put again and again into a branch. Its clock is an hour ahead of that of the files."""

    def __init__(self, client: Counting, calls: Calls, folder: Path) -> None:
        self.client, self.calls = client, calls
        self.repo = calls.repo()
        self.folder, self.caches = folder / "tree", folder / "caches"
        self.folder.mkdir()
        self.ahead_ns = HOUR_NS

    def write(self, **files: bytes) -> None:
        for name, data in files.items():
            (self.folder / name).write_bytes(data)

    def put(self, branch: str = "master") -> int:
        """Put it all; how many bytes were sent."""
        cache = PutCache(self.caches, [str(self.folder)], RealAmbient().now_us() * 1000 + self.ahead_ns)
        found = list(sources.local_tree(str(self.folder), "", pytest.fail))
        uploads.put_files(self.client, on(self.repo, branch), found, cache=cache)
        return self.client.sent[-1]

    def must_be_there(self, branch: str = "master") -> None:
        for path in self.folder.iterdir():
            assert b"".join(self.calls.get(self.repo, f"/{path.name}", branch)) == path.read_bytes()


@pytest.fixture
def tree(client: Counting, calls: Calls, tmp_path: Path) -> Tree:
    made = Tree(client, calls, tmp_path)
    made.write(**{f"f{n:03}": os.urandom(3000) for n in range(200)}, empty=b"")
    return made


def test_only_what_changed_is_sent_and_stored(tree: Tree, engine: Engine) -> None:
    assert tree.put() > 600_000
    tree.calls.finished(tree.repo)
    before = engine.space.inspect().stored.live_stored_bytes
    tree.write(f007=os.urandom(3000), f100=os.urandom(3000))
    assert tree.put() < 7000
    tree.must_be_there()
    assert tree.calls.finished(tree.repo).details.size_bytes == 600_000
    assert engine.space.inspect().stored.live_stored_bytes - before < 1.15 * 6000 + 2000  # what tells where they lie
    assert tree.put() < 200
    assert len(tree.client.sent) == 3


def test_what_is_not_there_any_more_is_sent_again(tree: Tree) -> None:
    tree.put()
    tree.calls.stub.ModifyFile(iter([pfs.ModifyFileRequest(set_commit=on(tree.repo)), _gone("/f003")]))
    assert 3000 < tree.put() < 4000
    tree.must_be_there()
    assert tree.put("another") > 600_000
    tree.must_be_there("another")
    tree.calls.stub.DeleteRepo(pfs.DeleteRepoRequest(repo=tree.repo))
    tree.calls.stub.CreateRepo(pfs.CreateRepoRequest(repo=tree.repo))
    assert tree.put() > 600_000
    tree.must_be_there()


def _gone(path: str) -> pfs.ModifyFileRequest:
    return pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path))


def test_an_open_commit_is_compared_as_it_is(tree: Tree) -> None:
    tree.put()
    tree.calls.stub.StartCommit(pfs.StartCommitRequest(branch=on(tree.repo).branch))
    tree.calls.put(tree.repo, {"/f001": b"other"})
    assert 3000 < tree.put() < 4000
    assert tree.put() < 300
    tree.must_be_there()


def test_a_parent_with_an_error_counts_for_nothing(tree: Tree) -> None:
    tree.put()
    started = tree.calls.stub.StartCommit(pfs.StartCommitRequest(branch=on(tree.repo).branch))
    tree.write(f001=b"new")
    assert tree.put() < 200
    tree.calls.stub.FinishCommit(pfs.FinishCommitRequest(commit=started, error="no good"))
    assert 0 < tree.put() < 200
    tree.must_be_there()


def test_a_file_that_may_change_unseen_is_not_trusted(tree: Tree) -> None:
    tree.ahead_ns = 0
    tree.put()
    assert tree.put() > 600_000  # so young that they could change and look the same
    tree.ahead_ns = HOUR_NS
    assert tree.put() > 600_000
    assert tree.put() < 200
    place = tree.folder / "f005"
    was = place.stat()
    place.write_bytes(os.urandom(3000))
    os.utime(place, ns=(was.st_atime_ns, was.st_mtime_ns))  # its inode tells
    assert 3000 < tree.put() < 4000
    tree.must_be_there()


def test_a_branch_that_changes_meanwhile_is_compared_again(tree: Tree) -> None:
    tree.put()
    inner, meddled = tree.client.client, threading.Event()

    class Meddling:
        def upload(self, method: str, messages: Iterator[bytes], *, compress: bool = False) -> bytes:
            if not meddled.is_set():
                meddled.set()
                tree.calls.put(tree.repo, {"/f009": b"somebody else's"})
            return inner.upload(method, messages, compress=compress)

        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

    tree.client.client = Meddling()  # type: ignore[assignment]
    assert 3000 < tree.put() < 4000
    assert len(tree.client.sent) == 3
    tree.must_be_there()


def test_a_cache_that_is_damaged_or_cannot_be_written_costs_only_time(tree: Tree) -> None:
    tree.put()
    (cache,) = tree.caches.iterdir()
    data = bytearray(cache.read_bytes())
    data[len(data) // 2] ^= 1
    cache.write_bytes(data)
    assert tree.put() > 600_000
    cache.write_bytes(b"")
    assert tree.put() > 600_000
    tree.caches = tree.folder / "f001"  # no folder
    assert tree.put() > 600_000
    tree.must_be_there()


def test_two_files_for_one_place_are_both_sent(tree: Tree) -> None:
    tree.put()
    cache = PutCache(tree.caches, [str(tree.folder)], RealAmbient().now_us() * 1000 + HOUR_NS)
    one, two, *_ = sources.local_tree(str(tree.folder), "", pytest.fail)
    second = sources.LocalFile(one.path, two.local, two.size_bytes, two.inode)
    uploads.put_files(tree.client, on(tree.repo), [one, second], cache=cache)
    assert b"".join(tree.calls.get(tree.repo, one.path)) == Path(two.local).read_bytes()


def test_questions_that_do_not_add_up_are_refused(calls: Calls) -> None:
    target = on(calls.repo())
    ask = calls.bulk.CheckFiles
    for paths, sizes, hashes, words in (
        (["/a"], [], b"", "a size and a hash"),
        (["/a"], [1], b"x", "a size and a hash"),
        (["/a", "/a"], [1, 1], bytes(64), "twice"),
    ):
        request = own.CheckFilesRequest(commit=target, paths=paths, sizes=sizes, hashes=hashes)
        code, details = refused(ask, request)
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert words in details
    stale = own.BulkPutRequest(target=own.BulkTarget(commit=target, stamp=b"on 1 1"))
    code, details = refused(calls.bulk.BulkPut, iter([stale]))
    assert code is grpc.StatusCode.ABORTED
    assert "put them again" in details


def test_only_what_a_plain_put_left_is_there(calls: Calls) -> None:
    repo = calls.repo()
    calls.bulk.BulkPut(bulk(on(repo), own.SmallFiles(paths=["/a", "/d/b"], sizes=[1, 1], data=b"xy")))
    named = pfs.AddFile(path="/t", datum="somebody's")
    named.raw.value = b"z"
    calls.stub.ModifyFile(iter([pfs.ModifyFileRequest(set_commit=on(repo)), pfs.ModifyFileRequest(add_file=named)]))
    paths = ["/a", "/d", "/d/b", "/none", "/t", "/d/b "]
    hashes = b"".join(blake3(one).digest() for one in (b"x", b"y", b"y", b"", b"z", b"y"))
    request = own.CheckFilesRequest(commit=on(repo), paths=paths, sizes=[1, 1, 1, 0, 1, 1], hashes=hashes)
    assert list(calls.bulk.CheckFiles(request).there) == [1, 0, 1, 0, 0, 0]
    request.sizes[2] = 2
    assert list(calls.bulk.CheckFiles(request).there) == [1, 0, 0, 0, 0, 0]


def test_where_caches_lie() -> None:
    assert cache_folder({"XDG_CACHE_HOME": "/x", "HOME": "/h"}) == Path("/x/trunkline/put")
    assert cache_folder({"XDG_CACHE_HOME": "relative", "HOME": "/h"}) == Path("/h/.cache/trunkline/put")


GOLDEN = bytes.fromhex(
    "54524e4b50555401020000000000000009000000000000002f612f62002f612fff030000000000000001002a36fe9c971702"
    "002a36fe9c97172a0000000000000000000000000000000100000000000000020000000000000003000000000000006437b3"
    "ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9ad"
    "c112b7cc9a93cae41f326254eebc05f50e896086af6063526b3508d5b9c88a03880859b2cdbf43ec291116"
)
ENTRIES = {
    "/a/b": (sources.Inode(3, 1_700_000_000_000_000_001, 1_700_000_000_000_000_002, 42), blake3(b"abc").digest()),
    "/a/\udcff": (sources.Inode(0, 1, 2, 3), blake3(b"").digest()),
}


def test_a_cache_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "golden").write_bytes(GOLDEN)
    assert load(tmp_path / "golden") == ENTRIES
    assert encoded(ENTRIES) == GOLDEN
    (tmp_path / "golden").write_bytes(GOLDEN.replace(b"PUT\x01", b"PUT\x02"))
    assert load(tmp_path / "golden") == load(tmp_path / "none") == {}


BIG = 3 << 20


def test_big_files_are_left_out_too(tree: Tree, engine: Engine) -> None:
    tree.write(big=os.urandom(BIG), one=bytes(BIG // 2), f000=b"small")
    assert tree.put() > BIG
    tree.calls.finished(tree.repo)
    before = engine.space.inspect().stored.live_stored_bytes
    assert tree.put() < 500
    tree.must_be_there()
    changed = bytearray((tree.folder / "big").read_bytes())
    changed[BIG // 2] ^= 1
    tree.write(big=bytes(changed))
    assert BIG < tree.put() < BIG + 1000
    tree.must_be_there()
    assert tree.put("another") > BIG
    tree.must_be_there("another")
    assert engine.space.inspect().stored.live_stored_bytes - before < BIG + 10_000


def test_of_a_big_file_that_changed_under_the_put_nothing_is_kept(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.write(big=os.urandom(BIG))
    upload = tree.client.upload

    def meanwhile(*arguments: Any, **more: Any) -> bytes:
        answer = upload(*arguments, **more)
        tree.write(big=os.urandom(BIG))  # read by then, and written before the put has ended
        return answer

    monkeypatch.setattr(tree.client, "upload", meanwhile)
    tree.put()
    monkeypatch.undo()
    assert tree.put() > BIG
    tree.must_be_there()


def test_of_two_big_files_for_one_place_neither_is_kept(tree: Tree) -> None:
    tree.write(big=os.urandom(BIG), other=os.urandom(BIG))
    found = {Path(one.local).name: one for one in sources.local_tree(str(tree.folder), "", pytest.fail)}
    big, other = found["big"], found["other"]
    cache = PutCache(tree.caches, [str(tree.folder)], RealAmbient().now_us() * 1000 + HOUR_NS)
    second = sources.LocalFile(big.path, other.local, other.size_bytes, other.inode)
    uploads.put_files(tree.client, on(tree.repo), [big, second], cache=cache)
    assert cache.find(big) is None
    assert cache.find(other) is None
    assert tree.put() > 2 * BIG
    tree.must_be_there()


def test_hashes_of_big_files_are_told_to_who_wants_them(calls: Calls) -> None:
    repo = calls.repo()
    data = os.urandom(BIG)
    bodies = list(
        bulk(on(repo), own.FilePiece(path="/big", data=data), own.SmallFiles(paths=["/a"], sizes=[1], data=b"x"))
    )
    assert not calls.bulk.BulkPut(iter(bodies)).big_paths
    bodies[0].target.tell_hashes = True
    told = calls.bulk.BulkPut(iter(bodies))
    calls.finished(repo)
    info = calls.stub.InspectFile(pfs.InspectFileRequest(file=pfs.File(commit=on(repo), path="/big")))
    assert (list(told.big_paths), told.big_hashes) == (["/big"], info.hash)
