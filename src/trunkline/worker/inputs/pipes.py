"""Lazy inputs: named pipes that are filled when code opens them, by one thread for all pipes of a datum.

The kernel tells nobody that a reader waits, so the pipes are tried: those that are likely next often, all of them now
and then, and less often the longer nothing happens. Each opening gets a pipe of its own, since two readers of one pipe
would share the bytes: as soon as one is opened, a fresh one takes its place under the name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import select
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fcntl import F_SETPIPE_SZ, fcntl

from trunkline.ambient import Ambient

_NEAR = 16
"""How many neighbours of the pipe opened last are tried often: the next by name and the next in the folder."""
_READERS = 4
"""So many of the last openings count, since several processes may each go through the files."""
_SOONEST_S, _LATEST_S = 0.0001, 0.05
_POLLED_S = 0.001  # the shortest time that poll knows
_ALL_S = 0.5
_SHARE = 20  # trying all of them takes this part of the time at most
_WRITERS_S = 1.0
_PIPE_BYTES = 1 << 20
_NOT_NOW = {errno.EMFILE, errno.ENFILE}


@dataclass(frozen=True, slots=True)
class Pipe:
    """A file of a lazy input. path: on this machine; shown: as the code names it; data: read anew at each opening."""

    path: bytes
    shown: str
    data: Iterable[bytes]


def make_pipe(path: bytes) -> None:
    """A pipe that code reads. Where code has our own uid we can forbid it to write only by forbidding ourselves."""
    os.mkfifo(path, 0o444 if os.getuid() == 0 else 0o644)


@dataclass(eq=False)
class _Feed:
    """What is on its way to one reader."""

    pieces: Iterator[bytes]
    rest: memoryview


class Feeder:
    """Feeds the pipes of a datum from now until `stop`.

    staging: folder on the pipes' disk. kill: ends the code, when an input cannot be read: it must not take half a file
    for a whole one. tell: takes sentences for the job's log. error: what reading raised.
    """

    def __init__(
        self,
        pipes: Sequence[Pipe],
        staging: bytes,
        ambient: Ambient,
        kill: Callable[[], None],
        tell: Callable[[str], None],
    ) -> None:
        self._pipes = sorted(pipes, key=lambda pipe: pipe.path)
        self._spare = staging + b"/spare"
        self._ambient, self._kill, self._tell = ambient, kill, tell
        self._most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2
        self._feeds: dict[int, _Feed] = {}
        self._poll = select.poll()
        self._hot = set(range(min(len(self._pipes), 2 * _NEAR)))
        self._last: deque[int] = deque(maxlen=_READERS)
        self._beside: dict[bytes, dict[bytes, int]] = {}  # folder → pipes by name, in its own order
        self._pause_s, self._all_pause_s = _SOONEST_S, 0.0
        self._all_s = self._writers_s = 0.0
        self._bytes = 0
        self.error: BaseException | None = None
        self._told: set[str] = set()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC) if pipes else -1
        self._thread = threading.Thread(target=self._run, name="pipes", daemon=True)
        if pipes:
            self._thread.start()

    def stop(self) -> int:
        """The code has ended. Returns the bytes that were fed."""
        if self._wake >= 0:
            os.eventfd_write(self._wake, 1)
            self._thread.join()
            for descriptor in (*self._feeds, self._wake):
                os.close(descriptor)
            self._feeds.clear()
            self._wake = -1
            with contextlib.suppress(OSError):
                os.unlink(self._spare)
        return self._bytes

    def _run(self) -> None:
        try:
            self._poll.register(self._wake, select.POLLIN)
            now_s = self._ambient.ticks_s()
            self._all_s, self._writers_s = now_s, now_s + _WRITERS_S
            self._make_spare()
            while True:
                if self._pause_s < _POLLED_S and not self._feeds:
                    self._ambient.sleep(self._pause_s)
                for descriptor, _ in self._poll.poll(self._pause_s * 1000 if self._pause_s >= _POLLED_S else 0):
                    if descriptor == self._wake:
                        return
                    self._feed(descriptor)
                self._sweep()
        except BaseException as error:  # handed to whoever stops us
            self.error = error
            self._kill()

    def _sweep(self) -> None:
        """Look for readers."""
        now_s = self._ambient.ticks_s()
        opened = [at for at in self._hot if self._open(at)]
        if now_s >= self._all_s:
            opened += [at for at in range(len(self._pipes)) if at not in self._hot and self._open(at)]
            took_s = self._ambient.ticks_s() - now_s
            self._all_pause_s = 0.0 if opened else min(self._all_pause_s * 2 + _SOONEST_S, _ALL_S)
            self._all_s = now_s + took_s + max(self._all_pause_s, took_s * _SHARE)
        if now_s >= self._writers_s:
            self._writers_s = now_s + _WRITERS_S
            for pipe in self._pipes:
                self._send_off(pipe)
        self._pause_s = _SOONEST_S if opened else min(self._pause_s * 2, _LATEST_S)
        if opened:
            self._all_s = min(self._all_s, now_s + _LATEST_S)
            self._last.extend(opened)
            self._hot = set().union(*(self._near(at) for at in self._last))

    def _near(self, at: int) -> set[int]:
        """Which pipes are likely to be opened after this one; the same again is among them."""
        folder, name = os.path.split(self._pipes[at].path)
        if folder not in self._beside:
            numbers = {pipe.path: number for number, pipe in enumerate(self._pipes)}
            paths = ((each, folder + b"/" + each) for each in os.listdir(folder))
            self._beside[folder] = {each: numbers[path] for each, path in paths if path in numbers}
        listed = list(self._beside[folder].values())
        here = listed.index(at) if name in self._beside[folder] else 0
        return {*range(at, min(at + _NEAR, len(self._pipes))), *listed[here : here + _NEAR]}

    def _open(self, at: int) -> bool:
        """Begin to feed a pipe, if somebody reads it."""
        pipe = self._pipes[at]
        if len(self._feeds) >= self._most:
            self._say(f"{len(self._feeds)} files of lazy inputs are open at once; more are opened as these are closed")
            return False
        try:
            descriptor = os.open(pipe.path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno == errno.ENXIO or error.errno in _NOT_NOW:
                return False
            raise
        os.rename(self._spare, pipe.path)
        self._make_spare()
        with contextlib.suppress(OSError):
            fcntl(descriptor, F_SETPIPE_SZ, _PIPE_BYTES)
        self._feeds[descriptor] = _Feed(iter(pipe.data), memoryview(b""))
        self._poll.register(descriptor, select.POLLOUT)
        self._feed(descriptor)
        return True

    def _feed(self, descriptor: int) -> None:
        """One piece at most, so that each reader gets its turn."""
        feed = self._feeds[descriptor]
        if not feed.rest:
            piece = next(feed.pieces, None)
            if piece is None:
                self._close(descriptor)
                return
            self._bytes += len(piece)
            feed.rest = memoryview(piece)
        try:
            while feed.rest:
                feed.rest = feed.rest[os.write(descriptor, feed.rest) :]
        except BlockingIOError:
            return
        except BrokenPipeError:  # code need not read to the end
            self._close(descriptor)

    def _close(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)
        del self._feeds[descriptor]
        os.close(descriptor)

    def _make_spare(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._spare)
        make_pipe(self._spare)

    def _send_off(self, pipe: Pipe) -> None:
        """Whoever waits to write to an input gets SIGPIPE for it, and does not wait for ever."""
        try:
            descriptor = os.open(pipe.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return
        try:
            if not os.read(descriptor, 1):
                return
        except BlockingIOError:
            pass
        finally:
            os.close(descriptor)
        self._say(f"{pipe.shown} was opened for writing: inputs can only be read")

    def _say(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(line)
