"""The promises of `trunkline.storage.blobs.BlobStore`."""

from __future__ import annotations

import threading

import pytest

from trunkline.errors import DataLoss, InvalidArgument, NotFound
from trunkline.storage.blobs import BlobStore

NAME = "chunks/ab/abcd.7"


class BlobStoreContract:
    """Supply the fixture `store`: an empty one for each test."""

    def test_what_was_put_is_there(self, store: BlobStore) -> None:
        assert store.put(NAME, b"content") is True
        assert store.get(NAME) == b"content"
        assert store.size(NAME) == 7

    def test_a_second_put_changes_nothing(self, store: BlobStore) -> None:
        store.put(NAME, b"one")
        assert store.put(NAME, b"two") is False
        assert store.get(NAME) == b"one"

    def test_any_kind_of_buffer_can_be_put(self, store: BlobStore) -> None:
        store.put("a", bytearray(b"abc"))
        store.put("b", memoryview(b"xabcx")[1:4])
        store.put("c", [b"a", b"", memoryview(b"bc")])
        store.put("d", [b"x" * number for number in range(3000)])
        assert store.get("a") == store.get("b") == store.get("c") == b"abc"
        assert store.size("d") == sum(range(3000))

    @pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, (1 << 20) - 1, 1 << 20, (3 << 20) + 4096, (2 << 20) + 77])
    def test_a_passing_blob_is_like_any_other(self, store: BlobStore, size: int) -> None:
        content = (bytes(range(251)) * (size // 251 + 1))[:size]
        parts: list[bytes | memoryview] = [b"", content[:148], memoryview(content)[148:], b""]
        assert store.put(NAME, parts, passing=True) is True
        assert store.get(NAME) == content
        assert store.put(NAME, b"other", passing=True) is False

    def test_a_blob_may_be_empty(self, store: BlobStore) -> None:
        store.put(NAME, b"")
        assert store.get(NAME) == b""
        assert store.size(NAME) == 0

    @pytest.mark.parametrize(
        ("start", "length", "expected"),
        [(0, 3, b"abc"), (2, 2, b"cd"), (2, None, b"cdef"), (6, None, b""), (3, 0, b"")],
    )
    def test_a_span_is_read_alone(self, store: BlobStore, start: int, length: int | None, expected: bytes) -> None:
        store.put(NAME, b"abcdef")
        assert store.get(NAME, start, length) == expected

    @pytest.mark.parametrize(("start", "length"), [(0, 7), (6, 1), (7, None), (-1, 2)])
    def test_a_span_outside_the_blob_is_data_loss(self, store: BlobStore, start: int, length: int | None) -> None:
        store.put(NAME, b"abcdef")
        with pytest.raises(DataLoss, match=NAME):
            store.get(NAME, start, length)

    def test_an_absent_blob_is_not_found(self, store: BlobStore) -> None:
        store.put(NAME, b"x")
        for name in ("chunks/ab", "chunks/ab/abcd.8", f"{NAME}/below"):
            with pytest.raises(NotFound, match="there is no blob"):
                store.get(name)
            with pytest.raises(NotFound, match="there is no blob"):
                store.size(name)

    def test_delete_makes_absent_and_may_be_repeated(self, store: BlobStore) -> None:
        store.put(NAME, b"x")
        store.delete(NAME)
        store.delete(NAME)
        assert list(store.names()) == []

    def test_many_are_deleted_at_once_and_some_may_be_absent(self, store: BlobStore) -> None:
        names = [f"chunks/{number % 3}/{number}.1" for number in range(12)]
        for name in names:
            store.put(name, b"x")
        store.delete_all(names[:9])
        assert list(store.names()) == sorted(names[9:])
        store.delete_all(names)
        store.delete_all(names)
        store.delete_all([])
        assert list(store.names()) == []
        with pytest.raises(InvalidArgument, match="is no name for a blob"):
            store.delete_all(["a", "../b"])

    def test_names_are_listed_in_order_below_a_prefix(self, store: BlobStore) -> None:
        names = ["a", "b-1", "b/1", "b/2/3", "b/2.5", "b/20/1", "c/1"]
        for name in names:
            store.put(name, b"")
        assert list(store.names()) == sorted(names)
        assert list(store.names("b")) == sorted(name for name in names if name.startswith("b"))
        assert list(store.names("b/2")) == ["b/2.5", "b/2/3", "b/20/1"]
        assert list(store.names("b/2/")) == ["b/2/3"]
        assert list(store.names("nothing/here")) == []

    @pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "../a", "a/..", ".tmp/1", "A", "a b", "a\n"])
    def test_other_names_are_refused(self, store: BlobStore, name: str) -> None:
        with pytest.raises(InvalidArgument, match="is no name for a blob"):
            store.put(name, b"x")
        with pytest.raises(InvalidArgument, match="is no name for a blob"):
            store.get(name)

    def test_of_many_who_put_one_name_one_wins_whole(self, store: BlobStore) -> None:
        made: list[bytes] = []
        barrier = threading.Barrier(8)

        def put(content: bytes) -> None:
            barrier.wait()
            if store.put(NAME, content):
                made.append(content)

        threads = [threading.Thread(target=put, args=(bytes([number]) * 200_000,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert made == [store.get(NAME)]
