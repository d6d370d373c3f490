"""Calls of the Linux kernel that Python does not offer: namespaces, mounts, capabilities."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import signal

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x8000000, 0x10000000, 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_NOATIME, MS_NODIRATIME, MS_BIND = 32, 1024, 2048, 4096
MS_REC, MS_PRIVATE, MS_RELATIME = 16384, 1 << 18, 1 << 21
MNT_DETACH = 2
ATTR_RDONLY, ATTR_NOSUID = 1, 2

_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_SYS_MOUNT_SETATTR = 442  # the same on every architecture
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 24, 36, 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_LAST_CAPABILITY = 63
_MOUNT_OPTIONS = {
    "ro": MS_RDONLY,
    "nosuid": MS_NOSUID,
    "nodev": MS_NODEV,
    "noexec": MS_NOEXEC,
    "noatime": MS_NOATIME,
    "nodiratime": MS_NODIRATIME,
    "relatime": MS_RELATIME,
}

_OCTAL = re.compile(rb"\\([0-7]{3})")

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave the namespaces named by `flags` for fresh ones. Raises OSError."""
    _check(_libc.unshare(flags), "cannot make namespaces")


def mount(source: bytes, target: bytes, kind: bytes = b"", flags: int = 0, options: bytes = b"") -> None:
    """mount(2); `source` and `options` empty where the call needs none. Raises OSError naming both ends."""
    result = _libc.mount(source or None, target, kind or None, ctypes.c_ulong(flags), options or None)
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(
            number, f"cannot mount {os.fsdecode(source or kind)} at {os.fsdecode(target)}: {os.strerror(number)}"
        )


def bind(source: bytes, target: bytes) -> None:
    """Show `source` and what is mounted below it at `target` too."""
    mount(source, target, flags=MS_BIND | MS_REC)


def detach(target: bytes) -> None:
    """Take a mount away; what has it open keeps it."""
    _check(_libc.umount2(target, MNT_DETACH), f"cannot unmount {os.fsdecode(target)}")


def pivot_root(new: bytes, old: bytes) -> None:
    """Make `new` the root and show the old one at `old`."""
    number = _SYS_PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise OSError(38, f"no sandbox on {platform.machine()}: only x86_64 and aarch64 are known")
    _check(_libc.syscall(number, new, old), "pivot_root")


def protect(target: bytes, recursive: bool = True) -> None:
    """Make `target` (and every mount below it) read-only and deaf to set-user-id bits."""
    attr = _MountAttr(attr_set=ATTR_RDONLY | ATTR_NOSUID)
    if _setattr(target, attr, recursive):
        return
    for point, flags in mounts(target) if recursive else [(target, 0)]:
        try:
            mount(b"", point, flags=MS_BIND | MS_REMOUNT | flags | MS_RDONLY | MS_NOSUID)
        except OSError:
            if not flags & MS_RDONLY:  # one that is read-only already may refuse any change
                raise


def unprotect(target: bytes) -> None:
    """Make the one mount at `target` writable again."""
    if not _setattr(target, _MountAttr(attr_clr=ATTR_RDONLY), False):
        flags = dict(mounts(target)).get(target, 0)
        mount(b"", target, flags=MS_BIND | MS_REMOUNT | (flags & ~MS_RDONLY))


def _setattr(target: bytes, attr: _MountAttr, recursive: bool) -> bool:
    """False: this kernel (before 5.12) does not know the call."""
    flags = _AT_RECURSIVE if recursive else 0
    size = ctypes.c_size_t(ctypes.sizeof(attr))
    result = _libc.syscall(_SYS_MOUNT_SETATTR, _AT_FDCWD, target, flags, ctypes.byref(attr), size)
    if result != 0 and ctypes.get_errno() == 38:
        return False
    _check(result, f"cannot change the mount {os.fsdecode(target)}")
    return True


def mounts(below: bytes = b"/") -> list[tuple[bytes, int]]:
    """Mount points at and below `below`, outermost first, each with its MS_ flags."""
    found = []
    with open("/proc/self/mountinfo", "rb") as lines:
        for line in lines:
            fields = line.split(b" ")
            # no codec of Python's: the old root, and its library with it, may be gone by now
            point = _OCTAL.sub(lambda found: bytes([int(found[1], 8)]), fields[4])
            if below in (point, b"/") or point.startswith(below + b"/"):
                names = fields[5].decode().split(",")
                found.append((point, sum(_MOUNT_OPTIONS.get(name, 0) for name in names)))
    return found


def forgo_privileges() -> None:
    """See to it that whatever this process starts has no capability and gains none."""
    for capability in range(_LAST_CAPABILITY + 1):
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break  # past the last one this kernel knows, or none may be dropped: then there is none to lose
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def adopt_orphans() -> None:
    """Become the parent of descendants whose parents end, as process 1 is by nature."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "subreaper")


def die_with_parent() -> None:
    """End when the thread that forked this process ends: only for a parent with one thread."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0), "parent death signal")
