"""What a datum left in /pfs/out, turned into files: regular ones by their bytes, links to inputs by reference."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from trunkline.errors import InvalidArgument
from trunkline.model import paths
from trunkline.worker.layout import Prepared
from trunkline.worker.ports import Element, Output

_READ_BYTES = 1 << 20
_SMALL_BYTES = 64 << 10
_MAX_LINKS = 40
_ENDS = {
    stat.S_IFSOCK: "socket",
    stat.S_IFIFO: "named pipe",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


@dataclass(frozen=True, slots=True)
class _Reference:
    """An output path whose bytes are those of an input file."""

    path: str
    element: Element
    source: str


@dataclass
class Found:
    """What lies in /pfs/out. files: (path in the repo, file to read). complaint: why the datum fails, or "".

    blocked: some of it is beyond our rights or our view, so that the agent's FIX may help. ignored: told in the log.
    """

    files: list[tuple[str, bytes]] = field(default_factory=list)
    references: list[_Reference] = field(default_factory=list)
    complaint: str = ""
    blocked: bool = False
    ignored: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many files it makes; several sources in a row may be one."""
        return len(dict(self.files)) + len(self.references)

    def fail(self, complaint: str, blocked: bool = False) -> None:
        """Note what is wrong; the first complaint stays."""
        self.complaint = self.complaint or complaint
        self.blocked = self.blocked or blocked

    def put(self, objects: Sequence[tuple[str, bytes]]) -> None:
        """Add files that came by another way; one that lies here already is two outputs in one place."""
        here = {path for path, _ in self.files} | {each.path for each in self.references} if objects else set()
        for path, source in objects:
            if path in here:
                self.fail(f"the code wrote {path} into /pfs/out and put it into the bucket out: do one of the two")
            self.files.append((path, source))


