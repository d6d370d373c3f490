"""What the agent promises (docs/formats/runner.md), as root and as an ordinary user."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from housing import ENV, sandbox_for, scratch_for

from trunkline.worker.agent import frames
from trunkline.worker.launch import CannotBuild, Scratch, listen, start
from trunkline.worker.runner import AgentLost, AgentRunner, Command, Exited


class Output:
    """Collects what a command writes."""

    def __init__(self) -> None:
        self.streams = {1: b"", 2: b""}

    def __call__(self, stream: int, data: bytes) -> None:
        self.streams[stream] += data


def sh(runner: AgentRunner, script: str, **more: object) -> tuple[Exited, Output]:
    output = Output()
    command = Command(["sh", "-c", script], {**ENV, **more.pop("env", {})}, **more)  # type: ignore[arg-type, dict-item]
    return runner.run(command, output), output


def mark(number: int) -> str:
    """Seconds to sleep that no other test process uses, to know the sleeper by."""
    return f"{number}.{os.getpid()}"


def lives(marker: str) -> bool:
    """Whether a process with this argument exists anywhere on the machine."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if marker.encode() in Path("/proc", name, "cmdline").read_bytes().split(b"\0"):
                    return True
            except OSError:
                continue
    return False


def test_output_error_and_code_come_back(runner: AgentRunner) -> None:
    ended, output = sh(runner, "echo out; echo err >&2; exit 7")
    assert (ended.code, ended.signal, ended.not_started) == (7, None, None)
    assert output.streams == {1: b"out\n", 2: b"err\n"}
    assert ended.max_rss_bytes > 0


def test_one_agent_runs_command_after_command(runner: AgentRunner) -> None:
    assert [sh(runner, f"exit {code}")[0].code for code in range(20)] == list(range(20))


def test_output_larger_than_the_credit_comes_whole(runner: AgentRunner) -> None:
    ended, output = sh(runner, "head -c 3000000 /dev/zero; head -c 1000000 /dev/zero >&2")
    assert (ended.code, len(output.streams[1]), len(output.streams[2])) == (0, 3_000_000, 1_000_000)


def test_arguments_environment_folder_and_stdin(runner: AgentRunner) -> None:
    (runner.scratch.staging / "lines").write_text("one\ntwo\n")
    output = Output()
    argv = ["sh", "-c", 'echo "$1" "$WHAT" "$PWD"; cat', "sh", "a b ü"]
    command = Command(argv, {**ENV, "WHAT": "$x 'q'"}, cwd="/tmp", stdin="/.pfs/lines")
    assert runner.run(command, output).code == 0
    assert output.streams[1].decode() == "a b ü $x 'q' /tmp\none\ntwo\n"


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["no-such-command"], 'command "no-such-command" not found; looked in /usr/local/bin, /usr/bin, /bin'),
        (["/no/such"], 'command "/no/such" does not exist'),
        (["/etc/passwd"], 'command "/etc/passwd": Permission denied'),
        (["/tmp/lost"], 'command "/tmp/lost": its interpreter /no/interpreter does not exist'),
        (["/tmp/plain"], 'command "/tmp/plain" is not a program: it needs a first line such as #!/bin/sh'),
        ([], "no command given"),
    ],
)
def test_what_cannot_start_says_why(runner: AgentRunner, argv: list[str], told: str) -> None:
    for name, text in (("lost", "#!/no/interpreter\n"), ("plain", "echo\n")):
        (runner.scratch.tmp / name).write_text(text)
        (runner.scratch.tmp / name).chmod(0o755)
    assert runner.run(Command(argv, ENV), Output()).not_started == told


def test_a_missing_working_directory_is_named(runner: AgentRunner) -> None:
    told = runner.run(Command(["true"], ENV, cwd="/nowhere"), Output()).not_started
    assert told == 'working directory "/nowhere": No such file or directory'


def test_a_limit_ends_it_and_all_its_children(runner: AgentRunner) -> None:
    ended, output = sh(
        runner, f"echo before; sleep {mark(77001)} & setsid sleep {mark(77001)} & sleep {mark(77001)}", limit_us=200_000
    )
    assert (ended.timed_out, ended.signal) == (True, signal.SIGKILL)
    assert output.streams[1] == b"before\n"
    assert not lives(mark(77001))


def test_a_daemon_does_not_outlive_its_datum(runner: AgentRunner) -> None:
    script = f"(setsid setsid sleep {mark(77002)} </dev/null >/dev/null 2>&1 &); (nohup sleep {mark(77002)} &); exit 0"
    ended, _ = sh(runner, script)
    assert ended.code == 0
    assert not lives(mark(77002))


def test_a_daemon_that_keeps_the_pipe_does_not_hang_the_reader(runner: AgentRunner) -> None:
    ended, output = sh(runner, f"(setsid sleep {mark(77003)} &); echo done")
    assert (ended.code, output.streams[1]) == (0, b"done\n")


def test_kill_comes_from_another_thread(runner: AgentRunner) -> None:
    seen = threading.Event()

    def on_output(stream: int, data: bytes) -> None:
        seen.set()

    def kill() -> None:
        assert seen.wait(20)
        runner.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    ended = runner.run(Command(["sh", "-c", f"echo up; sleep {mark(77004)}"], ENV), on_output)
    killer.join()
    assert (ended.killed, ended.timed_out, ended.signal) == (True, False, signal.SIGKILL)
    assert sh(runner, "exit 0")[0].code == 0


