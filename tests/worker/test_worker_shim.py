"""The static program keeps the promises of a runner: on the host, in a pid namespace, and as an arm64 program."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from housing import emptied, place, prefix_for, scratch_for
from worlds import wait_until

from trunkline.testing.contracts.runners import ENV, Housed, RunnerContract, lives, mark
from trunkline.testing.engines.ports import free_port
from trunkline.worker.agent import frames
from trunkline.worker.launch import SOCKET_NAME, AgentLost, Launched, ProcessHome, Sandbox, Scratch, greet, listen
from trunkline.worker.runner import AgentRunner, Command
from trunkline.worker.shim.program import NoShim, machine_of, program

pytestmark = pytest.mark.engines

IN_PIDS = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


def shim(machine: str = "") -> Path:
    try:
        return program(machine)
    except NoShim as error:
        pytest.skip(str(error))


def command(scratch: Scratch, prefix: Sequence[str] = (), machine: str = "", more: Sequence[str] = ()) -> list[str]:
    """Its command line, from a copy that any user may execute."""
    copy = scratch.staging / "shim"
    if not copy.exists():
        shutil.copy(shim(machine), copy)
        copy.chmod(0o755)
    return [*prefix, str(copy), *more, str(scratch.staging / SOCKET_NAME)]


def started(prefix: Sequence[str] = (), machine: str = "") -> Callable[[Scratch, Sandbox], Launched]:
    """Starts a shim as a process and greets it."""

    def start(scratch: Scratch, sandbox: Sandbox) -> Launched:
        with listen(scratch.staging) as listener:
            process = subprocess.Popen(
                command(scratch, prefix, machine), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env={}, cwd="/"
            )
            listener.settimeout(60)
            connection = listener.accept()[0]
        (scratch.staging / SOCKET_NAME).unlink()
        return Launched(ProcessHome(process), connection, *greet(connection)[:2])

    return start


class Kept:
    """Warm shims, one for each way to start one, with emptied folders for each test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runners: dict[tuple[object, ...], AgentRunner] = {}

    def get(self, prefix: Sequence[str], machine: str, who: str) -> AgentRunner:
        """One that lives."""
        key = (*prefix, machine, who)
        runner = self._runners.get(key)
        if runner is None or not runner.alive:
            folder = self._folder / str(len(self._runners))
            folder.mkdir()
            folder.chmod(0o711)
            scratch = scratch_for(who, folder)
            runner = AgentRunner(scratch, Sandbox(), started((*prefix, *prefix_for(who)), machine))
            self._runners[key] = runner
        emptied(runner.scratch)
        return runner

    def close(self) -> None:
        """End them all."""
        for runner in self._runners.values():
            runner.close()


@pytest.fixture(scope="module")
def kept() -> Iterator[Kept]:
    with place() as folder:
        kept = Kept(folder)
        yield kept
        kept.close()


class Shims(RunnerContract):
    """Tests of one way to start it."""

    prefix: Sequence[str] = ()
    machine = ""

    def before(self) -> Sequence[str]:
        """What its command line begins with."""
        return self.prefix

    @pytest.fixture
    def who(self) -> str:
        return "self"

    @pytest.fixture
    def housed(self, kept: Kept, who: str) -> Housed:
        runner = kept.get(self.before(), self.machine, who)
        scratch = runner.scratch
        return Housed(runner, scratch, str(scratch.pfs), str(scratch.staging), who == "self" and os.getuid() == 0)


class TestShimOnTheHost(Shims):
    """Without a namespace: descendants are found and ended one by one."""


@pytest.mark.skipif(os.getuid() != 0, reason="a pid namespace without a user namespace needs root")
class TestShimAsProcessOne(Shims):
    """As in a container, and as an ordinary user there."""

    prefix = IN_PIDS

    @pytest.fixture(params=["self", "ordinary"])
    def who(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)


def qemu() -> str:
    found = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
    if not found:
        pytest.skip("no emulator of arm64 here: apt install qemu-user-static")
    return found


@pytest.mark.skipif(os.getuid() != 0, reason="a pid namespace without a user namespace needs root")
class TestShimForArm64(Shims):
    """The program for the other kind of machine, emulated; what it starts is not."""

    machine = "aarch64"

    def before(self) -> Sequence[str]:
        return (*IN_PIDS, qemu())


@pytest.fixture
def scratch() -> Iterator[Scratch]:
    with place() as folder:
        yield scratch_for("self", folder)


