"""A real `pachd` in a process of its own, for tests through real sockets."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

SERVING = "pachd is serving on "


class Pachd:
    """Runs until `stop` or `kill`. `address` is HOST:PORT, on a free port unless `flags` say otherwise."""

    def __init__(self, data: Path, *flags: str) -> None:
        """Start it and wait for its serving line. Raises RuntimeError with what it said, where it does not come."""
        listen = () if "--listen" in flags else ("--listen", "127.0.0.1:0")
        environ = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trunkline", "--data", str(data), *listen, *flags],
            stdout=subprocess.PIPE,
            stderr=(data.parent / f"{data.name}.log").open("ab"),
            env=environ,
            text=True,
        )
        self.log = data.parent / f"{data.name}.log"
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith(SERVING):
            self.process.wait(30)
            raise RuntimeError(f"pachd ended with {self.process.returncode}: {self.log.read_text()}")
        self.address = line.removeprefix(SERVING).strip()

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        """SIGKILL: no goodbye. Nothing if it is gone already."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)

    def __enter__(self) -> Pachd:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        if self.process.stdout is not None:
            self.process.stdout.close()
