"""The promises of `trunkline.worker.runner.Runner`, for every program that speaks docs/formats/runner.md."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from trunkline.worker.launch import Scratch
from trunkline.worker.runner import Command, Exited, Runner

ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin"}


class Output:
    """Collects what a command writes."""

    def __init__(self) -> None:
        self.streams = {1: b"", 2: b""}

    def __call__(self, stream: int, data: bytes) -> None:
        self.streams[stream] += data


@dataclass(frozen=True)
class Housed:
    """A runner and its folders. pfs, staging: where its code sees `scratch.pfs` and `scratch.staging`.

    can_change_user: whether it may run code as somebody else.
    """

    runner: Runner
    scratch: Scratch
    pfs: str
    staging: str
    can_change_user: bool

    def sh(self, script: str, **more: object) -> tuple[Exited, Output]:
        """Run a script; how it ended and what it wrote. P is the folder of `pfs`."""
        output = Output()
        command = Command(["sh", "-c", script], {**ENV, "P": self.pfs}, **more)  # type: ignore[arg-type]
        return self.runner.run(command, output), output


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


class RunnerContract:
    """Supply the fixture `housed`: a runner with empty folders for each test."""

    def test_output_error_and_code_come_back(self, housed: Housed) -> None:
        ended, output = housed.sh("echo out; echo err >&2; exit 7")
        assert (ended.code, ended.signal, ended.not_started) == (7, None, None)
        assert output.streams == {1: b"out\n", 2: b"err\n"}
        assert ended.max_rss_bytes > 0
        assert housed.runner.alive

    def test_one_runner_runs_command_after_command(self, housed: Housed) -> None:
        assert [housed.sh(f"exit {code}")[0].code for code in range(20)] == list(range(20))

    def test_output_larger_than_the_credit_comes_whole(self, housed: Housed) -> None:
        ended, output = housed.sh("head -c 3000000 /dev/zero; head -c 1000000 /dev/zero >&2")
        assert (ended.code, len(output.streams[1]), len(output.streams[2])) == (0, 3_000_000, 1_000_000)

    def test_arguments_environment_folder_and_stdin(self, housed: Housed) -> None:
        (housed.scratch.staging / "lines").write_text("one\ntwo\n")
        output = Output()
        argv = ["sh", "-c", 'echo "$1" "$WHAT" "$PWD"; cat', "sh", "a b ü"]
        command = Command(argv, {**ENV, "WHAT": "$x 'q'"}, cwd="/usr", stdin=f"{housed.staging}/lines")
        assert housed.runner.run(command, output).code == 0
        assert output.streams[1].decode() == "a b ü $x 'q' /usr\none\ntwo\n"

    def test_stdin_is_empty_unless_given(self, housed: Housed) -> None:
        assert housed.sh("wc -c")[1].streams[1] == b"0\n"

    @pytest.mark.parametrize(
        ("argv", "told"),
        [
            (["no-such-command"], 'command "no-such-command" not found; looked in /usr/local/bin, /usr/bin, /bin'),
            (["/no/such"], 'command "/no/such" does not exist'),
            (["/etc/passwd"], 'command "/etc/passwd": Permission denied'),
            (["lost"], 'command "{pfs}/lost": its interpreter /no/interpreter does not exist'),
            (["plain"], 'command "{pfs}/plain" is not a program: it needs a first line such as #!/bin/sh'),
            ([], "no command given"),
        ],
    )
    def test_what_cannot_start_says_why(self, housed: Housed, argv: list[str], told: str) -> None:
        for name, text in (("lost", "#!/no/interpreter\n"), ("plain", "echo\n")):
            (housed.scratch.pfs / name).write_text(text)
            (housed.scratch.pfs / name).chmod(0o755)
            argv = [f"{housed.pfs}/{name}" if each == name else each for each in argv]
        ended = housed.runner.run(Command(argv, ENV), Output())
        assert (ended.code, ended.signal) == (None, None)
        assert ended.not_started == told.replace("{pfs}", housed.pfs)

    def test_a_program_for_another_kind_of_machine_is_named(self, housed: Housed) -> None:
        program = housed.scratch.pfs / "foreign"
        program.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xff\xfe\x01" + bytes(43))
        program.chmod(0o755)
        told = housed.runner.run(Command([f"{housed.pfs}/foreign"], ENV), Output()).not_started or ""
        start = f'command "{housed.pfs}/foreign" is made for another kind of machine: this one is '
        assert told.startswith(start)
        assert told != start

    def test_a_missing_working_directory_is_named(self, housed: Housed) -> None:
        told = housed.runner.run(Command(["true"], ENV, cwd="/nowhere"), Output()).not_started
        assert told == 'working directory "/nowhere": No such file or directory'

    def test_a_limit_ends_it_and_all_its_children(self, housed: Housed) -> None:
        sleep = f"sleep {mark(77001)}"
        ended, output = housed.sh(f"echo before; {sleep} & setsid {sleep} & {sleep}", limit_us=2_000_000)
        assert (ended.timed_out, ended.signal, ended.killed) == (True, signal.SIGKILL, False)
        assert output.streams[1] == b"before\n"
        assert not lives(mark(77001))

    def test_a_daemon_does_not_outlive_its_datum(self, housed: Housed) -> None:
        sleep = f"sleep {mark(77002)}"
        ended, _ = housed.sh(f"(setsid setsid {sleep} </dev/null >/dev/null 2>&1 &); (nohup {sleep} &); exit 3")
        assert ended.code == 3
        assert not lives(mark(77002))

    def test_a_daemon_that_keeps_the_pipe_does_not_hang_the_reader(self, housed: Housed) -> None:
        ended, output = housed.sh(f"(setsid sleep {mark(77003)} &); echo done")
        assert (ended.code, output.streams[1]) == (0, b"done\n")

    def test_kill_comes_from_another_thread(self, housed: Housed) -> None:
        seen = threading.Event()

        def kill() -> None:
            assert seen.wait(60)
            housed.runner.kill()

        killer = threading.Thread(target=kill)
        killer.start()
        command = Command(["sh", "-c", f"echo up; sleep {mark(77004)}"], ENV)
        ended = housed.runner.run(command, lambda stream, data: seen.set())
        killer.join()
        assert (ended.killed, ended.timed_out, ended.signal) == (True, False, signal.SIGKILL)
        assert housed.sh("exit 0")[0].code == 0

    def test_a_reader_that_fails_ends_the_command(self, housed: Housed) -> None:
        def fail(stream: int, data: bytes) -> None:
            raise ValueError(data.decode())

        with pytest.raises(ValueError, match="up"):
            housed.runner.run(Command(["sh", "-c", f"echo up; sleep {mark(77009)}"], ENV), fail)
        assert not lives(mark(77009))
        assert housed.sh("exit 0")[0].code == 0

    def test_a_kill_without_anything_to_kill_does_nothing(self, housed: Housed) -> None:
        housed.runner.kill()
        assert housed.sh("exit 5")[0].code == 5

    def test_killed_by_its_own_hand(self, housed: Housed) -> None:
        ended, _ = housed.sh("kill -SEGV $$")
        assert (ended.code, ended.signal, ended.killed) == (None, signal.SIGSEGV, False)

    def test_another_user(self, housed: Housed) -> None:
        ended, output = housed.sh("id -u; id -g", user="daemon")
        if housed.can_change_user:
            assert output.streams[1] == b"1\n1\n"
        else:
            assert ended.not_started is not None
            assert ended.not_started.startswith('cannot become user "daemon": this worker runs as uid')
        told = housed.sh("true", user="nobody-of-that-name")[0].not_started
        assert told == 'no user "nobody-of-that-name" in /etc/passwd'

    def test_fix_makes_files_readable_and_copies_what_lies_elsewhere(self, housed: Housed) -> None:
        housed.scratch.staging.joinpath("in").mkdir()
        script = f"""
            mkdir -p $P/out/closed $P/else/tree; cd $P/out; echo s > closed/file; chmod 0 closed/file closed
            echo e > $P/else/file; echo t > $P/else/tree/leaf; ln -s $P/else/file link; ln -s $P/else/tree tree
            ln -s {housed.staging}/in kept; ln -s gone dangling; ln -s loop loop; ln -s closed/file inside
        """
        assert housed.sh(script)[0].code == 0
        assert housed.runner.fix(f"{housed.pfs}/out", "", [f"{housed.pfs}/out", housed.staging]) == ""
        out = housed.scratch.pfs / "out"
        assert (out / "closed" / "file").read_text() == "s\n"
        assert (out / "closed" / "file").stat().st_mode & 0o444 == 0o444
        assert not (out / "link").is_symlink()
        assert (out / "link").read_text() == "e\n"
        assert (out / "tree" / "leaf").read_text() == "t\n"
        assert {name for name in os.listdir(out) if (out / name).is_symlink()} == {"kept", "dangling", "loop", "inside"}

    def test_fix_refuses_a_folder_that_holds_itself(self, housed: Housed) -> None:
        housed.sh("mkdir -p $P/out $P/else/a; ln -s $P/else $P/else/a/back; ln -s $P/else $P/out/tree")
        complaint = housed.runner.fix(f"{housed.pfs}/out", "", [f"{housed.pfs}/out", housed.staging])
        assert complaint == f"{housed.pfs}/out/tree: a link that leads back to a folder it lies in"

    @pytest.mark.parametrize(
        ("target", "told"),
        [
            ("/", "it leads back to a folder it lies in"),
            ("$P/out", "it leads back to a folder it lies in"),
            ("/proc/self", "files of the kernel are not copied"),
            ("/dev", "files of the kernel are not copied"),
        ],
    )
    def test_fix_refuses_what_has_no_end(self, housed: Housed, target: str, told: str) -> None:
        housed.sh(f"mkdir -p $P/out/d; ln -s {target} $P/out/d/l")
        complaint = housed.runner.fix(f"{housed.pfs}/out", "", [housed.staging])
        assert complaint == f"{housed.pfs}/out/d/l: {told}"
        assert (housed.scratch.pfs / "out" / "d" / "l").is_symlink()

    def test_wipe_removes_what_only_the_code_may_remove(self, housed: Housed) -> None:
        housed.sh("mkdir -p $P/out/a/b; touch $P/out/a/b/c; chmod 0 $P/out/a/b $P/out/a")
        assert housed.runner.wipe(f"{housed.pfs}/out") == ""
        assert list((housed.scratch.pfs / "out").iterdir()) == []
        assert housed.runner.wipe(f"{housed.pfs}/nothing") == f"{housed.pfs}/nothing: No such file or directory"

    def test_closing_ends_all_that_runs(self, housed: Housed) -> None:
        up, told = threading.Event(), list[Exception]()

        def work() -> None:
            try:
                housed.runner.run(
                    Command(["sh", "-c", f"echo up; sleep {mark(77005)}"], ENV), lambda stream, data: up.set()
                )
            except Exception as error:
                told.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        assert up.wait(60)
        housed.runner.close()
        thread.join(60)
        assert [type(error).__name__ for error in told] == ["AgentLost"]
        assert not housed.runner.alive
        assert not lives(mark(77005))
        housed.runner.close()
