"""One worker process: its control line, its last words, and its end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

_TAIL_LINES = 20
_READ_BYTES = 64 << 10


class WorkerProcess:
    """A started worker.

    Its standard input is its control line: the worker ends when that reaches end-of-file, so it does not outlive who
    started it, however that ends. What it writes to standard output and error is its log.
    """

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.folder = folder
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(env),
            start_new_session=True,  # a Ctrl-C in the terminal is the server's to handle
        )
        self.pidfd = os.pidfd_open(self._process.pid)
        if self._process.stdout is None:  # cannot be: asked for above
            raise OSError("no pipe")
        self.output = self._process.stdout.fileno()
        os.set_blocking(self.output, False)
        self._partial = b""
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def read(self) -> list[str]:
        """Whole log lines written since the last call. Never blocks."""
        lines: list[str] = []
        while True:
            try:
                data = os.read(self.output, _READ_BYTES)
            except (BlockingIOError, ValueError, OSError):
                break
            if not data:
                break
            *whole, self._partial = (self._partial + data).split(b"\n")
            lines += [line.decode(errors="replace").rstrip() for line in whole]
        self._tail += [line for line in lines if line]
        return lines

    def ask_to_end(self) -> None:
        """Close the control line."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def kill(self) -> None:
        """End it now; its agents end with it."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def reap(self) -> str:
        """After its end: how it ended, with its last line. Releases everything."""
        status = self._process.wait()
        self.read()
        last = self._partial.decode(errors="replace").strip() or (self._tail[-1] if self._tail else "")
        self.ask_to_end()
        os.close(self.pidfd)
        if self._process.stdout is not None:
            self._process.stdout.close()
        how = f"killed by signal {-status}" if status < 0 else f"exit {status}"
        return f"{how}: {last}" if last else how
