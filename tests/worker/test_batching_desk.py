"""Where code asks for its next datum: at the socket, by a call, and what happens when either goes away."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from trunkline.ambient import RealAmbient
from trunkline.errors import FailedPrecondition
from trunkline.worker.batching import asking
from trunkline.worker.batching.desk import Ask, Desk

PATIENCE_S = 60.0


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(RealAmbient())
    desk.open(tmp_path)
    yield desk
    desk.close()


@pytest.fixture
def code(tmp_path: Path, desk: Desk) -> Iterator[socket.socket]:
    """A connection of the code's."""
    with socket.socket(socket.AF_UNIX) as here:
        here.settimeout(PATIENCE_S)
        here.connect(os.path.relpath(tmp_path / asking.NAME))
        yield here


def asked(desk: Desk) -> Ask:
    ask = desk.wait(PATIENCE_S)
    assert ask is not None
    return ask


def block(code: socket.socket) -> list[bytes]:
    """An answer's variables."""
    data = b""
    while not data.endswith(b"\0\0"):
        more = code.recv(1 << 16)
        assert more, "hung up"
        data += more
    return data[:-2].split(b"\0")


def test_one_connection_brings_one_request_after_the_other(desk: Desk, code: socket.socket) -> None:
    for number, error in enumerate(("", "no good", "")):
        code.sendall(error.encode() + b"\0")
        ask = asked(desk)
        assert ask.error == error
        assert desk.asked
        env = {"in": f"/pfs/in/{number}", "TEXT": "two\nlines = one", "BYTES": os.fsdecode(b"\xff")}
        assert desk.answer(ask, env)
        assert block(code) == [b"in=/pfs/in/%d" % number, b"TEXT=two\nlines = one", b"BYTES=\xff"]
        assert not desk.asked


def test_a_large_environment_and_a_request_in_pieces(desk: Desk, code: socket.socket) -> None:
    code.sendall(b"no ")
    assert desk.wait(0.01) is None
    code.sendall(b"good\0")
    ask = asked(desk)
    assert ask.error == "no good"
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(block, code)
        assert desk.answer(ask, {"LARGE": "x" * (1 << 20)})
        assert answer.result() == [b"LARGE=" + b"x" * (1 << 20)]


def test_who_hung_up_has_not_got_the_datum(desk: Desk, tmp_path: Path, code: socket.socket) -> None:
    """As code does that was interrupted while it waited: the next to ask gets it."""
    with socket.socket(socket.AF_UNIX) as other:
        other.connect(os.path.relpath(tmp_path / asking.NAME))
        other.sendall(b"\0")
        ask = asked(desk)
    assert not desk.answer(ask, {"N": "1"})
    code.sendall(b"\0")
    assert desk.answer(asked(desk), {"N": "1"})
    assert block(code) == [b"N=1"]


def test_many_connections_one_after_the_other(desk: Desk, tmp_path: Path) -> None:
    """As `pachctl next datum` makes them: none is kept."""
    before = len(os.listdir("/proc/self/fd"))
    for number in range(40):
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(asking.ask, os.path.relpath(tmp_path / asking.NAME), f"error {number}\0")
            ask = asked(desk)
            assert ask.error == f"error {number} "
            assert desk.answer(ask, {"N": "1"})
            assert answer.result()
    assert desk.wait(0) is None
    assert len(os.listdir("/proc/self/fd")) <= before + 3


def test_more_connections_than_are_kept_send_the_oldest_away_even_while_it_talks(desk: Desk, tmp_path: Path) -> None:
    with ExitStack() as held:
        lines = []
        for _ in range(asking.CONNECTIONS + 1):
            lines.append(held.enter_context(socket.socket(socket.AF_UNIX)))
            lines[-1].settimeout(PATIENCE_S)
            lines[-1].connect(os.path.relpath(tmp_path / asking.NAME))
            if len(lines) <= asking.CONNECTIONS:
                assert desk.wait(0.01) is None  # so that it is let in
        for line in lines[:2]:
            line.sendall(b"\0")
        ask = asked(desk)
        with pytest.raises(ConnectionResetError):  # what it said was not read
            lines[0].recv(1)
        assert desk.answer(ask, {"N": "1"})
        assert block(lines[1]) == [b"N=1"]


def test_who_talks_without_end_is_sent_away(desk: Desk, code: socket.socket) -> None:
    for _ in range(asking.MAX_ERROR_BYTES // 4096 + 1):
        code.sendall(b"x" * 4096)
        assert desk.wait(0.001) is None
    while not hung_up(code):
        assert desk.wait(0.01) is None
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        code.sendall(b"x")


def hung_up(code: socket.socket) -> bool:
    """Whether the other side has."""
    try:
        return code.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_the_end_of_the_code_ends_the_wait(desk: Desk) -> None:
    threading.Timer(0.01, desk.stir).start()
    assert desk.wait(None) is None


def test_who_waits_at_the_end_is_sent_away(desk: Desk, tmp_path: Path, code: socket.socket) -> None:
    code.sendall(b"\0")
    asked(desk)
    desk.close()
    assert code.recv(1) == b""
    assert not (tmp_path / asking.NAME).exists()


def test_a_call_is_heard_too_and_refused_where_nobody_serves(desk: Desk) -> None:
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(desk.next, "no good")
        ask = asked(desk)
        assert ask.error == "no good"
        with pytest.raises(FailedPrecondition, match="gets one at a time"):
            desk.next("")
        assert desk.answer(ask, {"N": "1"})
        assert call.result() == {"N": "1"}
        waiting = pool.submit(desk.next, "")
        asked(desk)
        desk.close()
        with pytest.raises(FailedPrecondition, match="was ended"):
            waiting.result()
    with pytest.raises(FailedPrecondition, match="datum_batching"):
        desk.next("")
