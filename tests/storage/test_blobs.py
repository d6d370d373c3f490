"""Blob stores keep the promises of their port, and what is special to each."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import obstore
import pytest
from obstore.store import MemoryStore

from trunkline.errors import FailedPrecondition, NotFound, ResourceExhausted, Unavailable
from trunkline.storage.blobs import Call, InjectedCrash, LocalBlobs, MemoryBlobs
from trunkline.storage.blobs.remote import ObjectBlobs
from trunkline.storage.objects import Place
from trunkline.testing.contracts.blobs import BlobStoreContract


class TestLocalBlobs(BlobStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[LocalBlobs]:
        store = LocalBlobs(tmp_path / "blobs")
        yield store
        store.close()


class TestMemoryBlobs(BlobStoreContract):
    @pytest.fixture
    def store(self) -> MemoryBlobs:
        return MemoryBlobs()


class TestObjectBlobs(BlobStoreContract):
    """On a store in memory; tests/engines has it on an S3 server."""

    @pytest.fixture
    def store(self) -> ObjectBlobs:
        return ObjectBlobs(Place(MemoryStore(), "some/place", "s3://bucket/some/place"))


def test_a_place_of_an_object_store_belongs_to_one_server() -> None:
    blobs = ObjectBlobs(Place(MemoryStore(), "", "s3://bucket/"))
    blobs.claim("one")
    blobs.claim("one")
    with pytest.raises(FailedPrecondition, match=r"belongs to another server \(one\)"):
        blobs.claim("two")


def test_a_store_that_overwrites_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = ObjectBlobs(Place(MemoryStore(), "", "s3://bucket/"))
    real = obstore.put
    monkeypatch.setattr(obstore, "put", lambda *a, **kw: real(*a, **{**kw, "mode": "overwrite"}))
    with pytest.raises(FailedPrecondition, match="overwrites objects"):
        blobs.claim("one")


def test_a_blob_is_durable_before_it_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    for name in ("fdatasync", "fsync", "link"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, _name=name, _real=real: (steps.append(_name), _real(*a))[1])
    store = LocalBlobs(tmp_path)
    store.put("a/1", b"x")
    steps.clear()
    store.put("a/2", b"x")
    assert steps == ["fdatasync", "link", "fsync"]


def test_folders_of_many_blobs_are_made_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is counted: whoever stores much waits for one folder after each blob, and hardly ever for a new one."""
    names = [f"chunks/{number:02x}/{number}" for number in range(256)]
    store = LocalBlobs(tmp_path)
    synced: list[str] = []

    def fsync(handle: int, real: Callable[[int], None] = os.fsync) -> None:
        synced.append(os.path.relpath(os.readlink(f"/proc/self/fd/{handle}"), tmp_path))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    for name in names[:3]:
        store.put(name, b"x")
    assert {path.name for path in (tmp_path / "chunks").iterdir()} == {"00", "01", "02"}
    assert synced == [".", "chunks", "chunks/00", "chunks", "chunks/01", "chunks", "chunks/02"]
    for name in names[3:]:
        store.put(name, b"x")
    assert synced.count("chunks") == 9
    assert synced.count(".") == 1
    assert all(synced.count(f"chunks/{number:02x}") == 1 for number in range(256))
    assert list(store.names()) == sorted(names)


def test_a_full_disk_fails_the_put_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalBlobs(tmp_path)

    def full(handle: int, data: list[memoryview]) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", full)
        with pytest.raises(ResourceExhausted, match=r"blob a/1 could not be written.*Free some space"):
            store.put("a/1", b"x")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert store.put("a/1", b"x")


def test_a_write_that_the_kernel_cuts_short_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalBlobs(tmp_path)
    monkeypatch.setattr(os, "writev", lambda handle, parts: os.write(handle, b"".join(parts)[:5]))
    store.put("a", [b"abc", b"defgh", b"", b"ijklmnop"])
    assert store.get("a") == b"abcdefghijklmnop"


