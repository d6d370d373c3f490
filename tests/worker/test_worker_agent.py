"""The agent inside namespaces, as root and as an ordinary user, and its ways of its own beside the contract."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from housing import ENV, Agents, sandbox_for, scratch_for

from trunkline.testing.contracts.runners import Housed, Output, RunnerContract, lives, mark
from trunkline.worker.agent import frames
from trunkline.worker.launch import AgentLost, CannotBuild, listen, start
from trunkline.worker.runner import AgentRunner, Command, Exited


class TestAgentInNamespaces(RunnerContract):
    """The rule: namespaces, as whoever runs the tests and as an ordinary user."""

    @pytest.fixture
    def housed(self, runner: AgentRunner, who: str) -> Housed:
        return Housed(runner, runner.scratch, "/pfs", "/.pfs", who == "self" and os.getuid() == 0)


class TestAgentWithoutPidNamespace(RunnerContract):
    """Where /proc is masked: descendants are found and ended one by one."""

    @pytest.fixture
    def housed(self, agents: Agents, who: str) -> Housed:
        runner = agents.get(who, own_pids=False)
        return Housed(runner, runner.scratch, "/pfs", "/.pfs", who == "self" and os.getuid() == 0)


class TestAgentOnTheHost(RunnerContract):
    """Where mounts are refused: in the host's own root."""

    @pytest.fixture
    def housed(self, agents: Agents) -> Housed:
        runner = agents.get("self", namespaces=False, own_pids=False)
        scratch = runner.scratch
        return Housed(runner, scratch, str(scratch.pfs), str(scratch.staging), os.getuid() == 0)


def sh(runner: AgentRunner, script: str) -> tuple[Exited, Output]:
    output = Output()
    return runner.run(Command(["sh", "-c", script], ENV), output), output


def test_the_host_is_read_only_and_the_private_folders_are_not(runner: AgentRunner, folder: Path) -> None:
    outside = folder / "outside"
    outside.mkdir(mode=0o777)
    outside.chmod(0o777)
    script = (
        f"touch {outside}/x /usr/x /etc/x /.pfs/x /x /sys/x; mount -o remount,rw /;"
        "echo 0 > /proc/sys/kernel/ngroups_max;"
        "touch /pfs/y /tmp/y /var/tmp/y /dev/shm/y $HOME/y && echo private; echo > /dev/null && echo devices"
    )
    _, output = sh(runner, script)
    assert output.streams[1] == b"private\ndevices\n"
    assert not list(outside.iterdir())
    assert sorted(path.name for path in runner.scratch.pfs.iterdir()) == ["y"]


def test_no_capability_is_left(runner: AgentRunner) -> None:
    _, output = sh(runner, "grep -E 'Cap(Prm|Eff|Bnd|Amb)|NoNewPrivs' /proc/self/status")
    values = dict(line.split(":\t") for line in output.streams[1].decode().splitlines())
    assert values.pop("NoNewPrivs") == "1"
    assert set(values.values()) == {"0" * 16}


def test_it_sees_its_own_processes_only(runner: AgentRunner) -> None:
    _, output = sh(runner, "echo /proc/[0-9]*")
    assert len(output.streams[1].split()) <= 3


def test_masked_is_empty_and_exposed_is_writable(
    open_runner: Callable[..., AgentRunner], folder: Path, who: str
) -> None:
    (folder / "shared").mkdir()
    (folder / "shared" / "file").write_text("inside")
    (folder / "shared").chmod(0o777)
    runner = open_runner(masked=("/usr/share", "/etc/passwd", "/not/there"), exposed=(str(folder / "shared"),))
    script = f"ls -A /usr/share; cat /etc/passwd; cat {folder}/shared/file; touch {folder}/shared/new"
    _, output = sh(runner, script)
    assert output.streams == {1: b"inside", 2: b""}
    assert (folder / "shared" / "new").exists()


def test_the_socket_and_our_environment_are_not_there(runner: AgentRunner) -> None:
    _, output = sh(runner, "ls -A /.pfs; env | grep -v -E '^(PATH|HOME|PWD|OLDPWD|SHLVL|_)='; ls /run /run/lock")
    assert b"sock" not in output.streams[1]
    assert b"=" not in output.streams[1]


def test_a_killed_agent_is_told_and_leaves_nothing(runner: AgentRunner, who: str) -> None:
    launcher = runner._alive().home.process.pid
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    with pytest.raises(AgentLost):
        runner.run(
            Command(["sh", "-c", f"echo up; setsid sleep {mark(77006)}"], ENV),
            lambda stream, data: os.kill(int(children[0]), signal.SIGKILL),
        )
    assert not lives(mark(77006))


def test_a_patient_agent_keeps_what_runs_for_the_next_worker(folder: Path, who: str) -> None:
    """The connection breaks, the agent connects again and says what still runs; the new worker reaps it."""
    scratch = scratch_for(who, folder)
    sandbox = sandbox_for(who, patience_s=30.0)
    try:
        first = AgentRunner(scratch, sandbox)
    except CannotBuild as error:
        pytest.skip(f"namespaces are refused here: {error}")
    process = first._alive().home.process
    number = first._send_exec(Command(["sleep", mark(77007)], ENV))
    first._ask(frames.WIPE, frames.text(b"/pfs"))  # answered after EXEC was obeyed
    with listen(scratch.staging) as listener:
        first._alive().connection.shutdown(socket.SHUT_RDWR)
        listener.settimeout(60)
        connection, _ = listener.accept()
    with connection:
        connection.settimeout(60)
        ((kind, running, _fields),) = frames.Incoming().feed(connection.recv(4096))
        assert (kind, running) == (frames.HELLO, number)
        assert lives(mark(77007))
        connection.sendall(frames.frame(frames.BYE, 0))
        assert process.wait(60) == 0
    assert not lives(mark(77007))


def test_a_worker_of_another_version_is_refused(folder: Path) -> None:
    scratch = scratch_for("self", folder)
    sandbox = sandbox_for("self", namespaces=False)
    with listen(scratch.staging) as listener:
        process = start(sandbox.plan(scratch), sandbox)
        listener.settimeout(60)
        connection, _ = listener.accept()
    with connection:
        connection.sendall(frames.frame(frames.WELCOME, 0, frames.WELCOME_BODY.pack(99)))
        assert process.wait(60) == 4
