"""What a worker hears from an agent that is broken or hostile: code in a container may get hold of its shim."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from fakes import claim, datum, element
from hypothesis import example, given, settings
from hypothesis import strategies as st
from worlds import World

from trunkline.ambient import RealAmbient
from trunkline.worker.agent import frames
from trunkline.worker.launch import AgentLost, Launched, Sandbox, Scratch, greet
from trunkline.worker.ports import Claim, State, Step
from trunkline.worker.runner import AgentRunner, Command, Patience, Runner

HELLO = frames.frame(frames.HELLO, 0, frames.HELLO_BODY.pack(1, bytes(16), 0))
MOST_BYTES = frames.MAX_FRAME_BYTES + (256 << 10)
SAID = "what it says is not the runner protocol: "


def exited(how: int = 0, status: int = 0, used: int = 5, message: bytes = b"", number: int = 1) -> bytes:
    body = frames.EXITED_BODY.pack(how, status, 0, used, used, used, used)
    return frames.frame(frames.EXITED, number, body, frames.text(message))


class NoHome:
    """What the agents here live in."""

    def end(self) -> int:
        return 137

    def complaint(self) -> str:
        return "it was found dead"


class Hurried(RealAmbient):
    """Time that flies once it is told to."""

    ahead_s = 0.0

    def ticks_s(self) -> float:
        return super().ticks_s() + self.ahead_s


@contextmanager
def told(talk: bytes, hang_up: bool = True, running: int = 0, ambient: Hurried | None = None) -> Iterator[AgentRunner]:
    """A runner whose agent says this, whatever it is told. hang_up: and then no more; else it says nothing then."""
    ours, theirs = socket.socketpair()
    talker = threading.Thread(target=_say, args=(theirs, talk, hang_up))
    talker.start()
    launched = Launched(NoHome(), ours, bytes(16), running)
    folder = Scratch(Path("/nowhere"))
    runner = None
    try:
        patience = Patience(end_s=30, answer_s=30, take_s=1)
        yield (runner := AgentRunner(folder, Sandbox(), lambda scratch, sandbox: launched, ambient, patience))
    finally:
        if runner is not None:
            runner.close()
        ours.close()
        theirs.close()
        talker.join(60)
        assert not talker.is_alive()


def _say(theirs: socket.socket, talk: bytes, hang_up: bool) -> None:
    with suppress(OSError):
        theirs.sendall(talk)
        if hang_up:
            theirs.shutdown(socket.SHUT_WR)


PAYLOADS = (
    st.binary(max_size=80)
    | st.builds(lambda stream, data: bytes([stream]) + data, st.integers(0, 3), st.binary(max_size=99))
    | st.builds(
        lambda how, status, used, text: frames.EXITED_BODY.pack(how, status, 0, *used) + text,
        st.integers(0, 255),
        st.integers(-(1 << 31), (1 << 31) - 1) | st.integers(0, 9),
        st.lists(st.integers(0, (1 << 64) - 1) | st.integers(0, 9), min_size=4, max_size=4),
        st.binary(max_size=9) | st.binary(max_size=9).map(frames.text),
    )
    | st.binary(max_size=30).map(lambda text: frames.DONE_BODY.pack(1) + frames.text(text))
)
FRAMES = st.builds(frames.frame, st.integers(1, 4) | st.integers(0, 255), st.integers(0, 2), PAYLOADS)
HEADS = st.builds(struct.Struct("<IBI").pack, st.integers(0, (1 << 32) - 1), st.integers(1, 4), st.integers(0, 2))


@st.composite
def _talk(draw: st.DrawFn) -> bytes:
    """Frames, repeated, changed and cut."""
    parts = draw(st.lists(FRAMES | HEADS | st.binary(max_size=9) | st.just(HELLO) | st.just(exited()), max_size=6))
    whole = bytearray(b"".join(parts * draw(st.integers(1, 2))))
    for _ in range(draw(st.integers(0, 2))):
        if whole:
            whole[draw(st.integers(0, len(whole) - 1))] = draw(st.integers(0, 255))
    return bytes(whole[: draw(st.integers(0, len(whole)))] if draw(st.booleans()) else whole)


TALK = _talk()


@settings(max_examples=150, deadline=None)
@given(talk=TALK)
@example(frames.frame(frames.OUT, 1))
@example(frames.frame(frames.OUT, 1, b"\x07of no stream"))
@example(exited(how=9))
@example(exited(used=(1 << 64) - 1))
@example(frames.frame(frames.EXITED, 1, b"short"))
def test_nonsense_is_an_end_or_a_lost_agent(talk: bytes) -> None:
    heard: list[tuple[int, bytes]] = []
    with told(talk) as runner:
        try:
            ended = runner.run(Command(["x"]), lambda stream, data: heard.append((stream, data)))
        except AgentLost:
            assert not runner.alive
        else:
            assert [ended.code, ended.signal, ended.not_started].count(None) == 2
            assert ended.code in (None, *range(256))
            assert max(ended.wall_us, ended.user_us, ended.system_us, ended.max_rss_bytes) <= 1 << 53
        assert {stream for stream, _ in heard} <= {1, 2}
        assert sum(len(data) for _, data in heard) <= len(talk)


@settings(max_examples=60, deadline=None)
@given(talk=TALK)
@example(frames.frame(frames.DONE, 1, b"short"))
def test_nonsense_is_an_answer_or_a_lost_agent(talk: bytes) -> None:
    with told(talk) as runner, suppress(AgentLost):
        assert len(runner.wipe("/pfs")) < 5000


@settings(max_examples=60, deadline=None)
@given(talk=TALK | FRAMES.map(lambda frame: HELLO + frame) | st.integers(0, 30).map(lambda cut: HELLO[:cut]))
@example(frames.frame(frames.HELLO, 0, frames.HELLO_BODY.pack(0, bytes(16), 0)))
@example(frames.frame(99, 0, bytes(5000)))
def test_nonsense_is_a_greeting_or_a_lost_agent(talk: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        _say(theirs, talk, hang_up=True)
        with suppress(AgentLost):
            boot, number, folder = greet(ours)
            assert (len(boot), folder) == (16, -1)
            assert 0 <= number < 1 << 32


@pytest.mark.parametrize(("what", "kept"), [("folder", True), ("file", False), ("folders", True)])
def test_no_descriptor_is_left_of_a_greeting(tmp_path: Path, what: str, kept: bool) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / "file" if what == "file" else tmp_path
    before = len(os.listdir("/proc/self/fd"))
    ours, theirs = socket.socketpair()
    sent = os.open(place, os.O_RDONLY)
    with ours, theirs:
        for piece in (HELLO[:9], HELLO[9:]) if what == "folders" else (HELLO,):
            socket.send_fds(theirs, [piece], [sent])
        os.close(sent)
        if kept:
            folder = greet(ours)[2]
            assert os.path.samestat(os.fstat(folder), tmp_path.stat())
            os.close(folder)
        else:
            with pytest.raises(AgentLost, match="what came along is no folder"):
                greet(ours)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("talk", "why"),
    [
        (frames.frame(frames.OUT, 1), f"{SAID}output of stream 0"),
        (frames.frame(frames.OUT, 1, b"\x03x"), f"{SAID}output of stream 3"),
        (exited(how=7), f"{SAID}an end that cannot be"),
        (exited(status=300), f"{SAID}an end that cannot be"),
        (exited(how=1, status=0), f"{SAID}an end that cannot be"),
        (exited(used=1 << 60), f"{SAID}an end that cannot be"),
        (exited()[:-4] + b"\xff\xff\xff\xff", f"{SAID}a text of 4294967295 bytes runs past the end"),
        (b"\xff\xff\xff\xff\x02" + bytes(4), f"{SAID}a frame of 4294967295 bytes"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", f"{SAID}a frame of 1347703880 bytes"),
        (exited(number=2) + exited(number=0), "it was found dead"),
        (exited()[:20], "it was found dead"),
        (b"", "it was found dead"),
    ],
)  # fmt: skip
def test_why_it_was_lost_is_said(talk: bytes, why: str) -> None:
    with told(talk) as runner:
        with pytest.raises(AgentLost) as lost:
            runner.run(Command(["x"]), print)
        assert str(lost.value).startswith(f"the agent was lost: {why}")
        with pytest.raises(AgentLost):
            runner.run(Command(["x"]), print)


def test_a_frame_that_never_ends_takes_no_more_memory_than_one_frame() -> None:
    head = struct.pack("<IBI", frames.MAX_FRAME_BYTES, frames.OUT, 1)
    with told(head + bytes(frames.MAX_FRAME_BYTES - 6)) as runner:
        with pytest.raises(AgentLost):
            runner.run(Command(["x"]), print)
        assert len(runner._incoming._buffer) < MOST_BYTES


def test_words_without_end_are_cut() -> None:
    with told(exited(how=2, status=2, message=b"a" * 1_000_000)) as runner:
        ended = runner.run(Command(["x"]), print)
        assert ended.not_started == "a" * 4096
    with told(frames.frame(frames.DONE, 1, frames.DONE_BODY.pack(1), frames.text(b"b" * 1_000_000))) as runner:
        assert runner.wipe("/pfs") == "b" * 4096


def _killed(runner: AgentRunner, ambient: Hurried) -> None:
    def kill() -> None:
        ambient.ahead_s += 31
        runner.kill()
        ambient.ahead_s += 31

    threading.Timer(0.1, kill).start()
    runner.run(Command(["x"]), print)


def _past_its_limit(runner: AgentRunner, ambient: Hurried) -> None:
    threading.Timer(0.1, setattr, (ambient, "ahead_s", 32.0)).start()
    runner.run(Command(["x"], limit_us=1_000_000), print)


def _asked(runner: AgentRunner, ambient: Hurried) -> None:
    threading.Timer(0.1, setattr, (ambient, "ahead_s", 31.0)).start()
    runner.fix("/pfs/out", "", [])


@pytest.mark.parametrize("does", [_killed, _past_its_limit, _asked])
@pytest.mark.parametrize("talk", [b"", frames.frame(frames.OUT, 9, b"\x01" + bytes(100_000)) * 100])
def test_one_that_does_not_do_what_it_is_told_is_given_up(
    talk: bytes, does: Callable[[AgentRunner, Hurried], None]
) -> None:
    """Silent, or never tired of saying what nobody asked for."""
    ambient = Hurried()
    with told(talk, hang_up=False, ambient=ambient) as runner:
        with pytest.raises(AgentLost, match="it did not do in time what it was told"):
            does(runner, ambient)
        assert not runner.alive


def test_one_that_takes_nothing_is_given_up() -> None:
    with told(b"", hang_up=False) as runner, pytest.raises(AgentLost):
        runner.run(Command(["x", "y" * (4 << 20)]), print)


def test_one_that_was_heard_late_was_not_late() -> None:
    """The worker was held up, and not its agent."""
    ambient = Hurried()
    with told(frames.frame(frames.OUT, 1, b"\x01up") + exited(status=3), ambient=ambient) as runner:
        ended = runner.run(Command(["x"], limit_us=1), lambda stream, data: setattr(ambient, "ahead_s", 1000.0))
        assert ended.code == 3


def test_one_that_says_it_runs_something_and_does_not_speak_again() -> None:
    with pytest.raises(AgentLost), told(b"", running=7):
        pass


TALKS: Sequence[bytes | None] = (
    None,
    b"",
    exited(how=1, status=200, message=b"\xff"),
    exited(how=4),
    frames.frame(frames.OUT, 1, b"\x09"),
    bytes(range(200)),
)


@pytest.mark.parametrize("talk", TALKS)
def test_the_datum_says_so_and_the_next_one_runs(world: World, talk: bytes | None) -> None:
    """None: no agent can be had, as where the greeting is nonsense."""
    real, made = world.bench.runner, list[AgentRunner]()

    def start(scratch: Scratch, sandbox: Sandbox) -> Launched:
        ours, theirs = socket.socketpair()
        with theirs:
            if talk is None:
                theirs.sendall(b"GET / HTTP/1.1\r\n\r\n")
                theirs.shutdown(socket.SHUT_WR)
                return Launched(NoHome(), ours, *greet(ours))
            theirs.sendall(talk)
            theirs.shutdown(socket.SHUT_WR)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        return Launched(NoHome(), ours, bytes(16), 0)

    refused = iter(range(2))

    def runner(claim: Claim, tell: Callable[[str], None]) -> Runner:
        if talk is None and next(refused, None) is not None:
            return AgentRunner(world.bench.scratch, Sandbox(), start)
        if talk is not None and not made:
            made.append(AgentRunner(world.bench.scratch, Sandbox(), start))
        return made[0] if made and made[0].alive else real(claim, tell)

    world.bench.runner = runner
    step = Step(("sh", "-c", "cp /pfs/images/* /pfs/out"), datum_tries=1)
    server = world.run(claim(step, [datum(0, element("/0.txt")), datum(1, element("/1.txt"))]))
    hostile, other = server.all_results()
    assert hostile.state is State.FAILED
    assert hostile.reason.startswith(("the worker died while running this datum (", "killed by signal 200"))
    assert (other.state, other.reason) == (State.SUCCESS, "")
    assert world.told == []
