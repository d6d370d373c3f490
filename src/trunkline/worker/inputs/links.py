"""The links of /pfs that lead to what a datum gets, and those that did and will again."""

from __future__ import annotations

import os
import shutil
from collections import OrderedDict
from pathlib import Path

_KEPT = 512


class Links:
    """Links in the folder `root` to folders of `inside`, as code sees them.

    aside: a folder beside `root` where links stay that are not shown now; None: nowhere. A link that is renamed costs
    no inode, and some file systems look for a free one ever longer where many have just been freed (ext4 without a
    journal, for five seconds).
    """

    def __init__(self, root: bytes, inside: str, aside: Path | None = None) -> None:
        self._root, self._inside = root, inside
        self._shown: dict[str, str] = {}
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()  # longest unused first
        self._count = 0
        self._aside = os.fsencode(aside) if aside is not None else b""
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)  # of an earlier worker
            aside.mkdir()

    def show(self, wanted: dict[str, str]) -> None:
        """Have just these links there: name to folder. Raises OSError."""
        for name in set(self._shown) - set(wanted):
            self._put_aside(name)
        for name, folder in wanted.items():
            if self._shown.get(name) != folder:
                self._put_aside(name)
                if not self._take(name, folder):
                    self.drop(name)
                    os.symlink(self._target(folder), self._path(name))
                self._shown[name] = folder

    def intact(self, entry: os.DirEntry[bytes]) -> bool:
        """Whether this entry of `root` is a link as it was shown; else it is none of ours any more."""
        name = os.fsdecode(entry.name)
        if name in self._shown and entry.is_symlink() and os.readlink(entry.path) == self._target(self._shown[name]):
            return True
        self._shown.pop(name, None)
        return False

    def drop(self, name: str) -> None:
        """Remove what stands there, a link or not."""
        self._shown.pop(name, None)
        path = self._path(name)
        try:
            os.unlink(path)
        except FileNotFoundError:
            return
        except (IsADirectoryError, PermissionError):
            shutil.rmtree(path, ignore_errors=True)

    def _put_aside(self, name: str) -> None:
        folder = self._shown.pop(name, "")
        if folder and self._aside:
            self._count += 1
            place = os.path.join(self._aside, b"%d" % self._count)
            try:
                os.rename(self._path(name), place)
            except FileNotFoundError:
                return
            except OSError:  # on another file system
                self._aside = b""
            else:
                self._kept[name, folder] = place
                if len(self._kept) > _KEPT:
                    _remove(self._kept.popitem(last=False)[1])
                return
        self.drop(name)

    def _take(self, name: str, folder: str) -> bool:
        """Show a link that was put aside. It may not be what it was: code may have been quicker than we."""
        place = self._kept.pop((name, folder), b"")
        if not place:
            return False
        try:
            if os.readlink(place) == self._target(folder):
                os.rename(place, self._path(name))
                return True
        except OSError:
            pass
        _remove(place)
        return False

    def _path(self, name: str) -> bytes:
        return os.path.join(self._root, name.encode())

    def _target(self, folder: str) -> bytes:
        return os.fsencode(f"{self._inside}/{folder}")


def _remove(path: bytes) -> None:
    try:
        os.unlink(path)
    except OSError:
        shutil.rmtree(path, ignore_errors=True)
