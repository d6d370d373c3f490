"""Which sandbox this machine allows, found out by building one; and what to type where it allows none."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from trunkline.errors import FailedPrecondition, InvalidArgument
from trunkline.worker.agent.main import CANNOT_BUILD
from trunkline.worker.launch import PFS_INSIDE, VENV_INSIDE, Sandbox, Scratch, complaint, start

CHOICES = ("auto", "process", "container", "host")
_PROBE_S = 20.0


@dataclass(frozen=True)
class Rung:
    """What user code is run by: `name` is process (namespaces) or host (a real /pfs).

    max_workers: 0 for no bound. reason: one sentence for the log and for `inspect`.
    limits: what control groups of this machine hold code to: "memory", "cpu"; "volume": /pfs can lie in memory.
    gpus: the devices that they share.
    """

    name: str
    sandbox: Sandbox
    max_workers: int
    reason: str
    limits: frozenset[str] = frozenset()
    gpus: tuple[str, ...] = ()


class NoRunner(FailedPrecondition):
    """This machine allows no sandbox that we know; the message ends with the command that allows one."""


def choose(
    choice: str,
    sandbox: Sandbox,
    scratch: Scratch,
    try_it: Callable[[Sandbox, Scratch], str] | None = None,
    uid: int | None = None,
    pfs: Path = Path(PFS_INSIDE),
) -> Rung:
    """The first rung that works, trying each by doing it; `choice` is one of CHOICES. Raises NoRunner, InvalidArgument.

    try_it, uid, pfs: seams for tests.
    """
    if choice not in CHOICES:
        raise InvalidArgument(f'runner "{choice}" is unknown; one of {", ".join(CHOICES)}')
    if choice == "container":
        raise NoRunner("user code cannot be run in containers yet: that comes with a later release; use --runner auto")
    attempt = try_it or probe
    uid = os.getuid() if uid is None else uid
    refusals = []
    if choice in ("auto", "process"):
        for own_pids in (True, False):
            candidate = replace(sandbox, namespaces=True, own_pids=own_pids)
            refusal = attempt(candidate, scratch)
            if not refusal:
                less = "" if own_pids else ", without a pid namespace (this machine masks /proc)"
                return Rung("process", candidate, 0, f"user code runs as processes in namespaces of their own{less}")
            refusals.append(refusal)
    if choice in ("auto", "host") and uid == 0:
        if pfs_is_free(pfs):
            why = f", since namespaces are refused ({refusals[0]})" if refusals else ""
            reason = f"user code runs on this machine itself with a real {pfs}, one worker{why}"
            return Rung("host", replace(sandbox, namespaces=False, own_pids=False), 1, reason)
        refusals.append(f"{pfs} holds files that are not ours, or may not be made")
    if choice == "host" and uid != 0:
        refusals.append(f"--runner host needs root, which may make {pfs}")
    raise NoRunner(f"user code cannot be run here: {refusals[0]}.\n{remedy()}")


def probe(sandbox: Sandbox, scratch: Scratch) -> str:
    """Build the sandbox and end at once. What refused it, or "" if it works."""
    process = start(sandbox.plan(scratch.make(), probe=True), sandbox)
    status = process.wait(_PROBE_S)
    if status == 0:
        if process.stderr:
            process.stderr.close()
        return ""
    told = complaint(process)
    return told if status == CANNOT_BUILD else f"the agent ended with status {status}: {told}"


def remedy(proc: Path = Path("/proc/sys")) -> str:
    """The one command that allows namespaces on this system, and otherwise what to ask for."""
    for name, bad, command in (
        ("user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=15000"),
        ("kernel/unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ):
        with contextlib.suppress(OSError):
            if (proc / name).read_text().strip() == bad:
                return f"To allow it, type: {command}"
    return (
        "To allow it in a container, start the container with: "
        "--security-opt seccomp=unconfined --security-opt apparmor=unconfined --cap-add SYS_ADMIN"
    )


def pfs_is_free(pfs: Path) -> bool:
    """Whether a real /pfs can be ours: absent and makeable, or empty but for what an earlier worker left."""
    try:
        pfs.mkdir(exist_ok=True)
        names = set(os.listdir(pfs)) - {"out", ".env"}
        return all((pfs / name).is_symlink() for name in names) and os.access(pfs, os.W_OK)
    except OSError:
        return False


def lock_pfs(pfs: Path = Path(PFS_INSIDE)) -> int:
    """Take /pfs for this process until its descriptor (returned) is closed. Raises FailedPrecondition if taken."""
    descriptor = os.open(pfs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise FailedPrecondition(f"{pfs} is in use by another worker; on this machine only one can run") from None
    return descriptor


@dataclass(frozen=True)
class HostScratch(Scratch):
    """A worker's folders where /pfs is a real one."""

    real: Path = Path(PFS_INSIDE)

    @property
    def pfs(self) -> Path:
        """The real folder."""
        return self.real


class LaidImage:
    """An image where there are no namespaces: links at the machine's own `/`, for one image at a time.

    Nothing of the machine's is replaced. The links are listed in the file `note` before they are made, so that those of
    a worker that was killed go when the next one comes.
    """

    def __init__(self, note: Path, top: Path = Path("/")) -> None:
        self._note = note
        self._top = top
        self.venv_place = top / VENV_INSIDE.lstrip("/")

    def lay(self, image: str, venv: str, building: bool = False) -> None:
        """Have the entries of the folder `image`, and the environment `venv`, appear; "" for none.

        building: an empty folder stands in the environment's place, since Python makes none where a link is.
        Raises FailedPrecondition if something of that name is there already.
        """
        links: dict[str, str] = {}
        if venv or building:
            links[str(self.venv_place)] = venv
        if image:
            links |= self._missing(Path(image), self._top)
        if links == self._laid():
            return
        self.clear()
        taken = [place for place in links if os.path.lexists(place)]
        if taken:
            raise FailedPrecondition(
                f"the image cannot be shown without namespaces: {taken[0]} is there on this machine already"
            )
        self._note.write_text(json.dumps(links))
        for place, target in links.items():
            if target:
                os.symlink(target, place)
            else:
                os.mkdir(place)

    def clear(self) -> None:
        """Take away what was laid, by us or by one who was killed."""
        for place, target in self._laid().items():
            with contextlib.suppress(OSError):
                if not target:
                    shutil.rmtree(place)
                elif os.readlink(place) == target:
                    os.unlink(place)
        self._note.unlink(missing_ok=True)

    def _laid(self) -> dict[str, str]:
        try:
            laid: dict[str, str] = json.loads(self._note.read_text())
        except (OSError, ValueError):
            return {}
        return laid

    def _missing(self, image: Path, top: Path) -> dict[str, str]:
        """Links for the entries of `image`; folders that the machine has too are gone through."""
        links: dict[str, str] = {}
        for entry in os.scandir(image):
            place = top / entry.name
            if entry.is_dir(follow_symlinks=False) and place.is_dir() and not place.is_symlink():
                links |= self._missing(Path(entry.path), place)
            else:
                links[str(place)] = entry.path
        return links