def hello(listener: socket.socket) -> tuple[socket.socket, int, bytes]:
    """The next connection, the number of what runs, and the boot id."""
    listener.settimeout(60)
    connection, _ = listener.accept()
    connection.settimeout(60)
    ((kind, running, fields),) = frames.Incoming().feed(connection.recv(4096))
    assert kind == frames.HELLO
    version, boot, _flags = fields.struct(frames.HELLO_BODY)
    assert version == frames.VERSION
    return connection, running, boot


def order(argv: Sequence[str]) -> bytes:
    env = [f"{name}={value}".encode() for name, value in ENV.items()]
    texts = [frames.text(b""), frames.text(b""), frames.text(b"/"), frames.texts([each.encode() for each in argv])]
    return frames.frame(frames.EXEC, 7, frames.EXEC_BODY.pack(0, 1 << 20), *texts, frames.texts(env))


def until(connection: socket.socket, kind: int) -> frames.Fields:
    """The next frame of a kind. Byte by byte, so that what comes after it stays for the next call."""
    incoming = frames.Incoming()
    while data := connection.recv(1):
        for found, _, fields in incoming.feed(data):
            if found == kind:
                return fields
    raise AssertionError("it hung up")


@pytest.mark.parametrize("patience", ["", "30"])
def test_what_runs_outlives_a_worker_only_if_patience_is_asked_for(scratch: Scratch, patience: str) -> None:
    argv = command(scratch, more=("--patience", patience) if patience else ())
    with listen(scratch.staging) as listener, subprocess.Popen(argv, env={}) as process:
        first, _, boot = hello(listener)
        first.sendall(order(["sh", "-c", f"echo up; exec sleep {mark(77032)}"]))
        until(first, frames.OUT)
        first.close()
        if patience:
            second, running, again = hello(listener)
            assert (running, again) == (7, boot)
            wait_until(lambda: lives(mark(77032)))
            second.sendall(frames.frame(frames.REAP, 8))
            assert until(second, frames.DONE).struct(frames.DONE_BODY) == (1,)
            second.sendall(frames.frame(frames.BYE, 0))
        assert process.wait(60) == 0
    assert not lives(mark(77032))


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (frames.frame(frames.WELCOME, 0, frames.WELCOME_BODY.pack(99)), 4),
        (b"\xff\xff\xff\xff what is this", 5),
        (b"\x00\x00\x00\x00", 5),
        (frames.frame(99, 3, b"of a later version") + frames.frame(frames.BYE, 0), 0),
    ],
)
def test_a_worker_that_speaks_otherwise(scratch: Scratch, sent: bytes, status: int) -> None:
    with listen(scratch.staging) as listener, subprocess.Popen(command(scratch), stderr=subprocess.PIPE) as process:
        connection, _, _ = hello(listener)
        connection.sendall(sent)
        assert process.wait(60) == status
        connection.close()


def test_being_asked_to_end_is_passed_on_first(scratch: Scratch) -> None:
    """As `docker stop` does: the user's code may tidy up."""
    script = 'trap "echo tidied; exit 9" TERM; echo up; while :; do sleep 0.05; done'
    with listen(scratch.staging) as listener, subprocess.Popen(command(scratch)) as process:
        connection, _, _ = hello(listener)
        connection.sendall(order(["sh", "-c", script]))
        until(connection, frames.OUT)
        process.send_signal(signal.SIGTERM)
        assert until(connection, frames.OUT).rest() == b"\x01tidied\n"
        assert until(connection, frames.EXITED).struct(frames.EXITED_BODY)[:2] == (0, 9)
        assert process.wait(60) == 0
        connection.close()


def test_it_copies_itself(tmp_path: Path) -> None:
    place = tmp_path / "there"
    assert subprocess.run([str(shim()), "--copy", str(place)], check=False).returncode == 0
    assert place.read_bytes() == shim().read_bytes()
    assert os.access(place, os.X_OK)
    told = subprocess.run([str(place), "--copy", "/no/such/folder/x"], capture_output=True, check=False)
    assert (told.returncode, told.stderr) == (1, b"/no/such/folder/x: No such file or directory\n")


def test_arguments_it_does_not_know_are_refused() -> None:
    told = subprocess.run([str(shim()), "--what"], capture_output=True, check=False)
    assert told.returncode == 2
    assert told.stderr.startswith(b"usage: shim ")


def test_it_is_small_and_needs_no_library() -> None:
    whole = shim().read_bytes()
    assert len(whole) < 100_000
    assert b"/ld-" not in whole


