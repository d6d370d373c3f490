"""How the agent starts: namespaces, the new root, then the loop.

    python -I -S -c '…' < plan.json

The plan is JSON on standard input (`Plan`). Status 3: the namespace could not be built; why is one line on stderr.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import dataclass, field

from trunkline.ambient import RealAmbient
from trunkline.worker.agent import kernel, root
from trunkline.worker.agent.serve import Agent

CANNOT_BUILD = 3


@dataclass
class Plan:
    """What the launcher is told. `view` as in `root.View`, or None: the host's own root, without namespaces.

    address: the worker's socket as the agent sees it. patience_s: how long a lost worker is waited for.
    own_pids: whether to make a pid namespace. probe: build, say so by status 0, and end.
    groups: entrances of control groups, which nobody sees inside.
    """

    address: str
    view: dict[str, object] | None = None
    own_pids: bool = True
    patience_s: float = 0.0
    probe: bool = False
    groups: list[str] = field(default_factory=list)


def main() -> int:
    """The launcher: process 0 of the sandbox, so to speak; returns the agent's status."""
    plan = Plan(**json.load(sys.stdin))
    os.umask(0o022)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is the server's to handle
    if plan.view is None:
        kernel.adopt_orphans()
        return _work(plan, own_pids=False)
    try:
        _leave(plan.own_pids)
    except OSError as error:
        return _refused(error)
    # The first child in a new pid namespace is its process 1: when it ends, the kernel ends all others in it.
    child = os.fork()
    if child == 0:
        kernel.die_with_parent()
        os._exit(_work(plan, plan.own_pids))
    return _follow(child)


def _leave(own_pids: bool) -> None:
    """Into namespaces of our own. As an ordinary user, our own uid is mapped and not 0: capabilities end at exec."""
    uid, gid = os.getuid(), os.getgid()
    flags = kernel.CLONE_NEWNS | kernel.CLONE_NEWIPC | (kernel.CLONE_NEWPID if own_pids else 0)
    if uid == 0:
        kernel.unshare(flags)
        return
    kernel.unshare(flags | kernel.CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _work(plan: Plan, own_pids: bool) -> int:
    """The agent proper."""
    # From here on the files at Python's own paths may be an image's, and this process still has its capabilities: what
    # was not imported by now shall fail rather than be somebody else's code.
    sys.path.clear()
    sys.meta_path.clear()
    try:
        groups = [os.open(path, os.O_WRONLY | os.O_CLOEXEC) for path in plan.groups]
        if plan.view is not None:
            root.build(root.View(**plan.view), own_pids)  # type: ignore[arg-type]
            if not own_pids:
                kernel.adopt_orphans()
        if os.getuid() != 0 or plan.view is not None:
            kernel.forgo_privileges()
    except OSError as error:
        return _refused(error)
    if plan.probe:
        return 0
    volume = os.open("/pfs", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) if plan.view and plan.view["volume"] else -1
    return Agent(plan.address, own_pids, plan.view is not None, plan.patience_s, RealAmbient(), groups, volume).run()


def _follow(child: int) -> int:
    """Wait for the agent; pass a polite request to end on to it."""
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGKILL))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _refused(error: OSError) -> int:
    print(error.args[1] if len(error.args) > 1 else error, file=sys.stderr, flush=True)
    return CANNOT_BUILD
