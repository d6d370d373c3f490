"""The backup file: bytes that every later release must read, and what is wrong with damaged ones."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from trunkline.errors import DataLoss, FailedPrecondition, InvalidArgument
from trunkline.model import backups as form

ABOUT = form.About("a" * 32, 1_700_000_000_000_000, "1.0", "", True)

GOLDEN = bytes.fromhex(
    "54524e4b4241434b0001010005000000000000007761626f75747b22637265617465645f7573223a20313730303030303030"
    "303030303030302c20226964223a20226161616161616161616161616161616161616161616161616161616161616161222c"
    "20226b657973223a20747275652c202272656c65617365223a2022312e30222c202273696e6365223a2022227de9cc35f4a8"
    "535c5ba7a3715c204a7f86ac893dca26775cdb6d07d1cd7acdc8c003000b0000000000000020736563726574732e6b65796b"
    "6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6bf1b5d6c7e793c6dbb36976ca0d72c0bb910da5"
    "6d9f1335841da8caf54c64ce0e02000a0000000000000004636174616c6f672e6462726f7773f6a929eebc9ed5baa2ae8f0b"
    "ab6a4fbc76f92cd4c27453654ba887fbb4db830a04000e00000000000000076368756e6b732f61612f61612e31636f6e7465"
    "6e742a8fd4227b37b8f533fbc653d7dd31d42c102beef6804a0904faa01ffbf1ec1105000e00000000000000006368756e6b"
    "732f62622f62622e326dd228aa14e16e0a8e2c88a5072af0d28dfaf75d6579acc5a512be5afff75179060000000000000000"
    "00004e2425df40a40064612cbd8768d33259fe8db55805d59741c15ea982c4dbafab"
)


def whole() -> bytes:
    return b"".join(
        [
            form.FORM.start(),
            form.record(form.ABOUT, "about", ABOUT.to_bytes()),
            form.record(form.KEY, "secrets.key", b"k" * 32),
            form.record(form.CATALOG, "catalog.db", b"rows"),
            form.record(form.BLOB, "chunks/aa/aa.1", b"content"),
            form.record(form.LISTED, "chunks/bb/bb.2"),
            form.record(form.END, ""),
        ]
    )


def read(data: bytes, cut: int = 7) -> list[tuple[int, str, bytes]]:
    def pieces() -> Iterator[bytes]:
        for start in range(0, len(data), cut):
            yield data[start : start + cut]

    return [(found.kind, found.name, b"".join(found.data)) for found in form.records(form.FORM, pieces())]


EXPECTED = [
    (form.ABOUT, "about", ABOUT.to_bytes()),
    (form.KEY, "secrets.key", b"k" * 32),
    (form.CATALOG, "catalog.db", b"rows"),
    (form.BLOB, "chunks/aa/aa.1", b"content"),
    (form.LISTED, "chunks/bb/bb.2", b""),
    (form.END, "", b""),
]


def test_what_was_written_once_is_read_for_ever() -> None:
    assert read(GOLDEN) == EXPECTED
    assert whole() == GOLDEN


@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_pieces_may_be_cut_anywhere(cut: int) -> None:
    assert read(whole(), cut) == EXPECTED


def test_names_are_listed_without_the_data() -> None:
    found = list(form.listing(form.FORM, io.BytesIO(whole())))
    assert [(kind, name) for kind, name, _ in found] == [(kind, name) for kind, name, _ in EXPECTED]
    assert form.About.from_bytes(found[0][2]) == ABOUT


def test_every_cut_is_noticed() -> None:
    data = whole()
    for length in range(len(data)):
        with pytest.raises(DataLoss):
            read(data[:length])
        with pytest.raises(DataLoss):
            list(form.listing(form.FORM, io.BytesIO(data[:length])))


def test_every_flipped_bit_is_noticed() -> None:
    data = whole()
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises((DataLoss, InvalidArgument, FailedPrecondition)):
            read(bytes(changed))


def test_what_is_no_backup_is_refused_in_words() -> None:
    with pytest.raises(InvalidArgument, match="no backup"):
        read(b"SQLite format 3\0 and more")
    with pytest.raises(FailedPrecondition, match="version 9"):
        read(form.FORM.magic + b"\0\x09" + whole()[10:])


def test_a_blob_that_grows_while_it_is_written_is_noticed() -> None:
    with pytest.raises(DataLoss, match="changed while"):
        b"".join(form.pieces_of(form.BLOB, "x", 3, [b"four"]))
