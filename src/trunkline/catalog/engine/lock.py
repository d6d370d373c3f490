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
        """Takes the lock. Raises FailedPrecondition, naming the other process, when it is taken."""
        path = folder / "lock"
        # Not inherited by user code that we start: it must not keep the folder when we are gone.
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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
