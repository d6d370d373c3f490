"""The file system that user code sees: the host read-only, an image over it, `/pfs` and a few private folders.

A new root on a tmpfs, entry by entry, since an overlay over the host's own root does not mount (the kernel answers
ELOOP) and would hide every mount below it.
"""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass, field

from trunkline.worker.agent import kernel

OLD = b"/.old"
STAGING = b"/.pfs"
PRIVATE = (b"proc", b"dev", b"sys", b"tmp", b"run", b"pfs", b".pfs", b".venv", b".old")
DEVICES = (b"null", b"zero", b"full", b"random", b"urandom", b"tty")
ACCELERATORS = (b"nvidia", b"dri", b"kfd")
# What programs need of /run: name resolution and libraries of some distributions. The rest of it is sockets.
RUN = (b"systemd/resolve", b"resolvconf", b"NetworkManager/resolv.conf", b"opengl-driver", b"current-system")
GUARDED = (b"sys", b"sysrq-trigger", b"irq", b"bus", b"fs")  # of /proc: what the owner of uid 0 could write


@dataclass
class View:
    """What to show. All paths are the host's.

    pfs: writable, at /pfs. staging: read-only, at /.pfs. scratch: holds tmp and home (/tmp, /tmp/home). image: folder
    whose entries appear at /, or "". venv: folder shown at /.venv, or "". venv_writable: while it is being built.
    masked: files and folders that appear empty. exposed: files and folders that stay writable. secrets: folders
    to show, each with its files as hex digits; nothing of them is written to a disk.
    shown: folders below /tmp that appear all the same, read-only. volume: /pfs lies in memory instead, and may grow to
    this size (an option of tmpfs); "" for no.
    """

    pfs: str
    staging: str
    tmp: str
    image: str = ""
    venv: str = ""
    venv_writable: bool = False
    masked: list[str] = field(default_factory=list)
    exposed: list[str] = field(default_factory=list)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)
    shown: list[str] = field(default_factory=list)
    volume: str = ""


