"""The runner protocol's bytes: golden vectors that every later version must still write and read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.worker.agent import frames
from trunkline.worker.agent.process import Order

HELLO = frames.frame(frames.HELLO, 7, frames.HELLO_BODY.pack(1, bytes(range(16)), 3))
EXEC = frames.frame(
    frames.EXEC,
    9,
    frames.EXEC_BODY.pack(1_500_000, 65536),
    *(frames.text(each) for each in (b"nobody", b"/.pfs/stdin", b"/tmp")),
    frames.texts([b"sh", b"-c", b"exit 3"]),
    frames.texts([b"A=b"]),
)
EXITED = frames.frame(
    frames.EXITED, 9, frames.EXITED_BODY.pack(1, 9, 4, 2_000_000, 1000, 500, 1 << 20), frames.text(b"why")
)
GOLDEN = {
    "hello": (HELLO, "1b0000000107000000" "0100" "000102030405060708090a0b0c0d0e0f" "03000000"),
    "out": (frames.frame(frames.OUT, 9, b"\x02", b"hi"), "080000000209000000" "02" "6869"),
    "exited": (
        EXITED,
        "350000000309000000" "01" "09000000" "04000000" "80841e0000000000" "e803000000000000" "f401000000000000"
        "0000100000000000" "03000000" "776879",
    ),
    "done": (
        frames.frame(frames.DONE, 2, frames.DONE_BODY.pack(3), frames.text(b"")),
        "110000000402000000" "0300000000000000" "00000000",
    ),
    "welcome": (frames.frame(frames.WELCOME, 0, frames.WELCOME_BODY.pack(1)), "070000008100000000" "0100"),
    "exec": (
        EXEC,
        "570000008209000000" "60e3160000000000" "00000100" "06000000" "6e6f626f6479" "0b000000"
        "2f2e7066732f737464696e" "04000000" "2f746d70" "03000000" "02000000" "7368" "02000000" "2d63" "06000000"
        "657869742033" "01000000" "03000000" "413d62",
    ),
    "credit": (
        frames.frame(frames.CREDIT, 9, frames.CREDIT_BODY.pack(1, 4096)),
        "0a0000008309000000" "01" "00100000",
    ),
    "kill": (frames.frame(frames.KILL, 9), "050000008409000000"),
}  # fmt: skip


@pytest.mark.parametrize("name", GOLDEN)
def test_frames_are_these_bytes(name: str) -> None:
    written, golden = GOLDEN[name]
    assert written.hex() == golden


def test_what_exec_says_is_read_back() -> None:
    ((kind, number, fields),) = frames.Incoming().feed(EXEC)
    assert (kind, number) == (frames.EXEC, 9)
    order = Order.read(fields)
    assert order == Order(1_500_000, 65536, b"nobody", b"/.pfs/stdin", b"/tmp", [b"sh", b"-c", b"exit 3"], [b"A=b"])


def test_fields_of_a_later_version_are_passed_over() -> None:
    longer = frames.frame(frames.WELCOME, 0, frames.WELCOME_BODY.pack(1), b"more of it")
    ((_, _, fields),) = frames.Incoming().feed(longer)
    assert fields.struct(frames.WELCOME_BODY) == (1,)
    assert fields.rest() == b"more of it"


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 2**32 - 1), st.binary(max_size=50))), st.data())
def test_frames_come_whole_however_they_are_cut(sent: list[tuple[int, int, bytes]], data: st.DataObject) -> None:
    stream = b"".join(frames.frame(kind, number, payload) for kind, number, payload in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    incoming, came = frames.Incoming(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        came += [(kind, number, fields.rest()) for kind, number, fields in incoming.feed(stream[start:end])]
    assert came == sent


@pytest.mark.parametrize("length", [0, 4, frames.MAX_FRAME_BYTES + 1])
def test_a_length_that_cannot_be_is_refused(length: int) -> None:
    with pytest.raises(frames.BadFrame):
        list(frames.Incoming().feed(length.to_bytes(4, "little") + bytes(10)))


def test_a_text_past_the_end_is_refused() -> None:
    fields = frames.Fields(b"\x05\x00\x00\x00abc")
    with pytest.raises(frames.BadFrame, match="runs past the end"):
        fields.text()
    with pytest.raises(frames.BadFrame):
        frames.Fields(b"\x01").struct(frames.EXEC_BODY)
