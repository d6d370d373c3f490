"""Pieces read where they lie say what protobuf reads, and whatever else comes is protobuf's."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from google.protobuf.wrappers_pb2 import BytesValue
from hypothesis import given
from hypothesis import strategies as st

from trunkline.ambient import chance
from trunkline.wire import frames
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own
from trunkline.wire.pieces import LARGE, Piece, bulk_put, modify_file

DATA = b"x" * LARGE


@given(path=st.text(), append=st.booleans())
def test_a_piece_of_our_own_call(path, append):
    message = own.BulkPutRequest(piece=own.FilePiece(path=path, data=DATA, append=append))
    assert bulk_put(message.SerializeToString()) == Piece(path, memoryview(DATA), append=append)


@given(path=st.text(), datum=st.text())
def test_a_piece_of_the_public_call(path, datum):
    message = pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, datum=datum, raw=BytesValue(value=DATA)))
    assert modify_file(message.SerializeToString()) == Piece(path, memoryview(DATA), datum)


def test_bytes_are_not_copied():
    came = own.BulkPutRequest(piece=own.FilePiece(path="/a", data=DATA)).SerializeToString()
    read = bulk_put(came)
    assert isinstance(read, Piece)
    assert read.data.obj is came
    assert read.ByteSize() == len(DATA)


@pytest.mark.parametrize(
    "message",
    [
        own.BulkPutRequest(piece=own.FilePiece(path="/a", data=b"small")),
        own.BulkPutRequest(small=own.SmallFiles(paths=["/a"], sizes=[len(DATA)], data=DATA)),
        own.BulkPutRequest(target=own.BulkTarget(description="x" * LARGE)),
        pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/a", raw=BytesValue(value=b"small"))),
        pfs.ModifyFileRequest(add_file=pfs.AddFile(path="x" * LARGE, url=pfs.AddFile.URLSource(URL="s3://a/b"))),
        pfs.ModifyFileRequest(add_file=pfs.AddFile(path="x" * LARGE, raw=BytesValue())),
        pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path="x" * LARGE)),
    ],
)
def test_everything_else_is_a_message(message):
    read = bulk_put if isinstance(message, own.BulkPutRequest) else modify_file
    assert read(message.SerializeToString()) == message


@pytest.mark.parametrize(
    "inner",
    [
        [*frames.delimited(2, DATA), *frames.delimited(2, DATA)],  # of two the last counts
        [*frames.delimited(2, DATA), *frames.delimited(9, b"of a later version")],
        [*frames.delimited(2, DATA), b"\x25four"],  # neither a number nor delimited
        [*frames.delimited(2, DATA), frames.varint(3 << 3), b"\xff" * 9 + b"\x01"],  # a negative number
    ],
)
def test_what_is_written_in_another_way_is_left_to_protobuf(inner):
    came = b"".join(frames.delimited(3, *inner))
    assert bulk_put(came) == own.BulkPutRequest.FromString(came)


@pytest.mark.parametrize("cut", [1, 2, 5, 100, LARGE])
def test_what_is_cut_short_is_refused(cut):
    came = own.BulkPutRequest(piece=own.FilePiece(path="/a", data=DATA + DATA)).SerializeToString()
    with pytest.raises(DecodeError):
        bulk_put(came[:-cut])


def test_a_path_must_be_text():
    came = b"".join(frames.delimited(3, *frames.delimited(1, b"\xff"), *frames.delimited(2, DATA)))
    with pytest.raises(DecodeError):
        bulk_put(came)


@given(st.integers(0, 2**32))
def test_any_bytes_are_read_as_protobuf_reads_them(seed):
    """Damage near the front, where tags and lengths are."""
    luck = chance(seed)
    came = bytearray(own.BulkPutRequest(piece=own.FilePiece(path="/ab", data=DATA, append=True)).SerializeToString())
    for _ in range(luck.randint(1, 3)):
        came[luck.randrange(16)] = luck.randrange(256)
    try:
        meant = own.BulkPutRequest.FromString(bytes(came))
    except DecodeError:
        with pytest.raises(DecodeError):
            bulk_put(bytes(came))
        return
    read = bulk_put(bytes(came))
    if isinstance(read, Piece):
        read = own.BulkPutRequest(piece=own.FilePiece(path=read.path, data=bytes(read.data), append=read.append))
    assert read == meant
