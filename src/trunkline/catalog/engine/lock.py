"""One process at a time on a data folder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from trunkline.errors import FailedPrecondition


class FolderLock:
    """Holds a data folder for this process. The kernel lets go when the process dies, however it dies.

    The lock file stays behind, since deleting it would let two processes lock two files of one name.
    """

    def __init__(self, folder: Path) -> None:
        """Makes the folder where it is missing and takes its lock.

        Raises FailedPrecondition when another process has it, naming that one, and when the folder cannot be used.
        """
        self.folder = folder
        try:
            if not folder.is_dir():
                folder.mkdir(parents=True, exist_ok=True)
                _sync(folder.parent)  # what is promised to last must not be lost with the folder's own name
            # Not inherited by user code that we start: it must not keep the folder when we are gone.
            self._file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise FailedPrecondition(f"the data folder {folder} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._file, 32).decode("ascii", "replace").strip()
            os.close(self._file)
            who = f"process {holder}" if holder else "another process"
            raise FailedPrecondition(
                f"the data folder {folder} is in use by {who}; stop that one first, or choose another folder"
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go. A second call does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _sync(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