def test_a_tree_deeper_than_any_path_is_wiped(kept: Kept) -> None:
    runner = kept.get((), "", "self")
    deep = "mkdir -p $(printf 'd/%.0s' $(seq 900)); cd $(printf 'd/%.0s' $(seq 900)); "
    ended = runner.run(Command(["sh", "-c", f"cd {runner.scratch.pfs}; " + deep * 4 + "touch end"], ENV), print)
    assert ended.code == 0
    assert runner.wipe(str(runner.scratch.pfs)) == ""
    assert list(runner.scratch.pfs.iterdir()) == []


def test_a_port_inside_leads_to_the_worker(scratch: Scratch) -> None:
    port = free_port()
    with socket.socket(socket.AF_UNIX) as behind, listen(scratch.staging) as listener:
        behind.bind(str(scratch.staging / "behind.sock"))
        behind.listen()
        behind.settimeout(60)
        argv = command(scratch, more=("--relay", f"{port}={scratch.staging}/behind.sock"))
        with subprocess.Popen(argv) as process:
            connection, _, _ = hello(listener)
            with socket.create_connection(("127.0.0.1", port), 60) as outer, behind.accept()[0] as inner:
                inner.settimeout(60)
                whole = os.urandom(3_000_000)
                sent = 0
                got = bytearray()
                outer.setblocking(False)
                while len(got) < len(whole):
                    if sent < len(whole):
                        with contextlib.suppress(BlockingIOError):
                            sent += outer.send(whole[sent : sent + 65536])
                    got += inner.recv(65536)
                assert bytes(got) == whole
                outer.setblocking(True)
                outer.shutdown(socket.SHUT_WR)
                assert inner.recv(1) == b""
                inner.sendall(b"bye")
                inner.close()
                assert outer.recv(10) == b"bye"
                assert outer.recv(10) == b""
            connection.sendall(frames.frame(frames.BYE, 0))
            assert process.wait(60) == 0
            connection.close()


def test_a_listener_of_the_worker_leads_to_a_port_inside(scratch: Scratch) -> None:
    with listen(scratch.staging) as listener, socket.create_server(("127.0.0.1", 0)) as outside:
        with socket.create_server(("127.0.0.1", 0)) as inside:
            inside.settimeout(60)
            inner, outer = inside.getsockname()[1], outside.getsockname()[1]
            process = subprocess.Popen(command(scratch, more=("--inward", str(inner))))
            connection = listener.accept()[0]
            assert greet(connection, outside.fileno())[1:] == (0, -1)
            outside.close()  # the shim has it
            with socket.create_connection(("127.0.0.1", outer), 60) as visitor, inside.accept()[0] as served:
                visitor.sendall(b"knock")
                assert served.recv(10) == b"knock"
                served.sendall(b"come in")
                assert visitor.recv(10) == b"come in"
        visitor = socket.create_connection(("127.0.0.1", outer), 60)
        with visitor, contextlib.suppress(ConnectionResetError):
            assert visitor.recv(10) == b"", "nobody listens inside any more"
        connection.sendall(frames.frame(frames.BYE, 0))
        assert process.wait(60) == 0
        connection.close()


def test_a_folder_in_memory_is_handed_to_the_worker(scratch: Scratch) -> None:
    (scratch.pfs / "there").touch()
    with listen(scratch.staging) as listener:
        with subprocess.Popen(command(scratch, more=("--volume", str(scratch.pfs)))) as process:
            connection = listener.accept()[0]
            volume = greet(connection)[2]
            assert os.listdir(volume) == ["there"]
            os.close(volume)
            connection.sendall(frames.frame(frames.BYE, 0))
            assert process.wait(60) == 0
            connection.close()
        gone = subprocess.run(command(scratch, more=("--volume", "/no/such")), capture_output=True, check=False)
        assert b"/no/such: No such file or directory" in gone.stderr


def test_a_killed_shim_is_told(scratch: Scratch) -> None:
    runner = AgentRunner(scratch, Sandbox(), started())
    process = runner._alive().home.process  # type: ignore[attr-defined]
    with pytest.raises(AgentLost):
        runner.run(Command(["sh", "-c", "echo up; sleep 20"], ENV), lambda stream, data: process.kill())
    assert not runner.alive


def test_machines_are_known_by_the_names_of_images() -> None:
    assert (machine_of("amd64"), machine_of("arm64"), machine_of("x86_64")) == ("x86_64", "aarch64", "x86_64")
    with pytest.raises(NoShim, match="images for s390x cannot be run"):
        machine_of("s390x")