class Collector:
    """Reads one worker's /pfs/out. `pfs` and `staging` are the folders; the code sees them at /pfs and `inside`."""

    def __init__(self, pfs: str, staging: str, inside: str) -> None:
        self._pfs = os.fsencode(pfs)
        self._out = self._pfs + b"/out"
        self._staging = os.fsencode(staging)
        self._inside = os.fsencode(inside)

    def look(self, prepared: Prepared) -> Found:
        """Walk /pfs/out. Reads no file; the code's processes must be gone, so that nothing changes meanwhile."""
        found = Found()
        try:
            if not stat.S_ISDIR(os.lstat(self._out).st_mode):
                found.fail("/pfs/out is no longer a directory: write files into it, do not replace it")
                return found
        except FileNotFoundError:
            return found
        owners = {folder: prepared.owners[name] for name, folder in prepared.links.items()}
        self._walk(self._out, b"", found, owners, ())
        return found

    def store(self, found: Found, output: Output, datum: str) -> int:
        """Hand everything found to `output`. Returns the bytes. Raises OSError naming a file that cannot be read."""
        size = 0
        for path, source in found.files:
            size += output.put(path, _contents(source), datum)
        for each in found.references:
            size += output.copy(each.path, each.element, each.source, datum)
        return size

    def _walk(
        self, folder: bytes, below: bytes, found: Found, owners: Mapping[str, list[Element]], trail: tuple[bytes, ...]
    ) -> None:
        """`below`: where `folder` stands in the output, with a slash at its end. `trail`: folders reached by links."""
        pending = [(folder, below)]
        while pending:
            here, prefix = pending.pop()
            try:
                with os.scandir(here) as scan:
                    entries = sorted(scan, key=lambda each: each.name)
            except OSError as error:
                found.fail(f"/pfs/out/{_shown(prefix)} cannot be read: {error.strerror}", blocked=True)
                continue
            for entry in entries:
                name = prefix + entry.name
                if entry.is_symlink():
                    self._follow(entry.path, name, found, owners, trail)
                elif entry.is_dir(follow_symlinks=False):
                    pending.append((entry.path, name + b"/"))
                elif entry.is_file(follow_symlinks=False):
                    self._file(entry.path, name, found)
                else:
                    self._ignore(entry.path, name, found)

    def _file(self, source: bytes, name: bytes, found: Found) -> None:
        path = _cleaned(name, found)
        if path is None:
            return
        if not os.access(source, os.R_OK):
            found.fail(f"/pfs/out/{_shown(name)} cannot be read: permission denied", blocked=True)
        found.files.append((path, source))

    def _ignore(self, source: bytes, name: bytes, found: Found) -> None:
        kind = _ENDS.get(stat.S_IFMT(os.lstat(source).st_mode), "special file")
        found.ignored.append(f"/pfs/out/{_shown(name)} is a {kind} and was not uploaded")

    def _follow(
        self, link: bytes, name: bytes, found: Found, owners: Mapping[str, list[Element]], trail: tuple[bytes, ...]
    ) -> None:
        """A link: into an input, it is that data; elsewhere in /pfs, a file or folder of ours; else the agent's."""
        told = f"/pfs/out/{_shown(name)} is a link to {_shown(os.readlink(link))}, which"
        try:
            target = self._resolve(link)
        except FileNotFoundError:
            found.fail(f"{told} does not exist")
            return
        except OSError as error:
            found.fail(f"{told} leads nowhere: {error.strerror}")
            return
        if target is None:
            found.fail(f"{told} cannot be read", blocked=True)
            return
        mode = os.lstat(target).st_mode
        if stat.S_ISDIR(mode):
            if target in trail or target == self._out or link.startswith(target + b"/"):
                found.fail(f"{told} leads back to a folder it lies in")
            elif target.startswith(self._staging + b"/"):
                self._refer_tree(target, name, found, owners)
            else:
                self._walk(target, name + b"/", found, owners, (*trail, target))
        elif target.startswith(self._staging + b"/") and (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            self._refer(target, name, found, owners)
        elif not stat.S_ISREG(mode):
            self._ignore(target, name, found)
        else:
            self._file(target, name, found)

    def _refer_tree(self, target: bytes, name: bytes, found: Found, owners: Mapping[str, list[Element]]) -> None:
        for here, _, files in os.walk(target):
            for file in sorted(files):
                source = os.path.join(here, file)
                self._refer(source, name + source[len(target) :], found, owners)

    def _refer(self, target: bytes, name: bytes, found: Found, owners: Mapping[str, list[Element]]) -> None:
        """An input file, by reference where we know whose it is; our own files in staging count as bytes."""
        folder, _, source = target[len(self._staging) + 1 :].partition(b"/")
        path = _cleaned(name, found)
        if path is None:
            return
        whole = "/" + source.decode()
        for element in owners.get(folder.decode(), []):
            if _within(whole, element.path):
                found.references.append(_Reference(path, element, whole))
                return
        if os.path.isfile(target):
            found.files.append((path, target))
        else:
            self._ignore(target, name, found)

    def _resolve(self, link: bytes) -> bytes | None:
        """Where a link leads, as a path of ours; None: out of what we can see. Raises OSError where it leads nowhere.

        Step by step, since absolute links mean the code's root and not ours.
        """
        parts = [each for each in self._seen(link).split(b"/") if each]
        done: list[bytes] = []  # resolved, as the code sees it
        hops = 0
        while parts:
            part = parts.pop(0)
            if part == b"..":
                done = done[:-1]
                continue
            if part == b".":
                continue
            done.append(part)
            here = self._ours(b"/" + b"/".join(done))
            if here is None:
                if done[0] in (b"pfs", self._inside.split(b"/")[1]):
                    continue
                return None
            mode = os.lstat(here).st_mode
            if stat.S_ISLNK(mode):
                hops += 1
                if hops > _MAX_LINKS:
                    raise OSError(40, "too many levels of symbolic links")
                target = os.readlink(here)
                parts = [each for each in target.split(b"/") if each] + parts
                done = [] if target.startswith(b"/") else done[:-1]
            elif parts and not stat.S_ISDIR(mode):
                raise FileNotFoundError(2, "not a directory")
        return self._ours(b"/" + b"/".join(done))

    def _seen(self, path: bytes) -> bytes:
        """One of our paths below /pfs, as the code sees it."""
        return b"/pfs" + path[len(self._pfs) :]

    def _ours(self, path: bytes) -> bytes | None:
        """A path of the code's as ours, if it lies in /pfs or staging."""
        for outside, inside in ((self._pfs, b"/pfs"), (self._staging, self._inside)):
            if path == inside or path.startswith(inside + b"/"):
                return outside + path[len(inside) :]
        return None


def _cleaned(name: bytes, found: Found) -> str | None:
    """The path in the repo; None, with a complaint, where the rules for paths forbid it."""
    try:
        return paths.clean(name.decode())
    except UnicodeDecodeError:
        found.fail(f"output file /pfs/out/{_shown(name)} cannot be represented in PFS: its name is not valid UTF-8")
    except InvalidArgument as error:
        found.fail(f"output file /pfs/out/{_shown(name)} cannot be represented in PFS: {error}")
    return None


def _contents(source: bytes) -> bytes | Iterator[bytes]:
    """A small file whole, a large one piece by piece. Never through a link, never blocking."""
    descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    size = os.fstat(descriptor).st_size
    if size > _SMALL_BYTES:
        return _pieces(descriptor)
    try:
        return os.read(descriptor, size)
    finally:
        os.close(descriptor)


def _pieces(descriptor: int) -> Iterator[bytes]:
    with open(descriptor, "rb", buffering=0) as file:
        while piece := file.read(_READ_BYTES):
            yield piece


def _within(path: str, element: str) -> bool:
    top = element.rstrip("/")
    return path == top or path.startswith(top + "/")


def _shown(name: bytes) -> str:
    return paths.quoted(name.decode(errors="backslashreplace"))[1:-1]
