"""The shim in a root of its own with nothing in it, as in an image from scratch, and told nonsense there."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trunkline.testing.contracts.runners import Output
from trunkline.worker.agent import frames
from trunkline.worker.launch import SOCKET_NAME, Launched, ProcessHome, Sandbox, Scratch, greet, listen
from trunkline.worker.runner import AgentRunner, Command
from trunkline.worker.shim.program import SOURCES, NoShim, program

pytestmark = [
    pytest.mark.engines,
    pytest.mark.skipif(os.getuid() != 0, reason="a root of its own without a user namespace needs root"),
]
ALONE = (shutil.which("unshare") or "unshare", "--pid", "--fork", "--kill-child", "--mount", "--net")


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, with every access to memory checked where there is a compiler that can."""
    target = tmp_path_factory.mktemp("shim") / "shim"
    checks = ["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error", "-fstack-protector-all", "-ftrapv"]
    sources = sorted(map(str, SOURCES.glob("*.c")))
    if shutil.which("gcc"):
        made = ["gcc", "-D_GNU_SOURCE", "-std=gnu11", "-O1", "-g", "-static", *checks, "-o", str(target), *sources]
        if subprocess.run(made, check=False, capture_output=True).returncode == 0:
            return target
    try:
        return program()
    except NoShim as error:
        pytest.skip(str(error))


def begin(
    root: Path, shim: Path, *flags: str, env: dict[str, str] | None = None, folder: str = "/"
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start it with `root` for its root, in `folder` there; its process and the connection it makes."""
    root.chmod(0o755)
    shutil.copy(shim, root / "shim")
    with listen(root) as listener:
        argv: Sequence[str] = [*ALONE, f"--root={root}", f"--wd={folder}", "/shim", *flags, f"/{SOCKET_NAME}"]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env or {})
        listener.settimeout(60)
        connection = listener.accept()[0]
    return process, connection


def test_nothing_of_an_image_is_needed(tmp_path: Path, checked: Path) -> None:
    """No /proc, no /dev, no /etc, no library: the input is empty, users are numbers, and daemons end all the same."""

    def start(scratch: Scratch, sandbox: Sandbox) -> Launched:
        process, connection = begin(tmp_path, checked)
        return Launched(ProcessHome(process), connection, *greet(connection)[:2])

    runner = AgentRunner(Scratch(tmp_path), Sandbox(), start)
    try:
        output = Output()
        assert runner.run(Command(["/shim", "--what"], {}), output).code == 2
        assert output.streams[2].startswith(b"usage: shim ")
        assert runner.run(Command(["/shim", "--what"], {}, user="1234:99"), output).code == 2
        assert runner.run(Command(["x"], {}, user="bob"), output).not_started == 'no user "bob" in /etc/passwd'
        assert runner.wipe("/") == ""
        assert list(tmp_path.iterdir()) == []
    finally:
        runner.close()


def test_what_the_image_says_completes_what_the_worker_says(tmp_path: Path, checked: Path) -> None:
    """Its variables and its folder, and its home unless the code is somebody else's."""
    (tmp_path / "code").mkdir()
    programs = [shutil.which(name) or name for name in ("sh", "env")]
    for each in programs:
        shutil.copy(each, tmp_path / "code")
    told = subprocess.run(["ldd", *programs], check=True, capture_output=True, text=True).stdout
    for library in {Path(word) for word in told.split() if word.startswith("/") and not word.endswith(":")}:
        (tmp_path / library.parent.relative_to("/")).mkdir(parents=True, exist_ok=True)
        shutil.copy(library, tmp_path / library.relative_to("/"))

    def start(scratch: Scratch, sandbox: Sandbox) -> Launched:
        env = {"COLOUR": "red", "SIZE": "s", "HOME": "/code", "PATH": "/code"}
        process, connection = begin(tmp_path, checked, "--inherit", env=env, folder="/code")
        return Launched(ProcessHome(process), connection, *greet(connection)[:2])

    runner = AgentRunner(Scratch(tmp_path), Sandbox(), start)
    try:
        for user, folder, home in (("", "", {"HOME=/code"}), ("7:7", "/", set())):
            output = Output()
            told = Command(["sh", "-c", "env; pwd"], {"SIZE": "xl"}, user=user, cwd=folder)
            assert runner.run(told, output).code == 0
            lines = set(output.streams[1].decode().split())
            assert lines - {"SHLVL=1", f"PWD={folder or '/code'}", "OLDPWD=/"} == {
                *("COLOUR=red", "SIZE=xl", "PATH=/code", folder or "/code"),
                *home,
            }
    finally:
        runner.close()


def _texts(values: Sequence[bytes]) -> bytes:
    return frames.texts(values)


ORDERS = st.builds(
    lambda limit, credit, texts, argv, env, rest: (
        frames.EXEC_BODY.pack(limit, credit) + b"".join(map(frames.text, texts)) + _texts(argv) + _texts(env) + rest
    ),
    st.integers(0, 1 << 20),
    st.sampled_from([0, 1, 1 << 16, (1 << 32) - 1]),
    st.lists(st.binary(max_size=20) | st.sampled_from([b"", b"/", b"0", b"1:2"]), min_size=3, max_size=3),
    st.lists(st.sampled_from([b"/shim", b"--what", b"", b"/"]) | st.binary(max_size=9), max_size=4),
    st.lists(st.sampled_from([b"PATH=/:", b"PATH=", b"="]) | st.binary(max_size=9), max_size=3),
    st.binary(max_size=24),
)
PAYLOADS = (
    ORDERS
    | st.binary(max_size=60)
    | st.lists(st.binary(max_size=9), max_size=3).map(_texts)
    | st.binary(max_size=30).map(frames.text)
)


@st.composite
def cut(draw: st.DrawFn) -> bytes:
    """A payload with some bytes changed or lost."""
    whole = bytearray(draw(PAYLOADS))
    for _ in range(draw(st.integers(0, 3))):
        if whole:
            whole[draw(st.integers(0, len(whole) - 1))] = draw(st.integers(0, 255))
    return bytes(whole[: draw(st.integers(0, len(whole)))] if draw(st.booleans()) else whole)


KINDS = st.sampled_from([frames.EXEC] * 4 + list(range(frames.WELCOME, frames.BYE))) | st.integers(0, 255)
TALK = st.lists(
    st.builds(frames.frame, KINDS, st.integers(0, 3), cut()) | st.binary(max_size=12), min_size=1, max_size=12
)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory, checked: Path) -> Callable[[], tuple[object, ...]]:
    """Starts one in an empty root of its own."""

    def start() -> tuple[object, ...]:
        root = tmp_path_factory.mktemp("root")
        return (root, *begin(root, checked))

    return start


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(talk=TALK)
def test_nonsense_never_breaks_it(fresh: Callable[[], tuple[object, ...]], talk: list[bytes]) -> None:
    """It obeys, or ends with a status of its own; never by a signal."""
    root, process, connection = fresh()
    assert isinstance(root, Path)
    assert isinstance(process, subprocess.Popen)
    assert isinstance(connection, socket.socket)
    try:
        connection.settimeout(60)
        try:
            connection.sendall(b"".join(talk) + frames.frame(frames.BYE, 0))
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass
        except ConnectionError:
            pass  # it hung up while we talked
        assert process.wait(60) in (0, 4, 5)
    finally:
        connection.close()
        process.kill()
        if process.stderr:
            process.stderr.close()
        process.wait()
        shutil.rmtree(root, ignore_errors=True)