def test_killed_by_its_own_hand(runner: AgentRunner) -> None:
    ended, _ = sh(runner, "kill -SEGV $$")
    assert (ended.code, ended.signal, ended.killed) == (None, signal.SIGSEGV, False)


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


def test_fix_makes_files_readable_and_copies_what_lies_elsewhere(runner: AgentRunner) -> None:
    runner.scratch.staging.joinpath("in").mkdir()
    script = (
        "mkdir -p /pfs/out/closed; cd /pfs/out; echo s > closed/file; chmod 0 closed/file closed;"
        "echo tmp > /tmp/elsewhere; mkdir /tmp/tree; echo t > /tmp/tree/leaf; ln -s /tmp/elsewhere link;"
        "ln -s /tmp/tree tree; ln -s /.pfs/in kept; ln -s gone dangling; ln -s loop loop; ln -s closed/file inside"
    )
    assert sh(runner, script)[0].code == 0
    assert runner.fix("/pfs/out", "", ["/pfs", "/.pfs"]) == ""
    out = runner.scratch.pfs / "out"
    assert (out / "closed" / "file").read_text() == "s\n"
    assert (out / "closed" / "file").stat().st_mode & 0o444 == 0o444
    assert not (out / "link").is_symlink()
    assert (out / "link").read_text() == "tmp\n"
    assert (out / "tree" / "leaf").read_text() == "t\n"
    assert {name for name in os.listdir(out) if (out / name).is_symlink()} == {"kept", "dangling", "loop", "inside"}


def test_wipe_removes_what_only_the_code_may_remove(runner: AgentRunner) -> None:
    sh(runner, "mkdir -p /pfs/out/a/b; touch /pfs/out/a/b/c; chmod 0 /pfs/out/a/b /pfs/out/a")
    assert runner.wipe("/pfs/out") == ""
    assert list((runner.scratch.pfs / "out").iterdir()) == []


def test_another_user(runner: AgentRunner, who: str) -> None:
    ended, output = sh(runner, "id -u; id -g", user="daemon")
    if who == "self" and os.getuid() == 0:
        assert output.streams[1] == b"1\n1\n"
    else:
        assert ended.not_started is not None
        assert ended.not_started.startswith('cannot become user "daemon": this worker runs as uid')
    told = runner.run(Command(["true"], ENV, user="nobody-of-that-name"), Output()).not_started
    assert told == 'no user "nobody-of-that-name" in /etc/passwd'


def test_hanging_up_ends_all_that_runs(runner: AgentRunner) -> None:
    up = threading.Event()
    told: list[Exception] = []

    def work() -> None:
        try:
            runner.run(Command(["sh", "-c", f"echo up; sleep {mark(77005)}"], ENV), lambda stream, data: up.set())
        except AgentLost as error:
            told.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert up.wait(20)
    runner.close()
    thread.join(20)
    assert told
    assert not lives(mark(77005))


def test_a_killed_agent_is_told_and_leaves_nothing(runner: AgentRunner, who: str) -> None:
    launcher = runner._alive().process.pid
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
    process = first._alive().process
    number = first._send_exec(Command(["sleep", mark(77007)], ENV))
    first._ask(frames.WIPE, frames.text(b"/pfs"))  # answered after EXEC was obeyed
    with listen(scratch.staging) as listener:
        first._alive().connection.shutdown(socket.SHUT_RDWR)
        listener.settimeout(20)
        connection, _ = listener.accept()
    with connection:
        connection.settimeout(20)
        ((kind, running, _fields),) = frames.Incoming().feed(connection.recv(4096))
        assert (kind, running) == (frames.HELLO, number)
        assert lives(mark(77007))
        connection.sendall(frames.frame(frames.BYE, 0))
        assert process.wait(20) == 0
    assert not lives(mark(77007))


def test_a_worker_of_another_version_is_refused(folder: Path) -> None:
    scratch = scratch_for("self", folder)
    sandbox = sandbox_for("self", namespaces=False)
    with listen(scratch.staging) as listener:
        process = start(sandbox.plan(scratch), sandbox)
        listener.settimeout(20)
        connection, _ = listener.accept()
    with connection:
        connection.sendall(frames.frame(frames.WELCOME, 0, frames.WELCOME_BODY.pack(99)))
        assert process.wait(20) == 4


def test_without_namespaces_descendants_are_found_and_ended(folder: Path) -> None:
    runner = AgentRunner(Scratch(folder / "scratch").make(), sandbox_for("self", namespaces=False))
    try:
        sleep = f"sleep {mark(77008)}"
        script = f"(setsid setsid {sleep} </dev/null >/dev/null 2>&1 &); (setsid {sleep} &); {sleep} & exit 3"
        ended, _ = sh(runner, script)
        assert ended.code == 3
        assert not lives(mark(77008))
        assert sh(runner, f"sleep {mark(77008)}", limit_us=100_000)[0].timed_out
        assert not lives(mark(77008))
    finally:
        runner.close()
