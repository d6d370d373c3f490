"""A pool of worker processes: started, started again, stopped, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trunkline.ambient import RealAmbient, SimulatedAmbient
from trunkline.fleet import local
from trunkline.fleet.local import LocalFleet, reclaim

UNTIL_TOLD = ("sh", "-c", 'echo "$@"; touch "$4/up"; cat >/dev/null', "sh")
"""Says its arguments, marks its scratch, and ends with its control line."""


def following(command: tuple[str, ...]) -> Callable[[str, Path], list[str]]:
    """A worker's command line: `command` with name and scratch as arguments."""
    return lambda name, scratch: [*command, "--name", name, "--scratch", str(scratch)]


class Log:
    """Collects sentences; waits for one."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._came = threading.Condition()

    def __call__(self, line: str) -> None:
        with self._came:
            self.lines.append(line)
            self._came.notify_all()

    def wait(self, text: str, count: int = 1) -> None:
        with self._came:
            assert self._came.wait_for(lambda: sum(text in line for line in self.lines) >= count, 60), self.lines


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def fleet(tmp_path: Path, log: Log) -> Iterator[Callable[..., LocalFleet]]:
    made: list[LocalFleet] = []

    def make(command: tuple[str, ...] = UNTIL_TOLD, count: int = 2, **more: object) -> LocalFleet:
        ambient = more.pop("ambient", RealAmbient())
        one = LocalFleet(following(command), count, tmp_path / "scratch", ambient, log, min_free_bytes=0, **more)  # type: ignore[arg-type]
        made.append(one)
        return one

    yield make
    for one in made:
        one.stop()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_each_worker_gets_a_name_and_a_folder_of_its_own(
    fleet: Callable[..., LocalFleet], log: Log, tmp_path: Path
) -> None:
    fleet().start()
    log.wait("--name", 2)
    scratch = tmp_path / "scratch"
    assert sorted(line.partition(": ")[2] for line in log.lines) == [
        f"--name worker-{number}-0 --scratch {scratch}/worker-{number}-0" for number in range(2)
    ]
    assert (scratch / "worker-0-0").stat().st_mode & 0o777 == 0o700


def test_stop_ends_all_and_leaves_no_scratch(fleet: Callable[..., LocalFleet], log: Log, tmp_path: Path) -> None:
    one = fleet()
    one.start()
    log.wait("--name", 2)
    pids = [each.pid for each in one.status()]
    assert all(map(alive, pids))
    one.stop()
    assert not any(map(alive, pids))
    assert list((tmp_path / "scratch").iterdir()) == []


def test_who_does_not_listen_is_killed(
    fleet: Callable[..., LocalFleet], log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_POLITE_S", 0.1)
    one = fleet(("sh", "-c", "trap '' TERM HUP; exec 0</dev/null; echo up; while :; do sleep 1; done"), 1)
    one.start()
    log.wait("up")
    pid = one.status()[0].pid
    one.stop()
    assert not alive(pid)


def test_a_dead_worker_is_replaced_with_its_last_words_told(fleet: Callable[..., LocalFleet], log: Log) -> None:
    one = fleet(count=1)
    one.start()
    log.wait("--name worker-0-0")
    os.kill(one.status()[0].pid, signal.SIGKILL)
    log.wait("--name worker-0-1")
    (status,) = one.status()
    assert status.restarts == 1
    assert status.reason.startswith("a worker died (killed by signal 9: --name worker-0-0")


def test_back_off_grows_and_says_why(
    fleet: Callable[..., LocalFleet], log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_FIRST_DELAY_S", 0.01)
    one = fleet(("sh", "-c", "echo cannot reach the server >&2; exit 3"), 1)
    one._places[0].delay_s = 0.01
    one.start()
    log.wait("a worker died", 4)
    delays = [line.rpartition(" in ")[2] for line in log.lines if "died" in line]
    assert delays[:4] == ["0.01 s", "0.02 s", "0.04 s", "0.08 s"]
    assert "a worker died (exit 3: cannot reach the server); the next one starts" in log.lines[1]
    assert one.trouble().startswith("none of 1 runs; a worker died (exit 3: cannot reach")


def test_a_command_that_cannot_start_is_a_reason(fleet: Callable[..., LocalFleet], log: Log) -> None:
    one = fleet(("/no/such/program",), 1, ambient=SimulatedAmbient())
    one.start()
    log.wait("a worker cannot be started: No such file or directory; the next one starts in 10 s")
    assert one.crash() == "none of 1 runs; a worker cannot be started: No such file or directory"


def test_a_full_disk_is_a_reason(tmp_path: Path, log: Log) -> None:
    one = LocalFleet(following(UNTIL_TOLD), 1, tmp_path / "scratch", SimulatedAmbient(), log, min_free_bytes=1 << 62)
    one.start()
    try:
        log.wait("make room there; the next one starts in 10 s")
        assert one.status()[0].pid == 0
    finally:
        one.stop()


def test_what_an_earlier_server_left_is_removed(fleet: Callable[..., LocalFleet], log: Log, tmp_path: Path) -> None:
    left = tmp_path / "scratch" / "worker-0-7" / "pfs" / "out" / "closed"
    left.mkdir(parents=True)
    (left / "file").write_text("x")
    left.chmod(0)
    fleet(count=1).start()
    log.wait("--name worker-0-0")
    assert [path.name for path in (tmp_path / "scratch").iterdir()] == ["worker-0-0"]


def test_reclaim_opens_closed_folders(tmp_path: Path) -> None:
    closed = tmp_path / "a" / "b"
    closed.mkdir(parents=True)
    (closed / "c").mkdir()
    (closed / "c" / "f").write_text("x")
    (closed / "c").chmod(0)
    closed.chmod(0o500)
    reclaim(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_workers_end_with_who_started_them(tmp_path: Path) -> None:
    """The server is killed: nobody tells its workers, but their control line ends."""
    program = f"""
import sys, threading
from pathlib import Path
from trunkline.ambient import RealAmbient
from trunkline.fleet.local import LocalFleet
def command(name, scratch):
    return [*{UNTIL_TOLD!r}, "--name", name, "--scratch", str(scratch)]
fleet = LocalFleet(command, 2, Path({str(tmp_path / "scratch")!r}), RealAmbient(), lambda line: None)
fleet.start()
while not all(Path({str(tmp_path)!r}, "scratch", f"worker-{{n}}-0", "up").exists() for n in range(2)):
    threading.Event().wait(0.02)
print(*(each.pid for each in fleet.status()), flush=True)
threading.Event().wait()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as server:
        assert server.stdout
        pids = [int(each) for each in server.stdout.readline().split()]
        assert len(pids) == 2
        descriptors = [os.pidfd_open(pid) for pid in pids]
        server.kill()
    import select

    for descriptor in descriptors:
        assert select.select([descriptor], [], [], 60)[0]
        os.close(descriptor)


def test_there_is_no_trouble_while_a_worker_runs(fleet: Callable[..., LocalFleet], log: Log) -> None:
    one = fleet()
    assert one.trouble() == "none of 2 runs; they are starting"
    assert one.crash() == ""
    one.start()
    log.wait("--name", 2)
    assert one.trouble() == ""


def test_no_workers_at_all(fleet: Callable[..., LocalFleet]) -> None:
    assert fleet(count=0).trouble() == fleet(count=0).crash() == "this server has no workers"
