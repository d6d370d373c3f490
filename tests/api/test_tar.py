"""Tar streams: what `tarfile` reads back, for names and sizes of every kind; pieces of one size."""

from __future__ import annotations

import io
import tarfile

import pytest
from google.protobuf.wrappers_pb2 import BytesValue
from hypothesis import given
from hypothesis import strategies as st

from trunkline.api.files.tar import END, blocks, member, messages, padding

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=60)
PATHS = st.lists(NAMES, min_size=1, max_size=5).map("/".join)


def read_back(stream: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(stream), mode="r|*") as tar:
        found = {}
        for entry in tar:
            content = tar.extractfile(entry)
            assert content is not None
            found[entry.name] = content.read()
        return found


@given(st.dictionaries(PATHS, st.binary(max_size=2000), max_size=8))
def test_what_goes_in_comes_out(files: dict[str, bytes]) -> None:
    stream = b"".join(blocks([(f"/{path}", len(data), [data]) for path, data in files.items()], 1_700_000_000))
    assert len(stream) % 512 == 0
    assert read_back(stream) == files


def test_nothing_is_a_valid_stream() -> None:
    assert read_back(b"".join(blocks([], 0))) == {}


def test_directories_are_told_and_the_root_is_not() -> None:
    stream = b"".join(blocks([("/", 3, None), ("/a/", 3, None), ("/a/b", 3, [b"abc"])], 0))
    with tarfile.open(fileobj=io.BytesIO(stream), mode="r|") as tar:
        assert [(entry.name, entry.isdir(), entry.mode) for entry in tar] == [("a", True, 0o755), ("a/b", False, 0o644)]


@pytest.mark.parametrize("size", [0, 1, 511, 512, 8**11 - 1, 8**11, 8**11 + 5, 1 << 40])
def test_sizes_are_told_exactly(size: int) -> None:
    header = member("/big", size, 0)
    with tarfile.open(fileobj=io.BytesIO(header), mode="r|") as tar:
        entry = tar.next()
        assert entry is not None
        assert (entry.name, entry.size, entry.mode) == ("big", size, 0o644)
    assert (size + len(padding(size))) % 512 == 0


@pytest.mark.parametrize("length", [99, 100, 101, 255, 4000])
def test_long_names(length: int) -> None:
    name = "x" * length
    assert read_back(member(f"/{name}", 0, 0) + END) == {name: b""}


def test_the_time_is_the_commits() -> None:
    with tarfile.open(fileobj=io.BytesIO(member("/a", 0, 1_700_000_000)), mode="r|") as tar:
        entry = tar.next()
        assert entry is not None
        assert entry.mtime == 1_700_000_000


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(1, 100))
def test_pieces_have_one_size_and_join_up(pieces: list[bytes], size: int) -> None:
    cut = [BytesValue.FromString(message).value for message in messages(pieces, size)]
    assert b"".join(cut) == b"".join(pieces)
    assert all(len(piece) == size for piece in cut[:-1])
    assert len(cut) == max(1, -(-sum(map(len, pieces)) // size))
