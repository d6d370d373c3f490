"""Worlds in which namespaces are refused, as command lines to put before a program; the refusals are real."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

NO_NAMESPACES = (
    "unshare",
    "--user",
    "--map-root-user",
    "sh",
    "-c",
    'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set -all --inh-caps -all -- "$@"',
    "sh",
)
"""No namespace at all: in a user namespace with the limit at 0, without capabilities."""

NO_MOUNTS = ("setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin", "--")
"""For root: as in a plain container, which may not mount nor make a mount namespace."""


def works(prefix: tuple[str, ...]) -> bool:
    """Whether this machine lets us make that world."""
    return subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode == 0


def own_root(root: Path) -> tuple[str, ...]:
    """For root: a world whose `/` is a tmpfs at the folder `root`, with this machine's folders bound into it.

    What is made at its top, such as /pfs, is not made on this machine. In it, nothing may be mounted any more.
    """
    lines = ["set -e", f"mount -t tmpfs tmpfs {root}"]
    for entry in sorted(os.scandir("/"), key=lambda each: each.name):
        if entry.name in ("pfs", "proc"):
            continue
        if entry.is_symlink():
            lines.append(f"ln -s {os.readlink(entry.path)} {root}{entry.path}")
        elif entry.is_dir():
            lines.append(f"mkdir {root}{entry.path} && mount --rbind {entry.path} {root}{entry.path}")
    lines.append(f"mkdir {root}/proc && mount -t proc proc {root}/proc")
    lines.append("chroot=$(PATH=$PATH:/usr/sbin:/sbin command -v chroot)")  # not every root's PATH leads there
    lines.append(f'exec $chroot {root} {" ".join(NO_MOUNTS)} "$@"')
    return ("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", "; ".join(lines), "sh")
