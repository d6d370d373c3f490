"""Starting an agent: a fresh interpreter of our own, told what to show, greeted on its socket."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

from trunkline.errors import FailedPrecondition, Unavailable
from trunkline.worker.agent import frames
from trunkline.worker.agent.root import View
from trunkline.worker.limits.groups import Group
from trunkline.worker.ports import SecretFolder

SOCKET_NAME = "agent.sock"
STAGING_INSIDE = "/.pfs"
PFS_INSIDE = "/pfs"
HOME_INSIDE = "/tmp/home"
VENV_INSIDE = "/.venv"

_START_S = 20.0
_REST_S = 1.0
_GREETING_BYTES = 4096
_GREETING_PIECES = 16
_SOURCE = str(Path(__file__).parents[2])
_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from trunkline.worker.agent.main import main; sys.exit(main())"


@dataclass(frozen=True)
class Scratch:
    """A worker's folders on the host: `pfs` (shown at /pfs), `staging` (read-only at /.pfs) and `tmp` (/tmp)."""

    folder: Path

    @property
    def pfs(self) -> Path:
        """Shown at /pfs, writable."""
        return self.folder / "pfs"

    @property
    def staging(self) -> Path:
        """Shown at /.pfs, read-only inside."""
        return self.folder / "staging"

    @property
    def tmp(self) -> Path:
        """Shown at /tmp; kept between datums of one worker."""
        return self.folder / "tmp"

    @property
    def links(self) -> Path:
        """Where links of `pfs` are kept that are not shown now; beside it, out of the code's reach."""
        return self.folder / "links"

    def make(self) -> Scratch:
        """Create what is missing. Only this user reaches the folder; inside it, code of any user may write."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.pfs.mkdir(exist_ok=True)
        self.staging.mkdir(exist_ok=True)
        for shared in (self.tmp, self.tmp / "home"):
            shared.mkdir(exist_ok=True)
            shared.chmod(0o1777)
        return self


@dataclass(frozen=True)
class Sandbox:
    """How code is to be housed.

    namespaces: False runs it in the host's own root, with a real /pfs (the rung for root without mount rights).
    own_pids: a pid namespace too. image: folder whose entries appear at /. venv: folder shown at /.venv. masked,
    exposed: host paths. secrets: shown as files. shown: host folders below /tmp. patience_s: how long the agent waits
    for a lost worker. prefix: put before the launcher's command line (tests drop privileges with it).
    group: holds code to its limits, as far as this machine can. volume: as in `root.View`.
    """

    namespaces: bool = True
    own_pids: bool = True
    image: str = ""
    venv: str = ""
    venv_writable: bool = False
    masked: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    secrets: tuple[SecretFolder, ...] = ()
    shown: tuple[str, ...] = ()
    patience_s: float = 0.0
    prefix: tuple[str, ...] = ()
    group: Group = field(default_factory=Group)
    volume: str = ""
    python: str = field(default_factory=lambda: sys.executable)

    def plan(self, scratch: Scratch, probe: bool = False) -> dict[str, object]:
        """What the launcher reads (`agent.main.Plan`)."""
        inside = STAGING_INSIDE if self.namespaces else str(scratch.staging)
        view = View(
            pfs=str(scratch.pfs),
            staging=str(scratch.staging),
            tmp=str(scratch.tmp),
            image=self.image,
            venv=self.venv,
            venv_writable=self.venv_writable,
            masked=list(self.masked),
            exposed=list(self.exposed),
            secrets=secrets_as_told(self.secrets),
            shown=list(self.shown),
            volume=self.volume,
        )
        return {
            "address": f"{inside}/{SOCKET_NAME}",
            "view": asdict(view) if self.namespaces else None,
            "own_pids": self.own_pids and self.namespaces,
            "patience_s": self.patience_s,
            "probe": probe,
            "groups": self.group.entrances,
        }


def secrets_as_told(secrets: Sequence[SecretFolder]) -> dict[str, dict[str, str]]:
    """Folders and files for `View.secrets`, links of the host on the way to each folder resolved."""
    told: dict[str, dict[str, str]] = {}
    for one in secrets:
        parent, name = os.path.split(os.path.normpath(one.path))
        place = os.path.join(os.path.realpath(parent), name)
        told[place] = {key: data.hex() for key, data in one.files}
    return told


class CannotBuild(FailedPrecondition):
    """This machine refuses the sandbox; the message is the kernel's complaint."""


class AgentLost(Unavailable):
    """The agent died, hung up or talks nonsense. Whatever ran is gone with it; a new one can be started."""


class Home(Protocol):
    """What an agent lives in, as a process or a container. It ends with its agent."""

    def end(self) -> int:
        """Wait a moment for its end, then insist. Its status."""
        ...

    def complaint(self) -> str:
        """After its end: what it wrote last, in one line; "" for nothing."""
        ...


