"""The agent's loop: frames in, processes started and watched, frames out. One thread, one `poll`."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
from collections.abc import Sequence

from trunkline.ambient import Ambient
from trunkline.worker.agent import frames, process, tree, users

_READ_BYTES = 64 << 10
_MISMATCH = 4
_LOOK_S = 0.05
_KILLS_S = 1.0
"""How old the number of kills before a process may be: asking the kernel for it costs as much as starting one."""


class Disconnected(Exception):
    """The worker is gone."""


class Agent:
    """Serves one worker after the other. `patience_s`: how long to wait for a new one while something runs.

    groups: descriptors of the entrances of control groups. volume: that of /pfs, where it lies in memory, or -1: the
    worker is given it with the greeting.
    """

    def __init__(
        self,
        address: str,
        own_pids: bool,
        own_mounts: bool,
        patience_s: float,
        ambient: Ambient,
        groups: Sequence[int] = (),
        volume: int = -1,
    ) -> None:
        self._address = address
        self._own_pids = own_pids
        self._flags = frames.FLAG_OWN_PIDS * own_pids | frames.FLAG_OWN_MOUNTS * own_mounts
        self._patience_s = patience_s
        self._ambient = ambient
        self._groups = groups
        self._volume = volume
        self._look_s = 0.0  # when memory is looked at next
        self._kills, self._kills_s = 0, -_KILLS_S  # of the whole machine, and when they were counted
        self._boot = bytes.fromhex(ambient.new_id())
        self._running: process.Running | None = None
        self._wake, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._socket: socket.socket | None = None
        self._incoming = frames.Incoming()

    def run(self) -> int:
        """Serve until told to end, or until nobody is there to serve. Returns the exit status."""
        until_s = self._ambient.ticks_s() + self._patience_s
        while True:
            try:
                self._connect()
                return self._serve()
            except OSError:
                pass  # nobody listens, or the line broke
            except Disconnected:
                until_s = self._ambient.ticks_s() + self._patience_s
            if self._socket:
                self._socket.close()
            if self._ambient.ticks_s() >= until_s:
                process.end_all(self._own_pids)
                return 0
            self._ambient.sleep(0.02)

    def _connect(self) -> None:
        """Reach the worker's socket by a short relative path, and greet it."""
        self._incoming = frames.Incoming()
        here = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        folder, name = os.path.split(self._address)
        try:
            os.chdir(folder)
            here.connect(name)
        except OSError:
            here.close()
            raise
        finally:
            os.chdir("/")
        self._socket = here
        number = self._running.number if self._running else 0
        hello = frames.frame(frames.HELLO, number, frames.HELLO_BODY.pack(frames.VERSION, self._boot, self._flags))
        socket.send_fds(here, [hello], [self._volume] if self._volume >= 0 else [])

    def _serve(self) -> int:
        """Until BYE. Raises Disconnected."""
        here = self._socket
        if here is None:
            raise Disconnected
        while True:
            poll = select.poll()
            poll.register(here, select.POLLIN)
            poll.register(self._wake, select.POLLIN)
            for pipe, stream in self._running.pipes.items() if self._running else ():
                if self._running and self._running.credits[stream] > 0:
                    poll.register(pipe, select.POLLIN)
            events = poll.poll(self._timeout_ms())
            for descriptor, _ in events:
                if descriptor == self._wake:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._wake, 4096)
                elif descriptor == here.fileno():
                    status = self._receive(here)
                    if status is not None:
                        return status
                elif self._running:
                    self._relay(self._running, descriptor)
            if self._running:
                self._watch(self._running)
            else:
                process.reap()

    def _timeout_ms(self) -> float | None:
        running = self._running
        if running is None:
            return None
        due = [] if running.deadline_s is None else [running.deadline_s]
        if running.memory_bytes and running.ended is None:
            due.append(self._look_s)
        return max(0.0, (min(due) - self._ambient.ticks_s()) * 1000 + 1) if due else None

    def _receive(self, here: socket.socket) -> int | None:
        """Obey what came. Returns a status when it is time to end. Raises Disconnected."""
        try:
            data = here.recv(_READ_BYTES)
        except ConnectionError:
            data = b""
        if not data:
            raise Disconnected
        for kind, number, fields in self._incoming.feed(data):
            if kind == frames.BYE:
                process.end_all(self._own_pids)
                return 0
            if kind == frames.WELCOME and fields.struct(frames.WELCOME_BODY)[0] != frames.VERSION:
                process.end_all(self._own_pids)
                return _MISMATCH
            self._obey(kind, number, fields)
        return None

    def _obey(self, kind: int, number: int, fields: frames.Fields) -> None:
        running = self._running
        if kind == frames.EXEC:
            self._start(number, process.Order.read(fields))
        elif kind == frames.CREDIT:
            stream, more = fields.struct(frames.CREDIT_BODY)
            if running and running.number == number:
                running.credits[stream] += more
        elif kind == frames.KILL:
            if running and running.number == number:
                self._kill(running, frames.FLAG_KILLED)
        elif kind == frames.REAP:
            if running:
                self._kill(running, frames.FLAG_KILLED)
            self._done(number, len(process.end_all(self._own_pids)) + bool(running), "")
        elif kind == frames.FIX:
            self._fix(number, fields)
        elif kind == frames.WIPE:
            self._done(number, *tree.wipe(fields.text()))

    def _fix(self, number: int, fields: frames.Fields) -> None:
        folder, user, trees = fields.text(), fields.text(), fields.texts()
        try:
            who = users.find(os.fsdecode(user))
        except users.NoSuchUser as error:
            self._done(number, 0, str(error))
            return
        self._done(number, *tree.fix(folder, trees, who))

    def _start(self, number: int, order: process.Order) -> None:
        if self._running:
            self._exited(number, frames.HOW_NOT_STARTED, errno.EBUSY, message="another execution is running")
            return
        try:
            self._running = process.start(number, order, self._ambient, self._groups, self._count_kills())
        except process.NotStarted as error:
            self._exited(number, frames.HOW_NOT_STARTED, error.number, message=str(error))

    def _count_kills(self) -> int:
        now_s = self._ambient.ticks_s()
        if now_s - self._kills_s >= _KILLS_S:
            self._kills, self._kills_s = process.count_oom_kills(), now_s
        return self._kills

    def _kill(self, running: process.Running, flag: int) -> None:
        """End it and all it started; what it leaves in its pipes still goes out."""
        if running.ended is None:
            running.flags |= flag
        self._end(running, process.end_all(self._own_pids))

    def _end(self, running: process.Running, ended: process.Ended) -> None:
        running.deadline_s = None
        if running.ended is None and running.pid in ended:
            running.ended = ended[running.pid]
            running.wall_s = self._ambient.ticks_s() - running.began_s

    def _watch(self, running: process.Running) -> None:
        """The end of the main process, the end of its time, and the end of its output."""
        if running.ended is None:
            self._end_if(running, process.reap())
        if running.deadline_s is not None and self._ambient.ticks_s() >= running.deadline_s:
            self._kill(running, frames.FLAG_TIMED_OUT)
        if running.memory_bytes and running.ended is None and self._ambient.ticks_s() >= self._look_s:
            self._look_s = self._ambient.ticks_s() + _LOOK_S
            if process.resident_bytes() > running.memory_bytes:
                self._kill(running, frames.FLAG_OVER_MEMORY)
        if running.ended is None:
            return
        for pipe in list(running.pipes):
            self._relay(running, pipe)
        if not running.pipes:
            self._running = None
            self._report(running)

    def _end_if(self, running: process.Running, ended: process.Ended) -> None:
        if running.pid in ended:
            self._end(running, ended)
            process.end_all(self._own_pids)

    def _relay(self, running: process.Running, pipe: int) -> None:
        """Send what is in the pipe, as far as credit goes. Nothing left after the end means end-of-file: all writers
        are dead, or outside this namespace, where a pipe may have been handed to, and not our concern."""
        stream = running.pipes.get(pipe)
        while stream is not None and running.credits[stream] > 0:
            try:
                data = os.read(pipe, min(_READ_BYTES, running.credits[stream]))
            except BlockingIOError:
                if running.ended is None:
                    return
                data = b""
            if not data:
                os.close(pipe)
                del running.pipes[pipe]
                return
            running.credits[stream] -= len(data)
            self._send(frames.OUT, running.number, bytes([stream]), data)
            if running.ended is None:
                return

    def _report(self, running: process.Running) -> None:
        if running.ended is None:
            return
        status, used = running.ended
        signalled = os.WIFSIGNALED(status)
        flags = running.flags
        if signalled and os.WTERMSIG(status) == signal.SIGKILL:
            self._kills_s = -_KILLS_S
            if self._count_kills() > running.oom_kills:
                flags |= frames.FLAG_OUT_OF_MEMORY
        self._exited(
            running.number,
            frames.HOW_SIGNALLED if signalled else frames.HOW_EXITED,
            os.WTERMSIG(status) if signalled else os.WEXITSTATUS(status),
            flags,
            (running.wall_s, used.ru_utime, used.ru_stime),
            used.ru_maxrss * 1024,
        )

    def _exited(
        self,
        number: int,
        how: int,
        code: int,
        flags: int = 0,
        times_s: tuple[float, float, float] = (0.0, 0.0, 0.0),
        rss_bytes: int = 0,
        message: str = "",
    ) -> None:
        body = frames.EXITED_BODY.pack(how, code, flags, *(int(each * 1e6) for each in times_s), rss_bytes)
        self._send(frames.EXITED, number, body, frames.text(message.encode(errors="replace")))

    def _done(self, number: int, count: int, complaint: str) -> None:
        body = frames.DONE_BODY.pack(count)
        self._send(frames.DONE, number, body, frames.text(complaint.encode(errors="replace")))

    def _send(self, kind: int, number: int, *parts: bytes) -> None:
        if self._socket is None:
            raise Disconnected
        try:
            self._socket.sendall(frames.frame(kind, number, *parts))
        except ConnectionError:
            raise Disconnected from None