def build(view: View, own_pids: bool) -> None:
    """Make the new root and enter it. The caller has a mount namespace of its own. Raises OSError."""
    kernel.mount(b"", b"/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount(b"tmpfs", b"/tmp", b"tmpfs", options=b"mode=755,size=16m")
    os.mkdir(b"/tmp" + OLD)
    kernel.pivot_root(b"/tmp", b"/tmp" + OLD)
    os.chdir("/")
    for name, source in ((b"/pfs", view.pfs), (STAGING, view.staging), (b"/tmp", view.tmp)):
        os.mkdir(name)
        if name == b"/pfs" and view.volume:
            options = b"mode=755,size=" + view.volume.encode()
            kernel.mount(b"tmpfs", name, b"tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, options)
        else:
            kernel.bind(OLD + os.fsencode(source), name)
    _system(own_pids)
    _Merge(view.image, [os.fsencode(path) for path in view.secrets]).run()
    writable = [b"/pfs", b"/tmp", b"/dev/shm"]
    if os.path.isdir("/var/tmp"):
        kernel.bind(b"/tmp", b"/var/tmp")
        writable.append(b"/var/tmp")
    for path in view.masked:
        _mask(os.fsencode(path))
    if view.venv:
        os.mkdir(b"/.venv")
        kernel.bind(OLD + os.fsencode(view.venv), b"/.venv")
        writable += [b"/.venv"] if view.venv_writable else []
    for folder in map(os.fsencode, view.shown):
        _expose(folder)
    for exposed in map(os.fsencode, view.exposed):
        _expose(exposed)
        writable.append(exposed)
    for path, files in view.secrets.items():
        _secret(os.fsencode(path), files)
    kernel.detach(OLD)
    os.rmdir(OLD)
    kernel.protect(b"/")
    for point in [*writable, *([b"/proc"] if own_pids else [])]:
        kernel.unprotect(point)
    if own_pids and os.getuid() == 0:
        _guard_proc()


def _system(own_pids: bool) -> None:
    """/proc, /sys, /dev and /run."""
    os.mkdir("/proc")
    if own_pids:
        kernel.mount(b"proc", b"/proc", b"proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    else:
        kernel.bind(OLD + b"/proc", b"/proc")
    os.mkdir("/sys")
    if os.path.isdir(OLD + b"/sys"):
        kernel.bind(OLD + b"/sys", b"/sys")
    os.mkdir("/run")
    kernel.mount(b"tmpfs", b"/run", b"tmpfs", options=b"mode=755,size=1m")
    os.mkdir("/run/lock")
    for name in RUN:
        if os.path.lexists(OLD + b"/run/" + name):
            os.makedirs(os.path.dirname(b"/run/" + name), exist_ok=True)
            _show(OLD + b"/run/" + name, b"/run/" + name)
    os.mkdir("/dev")
    kernel.mount(b"tmpfs", b"/dev", b"tmpfs", kernel.MS_NOSUID, b"mode=755,size=1m")
    for name in sorted(os.listdir(OLD + b"/dev")):
        if name in DEVICES or name.startswith(ACCELERATORS):
            _show(OLD + b"/dev/" + name, b"/dev/" + name)
    for name, target in ((b"fd", b"fd"), (b"stdin", b"fd/0"), (b"stdout", b"fd/1"), (b"stderr", b"fd/2")):
        os.symlink(b"/proc/self/" + target, b"/dev/" + name)
    os.mkdir("/dev/shm")
    kernel.mount(b"tmpfs", b"/dev/shm", b"tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, b"mode=1777")
    os.mkdir("/dev/pts")
    with contextlib.suppress(OSError):  # without it only programs that want a terminal miss something
        kernel.mount(b"devpts", b"/dev/pts", b"devpts", kernel.MS_NOSUID, b"newinstance,ptmxmode=0666,mode=620")
        os.symlink(b"pts/ptmx", b"/dev/ptmx")


def _guard_proc() -> None:
    """uid 0 may write the owner's files of /proc without any capability: show those read-only."""
    for name in GUARDED:
        path = b"/proc/" + name
        if os.path.exists(path):
            kernel.mount(path, path, flags=kernel.MS_BIND)
            kernel.protect(path, recursive=False)


def _show(source: bytes, target: bytes) -> None:
    """`source` at `target`, which is not there yet: a link is made again, all else bound."""
    mode = os.lstat(source).st_mode
    if stat.S_ISLNK(mode):
        os.symlink(os.readlink(source), target)
        return
    if stat.S_ISDIR(mode):
        os.mkdir(target)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    kernel.bind(source, target)


def _mask(path: bytes) -> None:
    """Show nothing at `path`, if something is there."""
    try:
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)
    except OSError:
        return
    if is_folder:
        kernel.mount(b"tmpfs", path, b"tmpfs", kernel.MS_RDONLY, b"mode=755,size=4k")
    else:
        kernel.bind(b"/dev/null", path)


def _expose(path: bytes) -> None:
    """Show the host's `path` at its own place; below our private /tmp the way to it is made first."""
    if not os.path.exists(path) and path.startswith(b"/tmp/"):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        _show(OLD + path, path)
    else:
        kernel.bind(OLD + path, path)


def _secret(path: bytes, files: dict[str, str]) -> None:
    """A folder in memory with these files; code of any user may read them."""
    if path.startswith((b"/run/", b"/tmp/")):  # these are ours; anywhere else the folder stands by now
        os.makedirs(path, exist_ok=True)
    kernel.mount(b"tmpfs", path, b"tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, b"mode=755,size=2m")
    for name, data in files.items():
        descriptor = os.open(path + b"/" + os.fsencode(name), os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o444)
        with open(descriptor, "wb") as file:
            file.write(bytes.fromhex(data))


class _Merge:
    """The host's entries and the image's, in one tree, with empty folders where something is to be mounted later."""

    def __init__(self, image: str, points: list[bytes]) -> None:
        self._image = OLD + os.fsencode(image) if image else b""
        # folder of the new root: folders of the image that belong there, the first wins
        self._layers: dict[bytes, list[bytes]] = {b"": [self._image]} if image else {}
        self._points = {each for each in points if each[1:].split(b"/")[0] not in PRIVATE}
        for point in self._points:
            self._layers.setdefault(point, [])  # so that the folders above it are made anew and can hold it
        self._mounted = sorted(point for point, _ in kernel.mounts(OLD)) if image else []

    def run(self) -> None:
        """Fill the root."""
        host = {name for name in os.listdir(OLD) if name not in PRIVATE}
        image = set(_names(self._image)) - set(PRIVATE) if self._image else set()
        for name in sorted(image):
            self._divert(b"/" + name)
        points = {each[1:].split(b"/")[0] for each in self._points}
        for name in sorted(host | image | points):
            self._entry(b"/" + name)

    def _divert(self, path: bytes) -> None:
        """An image's folder where the host has a link to one (/bin to usr/bin): its entries belong where that leads."""
        mine = self._image + path
        if os.path.islink(OLD + path) and os.path.isdir(mine) and not os.path.islink(mine):
            target = os.path.normpath(os.path.join(b"/", os.readlink(OLD + path)))
            if os.path.isdir(OLD + target) and not os.path.islink(OLD + target):
                self._layers.setdefault(target, []).append(mine)

    def _sources(self, path: bytes) -> list[bytes]:
        """Where the image has something for `path`."""
        parent, name = os.path.split(path)
        parents = self._layers.get(b"" if parent == b"/" else parent, [])
        found = [each + b"/" + name for each in parents if os.path.lexists(each + b"/" + name)]
        return found + self._layers.get(path, [])

    def _entry(self, path: bytes) -> None:
        """Show what belongs at `path`."""
        if path in self._points:
            os.mkdir(path)
            return
        host = OLD + path
        below = any(each.startswith(path + b"/") for each in self._layers)
        sources = [each for each in self._sources(path) if each != host]
        if os.path.islink(host) and any(_is_folder(each) for each in sources):
            sources = []
        if not sources and not below:
            with contextlib.suppress(OSError):  # a mount that answers nobody is left out, not fatal
                _show(host, path)
        elif sources and not (_is_folder(sources[0]) and (below or _is_folder(host))):
            _show(sources[0], path)
        elif below or not self._overlay(path, host, sources):
            self._descend(path, host, sources)

    def _overlay(self, path: bytes, host: bytes, sources: list[bytes]) -> bool:
        """One overlay for the whole folder. False: the kernel refuses, or a name needs escapes."""
        layers = [*sources, host]
        if any(set(each) & set(b":,\\") for each in layers):
            return False
        os.mkdir(path)
        try:
            kernel.mount(b"overlay", path, b"overlay", kernel.MS_RDONLY, b"lowerdir=" + b":".join(layers))
        except OSError:
            os.rmdir(path)
            return False
        for point in self._mounted:
            inside = point[len(OLD) :]
            if inside.startswith(path + b"/") and os.path.exists(inside):
                kernel.bind(point, inside)
        return True

    def _descend(self, path: bytes, host: bytes, sources: list[bytes]) -> None:
        """The folder anew, its entries one by one."""
        self._layers[path] = [each for each in sources if _is_folder(each)]
        if not os.path.isdir(path):
            os.mkdir(path)
        names = set(_names(host)).union(*(set(_names(each)) for each in self._layers[path]))
        names |= {each[len(path) + 1 :].split(b"/")[0] for each in self._layers if each.startswith(path + b"/")}
        for name in sorted(names):
            self._entry(path + b"/" + name)


def _names(folder: bytes) -> list[bytes]:
    """Entries of a folder; none if it may not be read."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _is_folder(path: bytes) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False
