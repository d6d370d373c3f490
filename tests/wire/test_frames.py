"""What is encoded by hand is what protobuf would have written, and reads back."""

from __future__ import annotations

import pytest
from google.protobuf.wrappers_pb2 import BytesValue
from hypothesis import given
from hypothesis import strategies as st

from trunkline.wire import frames
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own


@given(st.integers(0, 1 << 40))
def test_numbers_are_written_as_protobuf_does(number):
    written = own.BulkPutResponse(files=number).SerializeToString()
    assert written == (b"\x10" + frames.varint(number) if number else b"")


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16383, 16384, 5_000_000])
def test_bytes_of_any_length(size):
    data = b"x" * size
    assert frames.bytes_value(data) == BytesValue(value=data).SerializeToString()


@given(path=st.text(), data=st.binary(min_size=1), append=st.booleans())
def test_a_piece_of_a_file(path, data, append):
    parts = frames.delimited(
        3, *frames.delimited(1, path.encode()), *frames.delimited(2, data), *frames.flag(3, append)
    )
    read = own.BulkPutRequest.FromString(b"".join(parts))
    assert read == own.BulkPutRequest(piece=own.FilePiece(path=path, data=data, append=append))


@given(path=st.text(min_size=1), data=st.binary())
def test_bytes_of_the_public_call(path, data):
    inner = frames.delimited(3, *frames.delimited(1, data))
    read = pfs.ModifyFileRequest.FromString(b"".join(frames.delimited(2, *frames.delimited(1, path.encode()), *inner)))
    assert read == pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=BytesValue(value=data)))
