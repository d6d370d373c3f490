"""One execution: the user's process, its pipes, its limit, and the end of everything it started."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from trunkline.ambient import Ambient
from trunkline.worker.agent import frames, users

_DEFAULT_PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_RESET = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass
class Order:
    """What EXEC asks for."""

    limit_us: int
    credit: int
    user: bytes
    stdin: bytes
    cwd: bytes
    argv: list[bytes]
    env: list[bytes]
    memory_bytes: int = 0
    file_bytes: int = 0
    flags: int = 0

    @staticmethod
    def read(fields: frames.Fields) -> Order:
        """Raises frames.BadFrame."""
        limit_us, credit = fields.struct(frames.EXEC_BODY)
        user, stdin, cwd = fields.text(), fields.text(), fields.text()
        order = Order(limit_us, credit, user, stdin, cwd, fields.texts(), fields.texts())
        if not fields.ended():
            order.memory_bytes, order.file_bytes, order.flags = fields.struct(frames.EXEC_LIMITS)
        return order

    def groups(self, known: Sequence[int]) -> Sequence[int]:
        """Of the groups' entrances, those that the process shall go through."""
        return known if self.flags & frames.FLAG_GROUPED else ()


class NotStarted(Exception):
    """The process could not be started; `number` is the errno, the text says why in words a user can act on."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number


@dataclass
class Running:
    """A started process. `pipes` maps a descriptor to its stream; `credits` says what may still be sent of each."""

    number: int
    pid: int
    began_s: float
    deadline_s: float | None  # None: no limit, or killed already
    oom_kills: int
    pipes: dict[int, int]
    credits: dict[int, int]
    memory_bytes: int = 0  # to be watched; 0: not
    flags: int = 0
    ended: tuple[int, resource.struct_rusage] | None = None
    wall_s: float = 0.0


def start(number: int, order: Order, ambient: Ambient, groups: Sequence[int] = (), oom_kills: int = 0) -> Running:
    """Start what `order` asks for. groups: entrances of control groups. oom_kills: so far. Raises NotStarted."""
    env = {name: value for name, _, value in (each.partition(b"=") for each in order.env)}
    try:
        user = users.find(os.fsdecode(order.user))
    except users.NoSuchUser as error:
        raise NotStarted(errno.EPERM, str(error)) from None
    _enter(order.cwd)
    program = _look_up(order.argv, env.get(b"PATH", _DEFAULT_PATH))
    opened: list[int] = []
    try:
        with contextlib.ExitStack() as mine:
            stdin = _open_stdin(order.stdin)
            mine.callback(os.close, stdin)
            ends = []
            for _ in (frames.OUTPUT, frames.ERROR):
                reader, writer = os.pipe2(os.O_CLOEXEC)
                opened.append(reader)
                mine.callback(os.close, writer)
                os.set_blocking(reader, False)
                ends.append(writer)
            began_s = ambient.ticks_s()
            child = Child(user, order.groups(groups), order.file_bytes)
            pid = _spawn(program, order.argv, env, (stdin, *ends), child)
    except OSError as error:
        for reader in opened:
            os.close(reader)
        raise NotStarted(error.errno or errno.EIO, _why(program, error)) from None
    finally:
        os.chdir("/")
    return Running(
        number,
        pid,
        began_s,
        began_s + order.limit_us / 1e6 if order.limit_us else None,
        oom_kills,
        dict(zip(opened, (frames.OUTPUT, frames.ERROR), strict=True)),
        {frames.OUTPUT: order.credit, frames.ERROR: order.credit},
        order.memory_bytes,
    )


def _enter(cwd: bytes) -> None:
    try:
        os.chdir(cwd or b"/")
    except OSError as error:
        shown = cwd.decode(errors="replace")
        raise NotStarted(error.errno or errno.ENOENT, f'working directory "{shown}": {error.strerror}') from None


def _look_up(argv: list[bytes], path: bytes) -> bytes:
    """The file that argv[0] names. Raises NotStarted, saying where it was looked for."""
    if not argv or not argv[0]:
        raise NotStarted(errno.EINVAL, "no command given")
    name = argv[0].decode(errors="replace")
    if b"/" in argv[0]:
        if not os.path.exists(argv[0]):
            raise NotStarted(errno.ENOENT, f'command "{name}" does not exist')
        return argv[0]
    refused = b""
    for folder in path.split(b":"):
        candidate = (folder or b".") + b"/" + argv[0]
        # Most are not there, and `access` raises nothing.
        if os.access(candidate, os.F_OK) and os.path.isfile(candidate):
            if os.access(candidate, os.X_OK):
                return candidate
            refused = refused or candidate
    if refused:
        raise NotStarted(errno.EACCES, f'command "{name}": {refused.decode(errors="replace")} may not be executed')
    where = path.decode(errors="replace").replace(":", ", ")
    raise NotStarted(errno.ENOENT, f'command "{name}" not found; looked in {where}')


def _open_stdin(path: bytes) -> int:
    return os.open(path or b"/dev/null", os.O_RDONLY | os.O_CLOEXEC)


def _why(program: bytes, error: OSError) -> str:
    name = program.decode(errors="replace")
    if error.errno == errno.ENOENT and os.path.exists(program):
        with contextlib.suppress(OSError), open(program, "rb") as script:
            first = script.readline(200)
            if first.startswith(b"#!"):
                return f'command "{name}": its interpreter {first[2:].decode(errors="replace").strip()} does not exist'
    if error.errno == errno.ENOEXEC:
        with contextlib.suppress(OSError), open(program, "rb") as file:
            if file.read(4) == b"\x7fELF":
                return f'command "{name}" is made for another kind of machine: this one is {os.uname().machine}'
        return f'command "{name}" is not a program: it needs a first line such as #!/bin/sh'
    return f'command "{name}": {error.strerror}'


@dataclass(frozen=True)
class Child:
    """What a new process changes of itself before it becomes the program. file_bytes: of any file; 0: no limit."""

    user: users.User | None = None
    groups: Sequence[int] = ()
    file_bytes: int = 0


def _spawn(program: bytes, argv: list[bytes], env: dict[bytes, bytes], streams: tuple[int, ...], child: Child) -> int:
    """Start the program in a session of its own. posix_spawn copies no page tables; it can change little else."""
    if child == Child():
        actions = [(os.POSIX_SPAWN_DUP2, each, target) for target, each in enumerate(streams)]
        return os.posix_spawn(program, argv, env, file_actions=actions, setsid=True, setsigmask=[], setsigdef=_RESET)
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _become(program, argv, env, streams, child, writer)
    os.close(writer)
    with open(reader, "rb") as answer:
        told = answer.read()
    if told:
        os.waitpid(pid, 0)
        raise OSError(int(told), os.strerror(int(told)))
    return pid


def _become(
    program: bytes, argv: list[bytes], env: dict[bytes, bytes], streams: tuple[int, ...], child: Child, tell: int
) -> None:
    """In the child: change what is to be changed and execute; the errno goes to `tell`. Never returns."""
    try:
        os.setsid()
        for target, each in enumerate(streams):
            os.dup2(each, target)
        for number in _RESET:
            signal.signal(number, signal.SIG_DFL)
        for entrance in child.groups:
            os.write(entrance, b"0")
        if child.file_bytes:
            most = child.file_bytes + 1  # so that a file which was cut off shows it, whatever the code says of that
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        if child.user is not None:
            os.setgroups(child.user.groups)
            os.setgid(child.user.gid)
            os.setuid(child.user.uid)
        os.execve(program, argv, env)
    except OSError as error:
        os.write(tell, str(error.errno).encode())
    finally:
        os._exit(127)


Ended = dict[int, tuple[int, resource.struct_rusage]]
"""Processes that were reaped: wait status and what they used."""


def reap() -> Ended:
    """Children that have ended by now."""
    ended: Ended = {}
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status, used = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                break
            ended[pid] = (status, used)
    return ended


def end_all(own_pids: bool) -> Ended:
    """Kill every process that user code left, and reap them all.

    As process 1 of a pid namespace, one call reaches all of them. Else descendants: they cannot escape, since orphans
    come back to this process (a subreaper), so scan and kill until no child is left.
    """
    ended: Ended = {}
    with contextlib.suppress(ChildProcessError):
        while True:
            if own_pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(-1, signal.SIGKILL)
            else:
                for pid in descendants(os.getpid()):
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, signal.SIGKILL)
            pid, status, used = os.wait4(-1, 0)
            ended[pid] = (status, used)
            ended |= reap()
    return ended


def descendants(ancestor: int) -> list[int]:
    """Process ids below `ancestor`, from /proc."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError), open(f"/proc/{name}/stat", "rb") as status:
                parent = int(status.read().rpartition(b")")[2].split()[1])
                children.setdefault(parent, []).append(int(name))
    found, pending = [], [ancestor]
    while pending:
        below = children.get(pending.pop(), [])
        found += below
        pending += below
    return found


def resident_bytes() -> int:
    """Memory of all processes below this one. What several share counts for each."""
    pages = 0
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError, IndexError, ValueError), open(f"/proc/{pid}/statm", "rb") as sizes:
            pages += int(sizes.read().split()[1])
    return pages * resource.getpagesize()


def count_oom_kills() -> int:
    """How often this machine has killed a process for want of memory; 0 where it does not say."""
    with contextlib.suppress(OSError, ValueError), open("/proc/vmstat", "rb") as lines:
        for line in lines:
            if line.startswith(b"oom_kill "):
                return int(line.split()[1])
    return 0
