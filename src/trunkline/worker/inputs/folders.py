"""Folders in staging: files are written into them, taken out again, and the emptied folders are used anew.

Making a folder costs ten times what making a file in it does, and removing one waits for the disk where that is told of
each block that falls free (ext4 with `discard`): 0.25 to 1.5 ms, which a small datum would feel.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import threading
from collections.abc import Iterable

_AS_MADE = stat.S_IFDIR | 0o755
_KEPT = 256


class Emptied:
    """Folders that hold nothing but `parents`, a path of folders of which each is in the one before.

    `root` is where they lie; `keep` is how many are kept at most. Safe for several threads.
    """

    def __init__(self, root: bytes, keep: int = _KEPT) -> None:
        self._root = root
        self._keep = keep
        self._lock = threading.Lock()
        self._names: dict[bytes, list[str]] = {}
        self._count = 0

    def take(self, parents: bytes) -> str | None:
        """The name of such a folder, from now on the caller's; None where there is none."""
        with self._lock:
            names = self._names.get(parents)
            if not names:
                return None
            self._count -= 1
            name = names.pop()
            if not names:
                del self._names[parents]
            return name

    def put(self, name: str, files: Iterable[bytes], parents: bytes, *, sure: bool = False) -> None:
        """Take these files out of a folder and keep it, if that leaves it as it was made; else it is removed.

        sure: nothing else was put there, and nobody can have changed it: then nobody looks.
        """
        folder = os.path.join(self._root, name.encode())
        made, whole = _take_out(folder, files)
        sure = sure and whole and made == {parents}
        if self._count < self._keep and made <= {parents} and (sure or _only(folder, parents)):
            with self._lock:
                self._names.setdefault(parents, []).append(name)
                self._count += 1
        else:
            _remove(folder, made)


def write(folder: bytes, relative: bytes, data: bytes | Iterable[bytes], made: set[bytes]) -> int:
    """One file, read-only. made: parents that are known to be there, added to. Returns its size in bytes."""
    make_parents(folder, relative, made)
    size = 0
    descriptor = os.open(os.path.join(folder, relative), os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o444)
    try:
        for piece in (data,) if isinstance(data, bytes) else data:
            view = memoryview(piece)
            while view:
                view = view[os.write(descriptor, view) :]
            size += len(piece)
    finally:
        os.close(descriptor)
    return size


def make_parents(folder: bytes, relative: bytes, made: set[bytes]) -> None:
    """The folders that a path below `folder` lies in. made: those that are known to be there, added to."""
    if b"/" not in relative:
        return  # whoever writes into a folder has made it
    parent = os.path.join(folder, os.path.dirname(relative))
    if parent not in made and not os.path.isdir(parent):
        os.makedirs(parent, 0o755, exist_ok=True)
    made.add(parent)


def _take_out(folder: bytes, files: Iterable[bytes]) -> tuple[set[bytes], bool]:
    """Remove files; returns the folders they lay in, "" being `folder`, and whether all of them were removed."""
    parents: set[bytes] = set()
    whole = True
    for path in files:
        try:
            os.unlink(os.path.join(folder, path))
        except OSError:
            whole = False
        parents.add(os.path.dirname(path))
    return parents, whole


def _only(folder: bytes, parents: bytes) -> bool:
    """Whether there is nothing else in `folder`, and nobody changed the rights of what is there."""
    here = folder
    for name in (*filter(None, parents.split(b"/")), None):
        try:
            if os.lstat(here).st_mode != _AS_MADE or os.listdir(here) != ([name] if name else []):
                return False
        except OSError:
            return False
        here = os.path.join(here, name or b"")
    return True


def _remove(folder: bytes, parents: set[bytes]) -> None:
    """The folders we know, deepest first: a tenth of what walking the tree costs."""
    known: set[bytes] = set()
    for path in parents:
        while path and path not in known:
            known.add(path)
            path = os.path.dirname(path)
    for path in sorted(known, key=len, reverse=True):
        with contextlib.suppress(OSError):
            os.rmdir(os.path.join(folder, path))
    try:
        os.rmdir(folder)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