def written(monkeypatch: pytest.MonkeyPatch, answer: Callable[[bytes], int] | None = None) -> list[tuple[str, int]]:
    """How files are written from now on: past the cache or through it, and how many bytes at once."""
    steps: list[tuple[str, int]] = []

    def write(handle: int, data: memoryview, real: Callable[..., int] = os.write) -> int:
        past = fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_DIRECT
        steps.append(("past" if past else "through", len(data)))
        return real(handle, data[: answer(bytes(data))] if answer else data)

    def writev(handle: int, parts: list[memoryview], real: Callable[..., int] = os.writev) -> int:
        steps.append(("through", sum(map(len, parts))))
        return real(handle, parts)

    monkeypatch.setattr(os, "write", write)
    monkeypatch.setattr(os, "writev", writev)
    return steps


BIG = bytes(range(256)) * 8192 + b"the end"  # 2 MiB and a little


def test_what_passes_is_written_past_the_cache_but_for_its_last_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "try").open("wb") as probe:
        try:
            fcntl.fcntl(probe, fcntl.F_SETFL, os.O_DIRECT)
        except OSError:
            pytest.skip(f"the file system of {tmp_path} has no O_DIRECT")
    steps = written(monkeypatch)
    store = LocalBlobs(tmp_path / "blobs")
    store.put("a", BIG, passing=True)
    assert steps == [("past", 1 << 20), ("past", 1 << 20), ("through", 7)]
    store.put("b", BIG)
    assert steps[3:] == [("through", len(BIG))]


def refuse(*_: object) -> int:
    raise OSError(errno.EINVAL, "Invalid argument")


@pytest.mark.parametrize("answer", [refuse, lambda _: 4096 * 3, lambda _: 1000], ids=["no", "blocks", "odd"])
def test_what_cannot_be_written_past_the_cache_goes_through_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Callable[[bytes], int]
) -> None:
    written(monkeypatch, answer)
    store = LocalBlobs(tmp_path)
    assert store.put("a", BIG, passing=True)
    assert store.get("a") == BIG


def test_a_file_system_that_knows_only_its_cache_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = written(monkeypatch)
    real = fcntl.fcntl
    monkeypatch.setattr(
        fcntl, "fcntl", lambda handle, what, to=0: refuse() if to & os.O_DIRECT else real(handle, what, to)
    )
    store = LocalBlobs(tmp_path)
    assert store.put("a", BIG, passing=True)
    assert steps == [("through", len(BIG))]
    assert store.get("a") == BIG


def test_a_disk_that_is_full_fails_a_passing_put_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalBlobs(tmp_path)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    monkeypatch.setattr(os, "writev", full)
    with pytest.raises(ResourceExhausted, match="Free some space"):
        store.put("a/1", BIG, passing=True)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_opening_removes_what_dead_processes_left_and_spares_the_living(tmp_path: Path) -> None:
    living = LocalBlobs(tmp_path)
    half = tmp_path / ".tmp" / "999999-0" / "0"
    half.parent.mkdir()
    half.write_bytes(b"half a blob")
    LocalBlobs(tmp_path)
    assert not half.parent.exists()
    assert living.put("a", b"x")


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable, match="file"):
        LocalBlobs(tmp_path / "file")


def test_memory_blobs_die_when_told_and_come_back() -> None:
    store = MemoryBlobs()
    store.crash_at(2)
    store.put("a", b"1")
    with pytest.raises(InjectedCrash):
        store.put("b", b"2")
    with pytest.raises(InjectedCrash):
        store.get("a")
    store.reopen()
    assert list(store.names()) == ["a"]
    store.crash_after(1)
    with pytest.raises(InjectedCrash):
        store.put("b", b"2")
    store.reopen()
    assert store.get("b") == b"2"


def test_memory_blobs_record_calls() -> None:
    store = MemoryBlobs()
    with store.recording() as calls:
        store.put("a", b"123")
        store.get("a", 1, 1)
        with pytest.raises(NotFound):
            store.get("b")
    store.put("c", b"")
    assert calls == [Call("put", "a", 3), Call("get", "a", 1)]
