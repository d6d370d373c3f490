"""Blobs as files below one folder of this machine."""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import re
import shutil
import stat
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from trunkline.errors import NotFound, ResourceExhausted, TrunklineError, Unavailable
from trunkline.storage.blobs.durable import write_durably
from trunkline.storage.blobs.port import Data, check_name, check_span

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_TEMPORARY = ".tmp"
_FAN = re.compile(r"[0-9a-f]{2}")
"""Folders that names are spread over, by the first byte of a hash."""
_ALONE = 8
"""So many of a fan are made as they are needed; then the others too, since each would wait for the disk twice."""


class LocalBlobs:
    """A blob store in a folder, durable when `put` returns. Any number of processes may use one folder together.

    A blob is written beside its place, in `.tmp/<something>/`, made durable, and given its name by link(2), which
    fails when the name is taken. Each open store locks its own temporary folder; opening removes the unlocked ones,
    which belonged to processes that died.
    """

    def __init__(self, root: Path | str) -> None:
        """Open, and make the folder if it is absent. Raises Unavailable when it cannot be used."""
        self.root = Path(root)
        self._counter = itertools.count()
        self._made: set[Path] = set()
        self._alone: dict[Path, int] = {}
        self._making = threading.Lock()
        try:
            (self.root / _TEMPORARY).mkdir(parents=True, exist_ok=True)
            self._remove_leftovers()
            self._lock, self._temporary = self._own_folder()
        except OSError as error:
            raise _translated(error, f"the blob folder {self.root} cannot be opened") from error

    def close(self) -> None:
        """Give the temporary folder back. The store is not used afterwards."""
        shutil.rmtree(self._temporary, ignore_errors=True)
        os.close(self._lock)

    def put(self, name: str, data: Data, *, passing: bool = False) -> bool:
        """See `BlobStore.put`."""
        target = self.root / check_name(name)
        if target.exists():
            return False
        temporary = self._temporary / str(next(self._counter))
        try:
            self._folder(target.parent)
            try:
                write_durably(temporary, data, passing=passing)
                os.link(temporary, target)
            finally:
                temporary.unlink(missing_ok=True)
            _sync_folder(target.parent)
        except FileExistsError:
            # Whoever made it may not have synced the folder yet; our caller must not lean on a name that can vanish.
            _sync_folder(target.parent)
            return False
        except OSError as error:
            raise _translated(error, f"blob {name} could not be written") from error
        return True

    def get(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """See `BlobStore.get`."""
        handle = self._open(name)
        try:
            wanted = check_span(name, os.fstat(handle).st_size, start, length)
            data = os.pread(handle, wanted, start)
            while len(data) < wanted:
                more = os.pread(handle, wanted - len(data), start + len(data))
                if not more:
                    check_span(name, start + len(data), start, length)
                data += more
            return data
        except OSError as error:
            raise _translated(error, f"blob {name} could not be read") from error
        finally:
            os.close(handle)

    def size(self, name: str) -> int:
        """See `BlobStore.size`."""
        handle = self._open(name)
        try:
            return os.fstat(handle).st_size
        finally:
            os.close(handle)

    def delete(self, name: str) -> None:
        """See `BlobStore.delete`."""
        try:
            (self.root / check_name(name)).unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as error:
            raise _translated(error, f"blob {name} could not be deleted") from error

    def delete_all(self, names: Sequence[str]) -> None:
        """See `BlobStore.delete_all`."""
        for name in names:
            self.delete(name)

    def names(self, prefix: str = "") -> Iterator[str]:
        """See `BlobStore.names`."""
        folder, _, _ = prefix.rpartition("/")
        yield from _walk(self.root / folder if folder else self.root, f"{folder}/" if folder else "", prefix)

    def _open(self, name: str) -> int:
        path = self.root / check_name(name)
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"there is no blob {name}") from None
        except OSError as error:
            raise _translated(error, f"blob {name} could not be opened") from error
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise NotFound(f"there is no blob {name}")
        return handle

    def _folder(self, folder: Path) -> None:
        """Make `folder` and what is above it, each durable before anything is put inside."""
        if folder in self._made:
            return
        with self._making:
            above = itertools.takewhile(lambda one: one != self.root, folder.parents)
            for one in reversed([one for one in (folder, *above) if one not in self._made]):
                made = self._with_its_fan(one)
                for each in made:
                    each.mkdir(exist_ok=True)
                _sync_folder(one.parent)
                self._made.update(made)

    def _with_its_fan(self, folder: Path) -> list[Path]:
        """What is to be made with a folder: it alone, or all folders that names beside it are spread over."""
        fan = folder.parent
        if not _FAN.fullmatch(folder.name):
            return [folder]
        self._alone[fan] = self._alone.get(fan, 0) + 1
        return [folder] if self._alone[fan] <= _ALONE else [fan / f"{number:02x}" for number in range(256)]

    def _remove_leftovers(self) -> None:
        for folder in (self.root / _TEMPORARY).iterdir():
            handle = _locked(folder)
            if handle is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(handle)

    def _own_folder(self) -> tuple[int, Path]:
        for number in itertools.count():
            folder = self.root / _TEMPORARY / f"{os.getpid()}-{number}"
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            handle = _locked(folder)
            # Between mkdir and lock another process may have taken the folder for a leftover.
            if handle is not None and folder.exists() and os.fstat(handle).st_ino == folder.stat().st_ino:
                return handle, folder
            if handle is not None:
                os.close(handle)
        raise AssertionError("unreachable")


def _locked(folder: Path) -> int | None:
    """A handle that locks `folder` until closed; None when another has the lock or the folder is gone."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _walk(folder: Path, names: str, prefix: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as found:
            entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
    except (FileNotFoundError, NotADirectoryError):
        return
    # A folder sorts as if its name ended in "/": so do the names of the blobs inside.
    for name, is_folder in sorted(entries, key=lambda entry: f"{entry[0]}/" if entry[1] else entry[0]):
        if name.startswith("."):
            continue
        whole = names + name
        if is_folder:
            if f"{whole}/".startswith(prefix) or prefix.startswith(f"{whole}/"):
                yield from _walk(folder / name, f"{whole}/", prefix)
        elif whole.startswith(prefix):
            yield whole


def _translated(error: OSError, what: str) -> TrunklineError:
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        return ResourceExhausted(f"{what}: {reason}. Free some space, or give the data folder more, and try again")
    return Unavailable(f"{what}: {reason}")