class ProcessHome:
    """A process of this machine's: the launcher of a sandbox, or the agent itself."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def end(self) -> int:
        """As `Home.end`; the kernel ends a namespace with its launcher."""
        pidfd = os.pidfd_open(self.process.pid) if self.process.poll() is None else -1
        if pidfd >= 0:
            try:
                if not select.select([pidfd], [], [], 1.0)[0]:
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            finally:
                os.close(pidfd)
        return self.process.wait()

    def complaint(self) -> str:
        """As `Home.complaint`."""
        return complaint(self.process)


@dataclass(frozen=True)
class Launched:
    """A running agent: where it lives, the connection to it, its boot id, and the number of what it runs already.

    volume: a descriptor of its /pfs where that lies in memory, or -1.
    """

    home: Home
    connection: socket.socket
    boot: bytes
    running: int
    volume: int = -1


def listen(folder: Path, name: str = SOCKET_NAME) -> socket.socket:
    """A listening socket in `folder`, bound by way of its descriptor, since an address holds 108 bytes at most."""
    here = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(folder / name)
        here.bind(f"/proc/self/fd/{descriptor}/{name}")
        os.chmod(folder / name, 0o666)
        here.listen(1)
    except OSError:
        here.close()
        raise
    finally:
        os.close(descriptor)
    return here


def launch(scratch: Scratch, sandbox: Sandbox) -> Launched:
    """Start an agent and wait for its greeting. Raises CannotBuild, Unavailable."""
    with listen(scratch.staging) as listener:
        process = start(sandbox.plan(scratch), sandbox)
        try:
            connection = _accept(listener, process)
            boot, running, volume = greet(connection)
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(scratch.staging / SOCKET_NAME)
    return Launched(ProcessHome(process), connection, boot, running, volume)


def programs() -> tuple[str, ...]:
    """Where pachctl and what it needs lie, if that is below /tmp, of which code sees only its own."""
    found = {sys.prefix, str(Path(__file__).parents[2])}
    return tuple(sorted(path for path in found if path.startswith("/tmp/")))


def start(plan: dict[str, object], sandbox: Sandbox) -> subprocess.Popen[bytes]:
    """The launcher's process, its plan given. Its environment is empty: nothing of ours is for user code to find."""
    argv: Sequence[str] = [*sandbox.prefix, sandbox.python, "-I", "-S", "-c", _PROGRAM, _SOURCE]
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={"PATH": os.environ.get("PATH", os.defpath)},
        cwd="/",
    )
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(plan).encode())
            process.stdin.flush()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    return process


def complaint(process: subprocess.Popen[bytes]) -> str:
    """The last line an ended launcher wrote to its standard error."""
    text = process.stderr.read().decode(errors="replace").strip() if process.stderr else ""
    return text.rpartition("\n")[2] or f"the agent ended with status {process.returncode}"


def _accept(listener: socket.socket, process: subprocess.Popen[bytes]) -> socket.socket:
    pidfd = os.pidfd_open(process.pid)
    try:
        ready, _, _ = select.select([listener.fileno(), pidfd], [], [], _START_S)
    finally:
        os.close(pidfd)
    if listener.fileno() in ready:
        return listener.accept()[0]
    if not ready:
        raise Unavailable(f"the agent did not start within {_START_S:.0f} s")
    status = process.wait()
    if status == 3:
        raise CannotBuild(complaint(process))
    raise Unavailable(f"the agent ended before it could work: {complaint(process)}")


def greet(connection: socket.socket, listener: int = -1) -> tuple[bytes, int, int]:
    """Read HELLO, answer WELCOME. Returns (boot id, number of what runs, descriptor of a folder that came along or -1).

    listener: a descriptor of a listening socket that the shim is to have; -1: none. Raises AgentLost.
    """
    came: list[int] = []
    try:
        boot, number, version = _hello(connection, came)
        if came and not stat.S_ISDIR(os.fstat(came[0]).st_mode):
            raise frames.BadFrame("what came along is no folder")
        welcome = frames.frame(frames.WELCOME, 0, frames.WELCOME_BODY.pack(min(version, frames.VERSION)))
        socket.send_fds(connection, [welcome], [listener] if listener >= 0 else [])
        connection.settimeout(None)
    except (OSError, frames.BadFrame) as error:
        for descriptor in came:
            os.close(descriptor)
        raise AgentLost(f"the agent's greeting could not be read: {error}") from None
    for descriptor in came[1:]:
        os.close(descriptor)
    return boot, number, came[0] if came else -1


def _hello(connection: socket.socket, came: list[int]) -> tuple[bytes, int, int]:
    """HELLO's boot id, number and version; what descriptors come along are added to `came`."""
    incoming, size = frames.Incoming(), 0
    connection.settimeout(_START_S)
    for _ in range(_GREETING_PIECES):
        data, descriptors = socket.recv_fds(connection, _GREETING_BYTES, 1)[:2]
        came += descriptors
        size += len(data)
        for kind, number, fields in incoming.feed(data):
            if kind != frames.HELLO:
                raise frames.BadFrame(f"it says something of kind {kind} before it says hello")
            version, boot, _ = fields.struct(frames.HELLO_BODY)
            if version < 1:
                raise frames.BadFrame(f"it speaks version {version}")
            return boot, number, version
        if not data or size > _GREETING_BYTES:
            break
        connection.settimeout(_REST_S)
    raise frames.BadFrame("the agent says too much" if size > _GREETING_BYTES else "it hung up before it said hello")
