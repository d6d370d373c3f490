"""Workers of one machine: a pool of warm processes, started again when they die, gone when the server is."""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trunkline.ambient import Ambient
from trunkline.fleet.process import WorkerProcess

STOP_S = 5.0
_POLITE_S = 3.0
_FIRST_DELAY_S = 0.5
_MAX_DELAY_S = 30.0
_SETTLED_S = 60.0
_DISK_RETRY_S = 10.0
MIN_FREE_BYTES = 256 << 20


@dataclass(frozen=True)
class WorkerStatus:
    """What is known of one place in the pool. `pid` 0: not running, and `reason` says why."""

    name: str
    pid: int
    restarts: int
    reason: str


@dataclass
class _Place:
    """One of the pool's workers and its successors."""

    number: int
    process: WorkerProcess | None = None
    began_s: float = 0.0
    due_s: float = 0.0
    delay_s: float = _FIRST_DELAY_S
    starts: int = 0
    reason: str = ""


class LocalFleet:
    """Keeps `count` workers running.

    command: the command line of a worker, given its name and its scratch folder. folder: holds the scratch folders;
    what an earlier server left there is removed at the start. env: of the workers. tell: takes sentences for the
    operator's log. min_free_bytes: below that, no worker is started. gone: told the name of each worker that died of
    itself, and of what; it must not raise. prefix: what the names of its workers begin with.
    """

    def __init__(
        self,
        command: Callable[[str, Path], Sequence[str]],
        count: int,
        folder: Path,
        ambient: Ambient,
        tell: Callable[[str], None],
        env: Mapping[str, str] | None = None,
        min_free_bytes: int = MIN_FREE_BYTES,
        gone: Callable[[str, str], None] = lambda name, reason: None,
        prefix: str = "worker",
    ) -> None:
        self._command = command
        self._folder = folder
        self._ambient = ambient
        self._tell = tell
        self._env = dict(os.environ if env is None else env)
        self._min_free_bytes = min_free_bytes
        self._gone = gone
        self._prefix = prefix
        self._places = [_Place(number) for number in range(count)]
        self._stopping = False
        self._lock = threading.Lock()  # over places: the supervisor changes them, others look
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._thread = threading.Thread(target=self._supervise, name="fleet", daemon=True)

    def start(self) -> None:
        """Reclaim scratch and start the pool. Returns at once."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for entry in list(self._folder.iterdir()):
            reclaim(entry)
        self._thread.start()

    def stop(self) -> None:
        """End all workers, politely at first; returns within STOP_S, with none left."""
        if self._stopping:
            return
        self._stopping = True
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"x")
        if self._thread.ident is not None:
            self._thread.join()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def status(self) -> list[WorkerStatus]:
        """Each place, for `inspect` and for health."""
        with self._lock:
            return [
                WorkerStatus(
                    f"{self._prefix}-{place.number}",
                    place.process.pid if place.process else 0,
                    max(0, place.starts - 1),
                    place.reason,
                )
                for place in self._places
            ]

    def trouble(self) -> str:
        """Why no worker at all runs, as a sentence continues; "" while one does."""
        status = self.status()
        if not status:
            return "this server has no workers"
        if any(each.pid for each in status):
            return ""
        reason = next((each.reason for each in status if each.reason), "they are starting")
        return f"none of {len(status)} runs; {reason}"

    def crash(self) -> str:
        """Why no worker can run, as a sentence continues; "" while one does, or while the first ones start."""
        status = self.status()
        if status and (any(each.pid for each in status) or not any(each.reason for each in status)):
            return ""
        return self.trouble()

    def _supervise(self) -> None:
        """The only thread that starts and reaps."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_read, selectors.EVENT_READ, None)
            while not self._stopping:
                self._start_due(selector)
                for key, _ in selector.select(self._wait_s()):
                    if key.data is None:
                        os.read(self._wake_read, 4096)
                    else:
                        self._attend(selector, key.data, key.fd)
            self._end_all(selector)

    def _wait_s(self) -> float | None:
        due = [place.due_s for place in self._places if place.process is None]
        return max(0.0, min(due) - self._ambient.ticks_s()) if due else None

    def _start_due(self, selector: selectors.BaseSelector) -> None:
        for place in self._places:
            if place.process is None and place.due_s <= self._ambient.ticks_s():
                self._start(selector, place)

    def _start(self, selector: selectors.BaseSelector, place: _Place) -> None:
        name = f"{self._prefix}-{place.number}-{place.starts}"
        scratch = self._folder / name
        try:
            free = free_bytes(self._folder)
            if free < self._min_free_bytes:
                raise OSError(28, disk_reason(self._folder, free, self._min_free_bytes))
            scratch.mkdir(mode=0o700)
            process = WorkerProcess(name, self._command(name, scratch), self._env, scratch)
        except OSError as error:
            reclaim(scratch)
            self._fail(place, f"a worker cannot be started: {error.strerror or error}", _DISK_RETRY_S)
            return
        with self._lock:
            place.process, place.began_s = process, self._ambient.ticks_s()
            place.starts += 1
        selector.register(process.pidfd, selectors.EVENT_READ, place)
        selector.register(process.output, selectors.EVENT_READ, place)

    def _attend(self, selector: selectors.BaseSelector, place: _Place, descriptor: int) -> None:
        """Log lines, or the end."""
        process = place.process
        if process is None:
            return
        for line in process.read():
            self._tell(f"{process.name}: {line}")
        if descriptor == process.pidfd:
            how = self._bury(selector, place, process)
            self._gone(process.name, how)
            reason = f"a worker died ({how})"
            lived_s = self._ambient.ticks_s() - place.began_s
            place.delay_s = _FIRST_DELAY_S if lived_s >= _SETTLED_S else place.delay_s
            self._fail(place, reason, place.delay_s)
            place.delay_s = min(place.delay_s * 2, _MAX_DELAY_S)
        elif not _open(process.output):
            selector.unregister(process.output)

    def _bury(self, selector: selectors.BaseSelector, place: _Place, process: WorkerProcess) -> str:
        for descriptor in (process.pidfd, process.output):
            with contextlib.suppress(KeyError):
                selector.unregister(descriptor)
        reason = process.reap()
        with self._lock:
            place.process = None
        reclaim(process.folder)
        return reason

    def _fail(self, place: _Place, reason: str, delay_s: float) -> None:
        with self._lock:
            place.reason = reason
            place.due_s = self._ambient.ticks_s() + delay_s
        self._tell(f"{reason}; the next one starts in {delay_s:g} s")

    def _end_all(self, selector: selectors.BaseSelector) -> None:
        began_s = self._ambient.ticks_s()
        for place in self._places:
            if place.process:
                place.process.ask_to_end()
        killed = False
        while any(place.process for place in self._places):
            left_s = _POLITE_S - (self._ambient.ticks_s() - began_s)
            if left_s <= 0 and not killed:
                killed = True
                for place in self._places:
                    if place.process:
                        place.process.kill()
            for key, _ in selector.select(max(0.0, left_s) if not killed else None):
                place = key.data
                if place is None:
                    os.read(self._wake_read, 4096)
                elif place.process:
                    for line in place.process.read():
                        self._tell(f"{place.process.name}: {line}")
                    if key.fd == place.process.pidfd:
                        self._bury(selector, place, place.process)
                    elif not _open(key.fd):
                        selector.unregister(key.fd)


def free_bytes(folder: Path) -> int:
    """What an ordinary user may still write on the disk that holds `folder`."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def disk_reason(folder: Path, free: int, wanted: int) -> str:
    """A full disk, in words a user can act on."""
    return f"the disk that holds {folder} has {free >> 20} MiB free and workers need {wanted >> 20}; make room there"


def reclaim(path: Path) -> None:
    """Remove a scratch folder, closed folders of user code in it too. What cannot be removed stays."""

    def open_up(function: object, name: str, error: object) -> None:
        with contextlib.suppress(OSError):
            os.chmod(os.path.dirname(name), 0o700)
            os.chmod(name, 0o700)
            shutil.rmtree(name) if os.path.isdir(name) and not os.path.islink(name) else os.unlink(name)

    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, onerror=open_up)
        with contextlib.suppress(OSError):
            shutil.rmtree(path)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _open(descriptor: int) -> bool:
    """False once a pipe is at its end: watching it further would spin."""
    try:
        return os.read(descriptor, 0) == b"" and not _hung_up(descriptor)
    except OSError:
        return False


def _hung_up(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return any(event & select.POLLHUP for _, event in poll.poll(0))
