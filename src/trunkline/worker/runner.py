"""Running user code: what a runner promises, and the runner that asks an agent (docs/formats/runner.md)."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from trunkline.ambient import Ambient, RealAmbient
from trunkline.worker.agent import frames
from trunkline.worker.launch import AgentLost, Launched, Sandbox, Scratch, launch
from trunkline.worker.ports import Limits

_CREDIT_BYTES = 256 << 10
_REGRANT_BYTES = 64 << 10
_LATE_BYTES = 4 << 20
"""What is still heard of an agent that is late: more than the credit that it may have."""
_MESSAGE_CHARACTERS = 4096
_MOST = 1 << 53
"""Times and sizes beyond this are none."""
_LOOK_S = 1


@dataclass(frozen=True)
class Command:
    """What to execute. `stdin`: a file as the code sees it, or "". `limit_us`: 0 for none. `user`: as in specs."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = "/"
    user: str = ""
    stdin: str = ""
    limit_us: int = 0
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Exited:
    """How an execution ended. Exactly one of `code`, `signal` and `not_started` is set; times in µs, size in bytes."""

    code: int | None = None
    signal: int | None = None
    not_started: str | None = None
    timed_out: bool = False
    killed: bool = False
    out_of_memory: bool = False
    over_memory: bool = False
    wall_us: int = 0
    user_us: int = 0
    system_us: int = 0
    max_rss_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an agent may take, in seconds, before it is given up.

    end_s: to end what ran past its limit or was killed. answer_s: to answer what it was asked. take_s: to take what it
    is sent.
    """

    end_s: float = 60.0
    answer_s: float = 3600.0
    take_s: int = 60


class Runner(Protocol):
    """Where user code runs. One command at a time; all but `kill` from one thread.

    Promises: when `run` returns, nothing that the command started lives, and every byte it wrote was handed to
    `on_output`; `kill` may come from any thread and makes `run` return.
    """

    @property
    def alive(self) -> bool:
        """False once its agent was lost or closed: a new runner is needed."""
        ...

    @property
    def volume(self) -> int:
        """A descriptor of /pfs where that lies in memory, whoever opened the runner closes it; -1: it does not."""
        ...

    def run(self, command: Command, on_output: Callable[[int, bytes], None]) -> Exited:
        """Execute and wait. `on_output` gets (1 or 2, bytes). Raises AgentLost."""
        ...

    def kill(self) -> None:
        """End what runs, if anything does."""
        ...

    def fix(self, folder: str, user: str, trees: Sequence[str]) -> str:
        """Make `folder` (as the code sees it) readable; copies for links out of `trees`. The first complaint or ""."""
        ...

    def wipe(self, folder: str) -> str:
        """Remove what is in `folder`. The first complaint or ""."""
        ...

    def close(self) -> None:
        """End the agent and all it runs."""
        ...


class AgentRunner:
    """A runner with an agent of its own in `scratch`, housed as `sandbox` says. start: brings the agent up.

    Whatever the agent says, or does not say, ends in AgentLost at worst, in bounded time.
    """

    def __init__(
        self,
        scratch: Scratch,
        sandbox: Sandbox,
        start: Callable[[Scratch, Sandbox], Launched] = launch,
        ambient: Ambient | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.scratch = scratch
        self.sandbox = sandbox
        self._ambient = ambient or RealAmbient()
        self._patience = patience or Patience()
        self._launched: Launched | None = start(scratch, sandbox)
        self.volume = self._launched.volume
        self._incoming = frames.Incoming()
        self._number = 0
        self._lock = threading.Lock()  # over sending, over which number runs, and until when
        self._active = 0
        self._until_s = math.inf
        self._late_bytes = 0
        self._dead = False
        connection = self._launched.connection
        for option, wait_s in ((socket.SO_RCVTIMEO, _LOOK_S), (socket.SO_SNDTIMEO, self._patience.take_s)):
            connection.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", wait_s, 0))
        if self._launched.running:
            self._ask(frames.REAP)

    @property
    def alive(self) -> bool:
        """As `Runner.alive`."""
        return self._launched is not None and not self._dead

    @property
    def boot(self) -> bytes:
        """Changes with every start of the agent."""
        return self._alive().boot

    def run(self, command: Command, on_output: Callable[[int, bytes], None]) -> Exited:
        """As `Runner.run`."""
        group = self.sandbox.group
        try:
            group.set(command.limits)
        except OSError as error:
            told = f"it cannot be held to its limits: {error.strerror or error}"
            return Exited(not_started=told)
        held = bool(command.limits.memory_bytes)
        kills = group.count_kills() if held else 0
        number = self._send_exec(command)
        try:
            ended = self._follow(number, on_output)
            over = held and group.count_kills() > kills
            return replace(ended, over_memory=ended.over_memory or over)
        except AgentLost:
            raise
        except BaseException:  # of `on_output`: nothing may go on running, or the next command would find it
            self.kill()
            self._follow(number, lambda stream, data: None)
            raise
        finally:
            with self._lock:
                self._active = 0

    def _follow(self, number: int, on_output: Callable[[int, bytes], None]) -> Exited:
        """Hand out what the command writes, grant credit for more, until it has ended."""
        taken = {frames.OUTPUT: 0, frames.ERROR: 0}
        while True:
            for kind, about, fields in self._receive():
                if about != number:
                    continue
                if kind == frames.OUT:
                    data = fields.rest()
                    stream = data[0] if data else 0
                    if stream not in taken:
                        raise self._misspoke(f"output of stream {stream}")
                    taken[stream] += len(data) - 1
                    if taken[stream] >= _REGRANT_BYTES:
                        self._send(frames.CREDIT, number, frames.CREDIT_BODY.pack(stream, taken[stream]))
                        taken[stream] = 0
                    on_output(stream, data[1:])
                elif kind == frames.EXITED:
                    try:
                        return _exited(fields)
                    except frames.BadFrame as error:
                        raise self._misspoke(str(error)) from None

    def kill(self) -> None:
        """As `Runner.kill`."""
        with self._lock:
            self._until_s = min(self._until_s, self._ambient.ticks_s() + self._patience.end_s)
            if self._active:
                with contextlib.suppress(AgentLost):
                    self._send_locked(frames.frame(frames.KILL, self._active))

    def fix(self, folder: str, user: str, trees: Sequence[str]) -> str:
        """As `Runner.fix`."""
        return self._ask(
            frames.FIX,
            frames.text(os.fsencode(folder)),
            frames.text(os.fsencode(user)),
            frames.texts([os.fsencode(tree) for tree in trees]),
        )

    def wipe(self, folder: str) -> str:
        """As `Runner.wipe`."""
        return self._ask(frames.WIPE, frames.text(os.fsencode(folder)))

    def close(self) -> None:
        """As `Runner.close`: hanging up is enough, the kernel ends the namespace with its process 1."""
        with self._lock:
            launched, self._launched = self._launched, None
        if launched is None:
            return
        with contextlib.suppress(OSError):
            launched.connection.shutdown(socket.SHUT_RDWR)
        launched.connection.close()
        launched.home.end()

    def _send_exec(self, command: Command) -> int:
        env = [os.fsencode(f"{name}={value}") for name, value in command.env.items()]
        body = (
            frames.EXEC_BODY.pack(command.limit_us, _CREDIT_BYTES),
            *(frames.text(os.fsencode(each)) for each in (command.user, command.stdin, command.cwd)),
            frames.texts([os.fsencode(each) for each in command.argv]),
            frames.texts(env),
            self._limits(command.limits),
        )
        with self._lock:
            limit_s = command.limit_us / 1e6 + self._patience.end_s if command.limit_us else math.inf
            self._begin_locked(limit_s)
            self._send_locked(frames.frame(frames.EXEC, self._number, *body))
            self._active = self._number
            return self._number

    def _limits(self, limits: Limits) -> bytes:
        """What the agent has to see to; of what the group cannot do, memory is watched."""
        able = self.sandbox.group.limits
        grouped = ("memory" in able and limits.memory_bytes) or ("cpu" in able and limits.cpu)
        watched = 0 if "memory" in able else limits.memory_bytes
        return frames.EXEC_LIMITS.pack(watched, limits.disk_bytes, frames.FLAG_GROUPED if grouped else 0)

    def _ask(self, kind: int, *parts: bytes) -> str:
        """Send what is answered by DONE; returns its complaint."""
        with self._lock:
            number = self._begin_locked(self._patience.answer_s)
            self._send_locked(frames.frame(kind, number, *parts))
        while True:
            for answer, about, fields in self._receive():
                if answer == frames.DONE and about == number:
                    try:
                        fields.struct(frames.DONE_BODY)
                        return _message(fields)
                    except frames.BadFrame as error:
                        raise self._misspoke(str(error)) from None

    def _begin_locked(self, within_s: float) -> int:
        """The number of what is begun, which is to end within that time."""
        self._number = self._number % 0xFFFF_FFFF + 1
        self._until_s, self._late_bytes = self._ambient.ticks_s() + within_s, 0
        return self._number

    def _send(self, kind: int, number: int, *parts: bytes) -> None:
        with self._lock:
            self._send_locked(frames.frame(kind, number, *parts))

    def _send_locked(self, data: bytes) -> None:
        try:
            self._alive().connection.sendall(data)
        except OSError as error:
            raise self._lost(str(error)) from None

    def _receive(self) -> list[tuple[int, int, frames.Fields]]:
        data = None
        while data is None:
            try:
                data = self._alive().connection.recv(128 << 10)
            except BlockingIOError:
                self._must_be_in_time(_LATE_BYTES)
            except OSError as error:
                raise self._lost(str(error)) from None
        if not data:
            raise self._lost("it hung up")
        self._must_be_in_time(len(data))
        try:
            return list(self._incoming.feed(data))
        except frames.BadFrame as error:
            raise self._misspoke(str(error)) from None

    def _must_be_in_time(self, came_bytes: int) -> None:
        """Give up an agent that is late. What it said in time, and we did not hear in time, still counts."""
        if self._ambient.ticks_s() < self._until_s:
            return
        self._late_bytes += came_bytes
        if self._late_bytes >= _LATE_BYTES:
            raise self._lost("it did not do in time what it was told", sure=True)

    def _misspoke(self, what: str) -> AgentLost:
        return self._lost(f"what it says is not the runner protocol: {what}", sure=True)

    def _alive(self) -> Launched:
        if self._launched is None:
            raise AgentLost("the agent is not running")
        return self._launched

    def _lost(self, why: str, *, sure: bool = False) -> AgentLost:
        """Give it up. sure: that is why; else what it lived in may know better."""
        launched = self._launched
        if launched is None:
            return AgentLost("the agent was ended")
        self._dead = True
        with contextlib.suppress(OSError):
            launched.connection.shutdown(socket.SHUT_RDWR)
        status = launched.home.end()
        told = launched.home.complaint() if status and not sure else ""
        return AgentLost(f"the agent was lost: {told or why}")


def _exited(fields: frames.Fields) -> Exited:
    how, status, flags, *used = fields.struct(frames.EXITED_BODY)
    message = _message(fields)
    known = {frames.HOW_EXITED: status in range(256), frames.HOW_SIGNALLED: status in range(1, 128)}
    if not known.get(how, how == frames.HOW_NOT_STARTED) or max(used) > _MOST:
        raise frames.BadFrame(f"an end that cannot be: {how}, {status}, {used}")
    wall_us, user_us, system_us, rss = used
    return Exited(
        code=status if how == frames.HOW_EXITED else None,
        signal=status if how == frames.HOW_SIGNALLED else None,
        not_started=message or os.strerror(status) if how == frames.HOW_NOT_STARTED else None,
        timed_out=bool(flags & frames.FLAG_TIMED_OUT),
        killed=bool(flags & frames.FLAG_KILLED),
        out_of_memory=bool(flags & frames.FLAG_OUT_OF_MEMORY),
        over_memory=bool(flags & frames.FLAG_OVER_MEMORY),
        wall_us=wall_us,
        user_us=user_us,
        system_us=system_us,
        max_rss_bytes=rss,
    )


def _message(fields: frames.Fields) -> str:
    return fields.text().decode(errors="replace")[:_MESSAGE_CHARACTERS]
