"""A container engine of one's own, to be killed at will; as root."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from trunkline.ambient import RealAmbient
from trunkline.errors import TrunklineError
from trunkline.worker.containers.engine import Engine

HERE = Path(__file__).parent
DATA_BYTES = 150 << 20
"""Of its disk: soon full."""


class OwnEngine:
    """`program`: dockerd or podman. It is started again when it is killed."""

    def __init__(self, folder: Path, program: str) -> None:
        self.program = program
        self.socket = folder / f"{program.removesuffix('d')}.sock"
        self.engine = Engine(f"unix://{self.socket}")

    def kill(self) -> None:
        """SIGKILL, if it runs."""
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_text(errors="replace").split("\0")
                if Path(words[0]).name == self.program and f"unix://{self.socket}" in words:
                    os.kill(int(path.parent.name), signal.SIGKILL)

    def wait(self) -> None:
        """Until it answers."""
        ambient, error = RealAmbient(), None
        for _ in range(600):
            try:
                self.engine.name()
                return
            except TrunklineError as refused:
                error = refused
                ambient.sleep(0.1)
        raise AssertionError(error)


@contextmanager
def own_engine(program: str = "dockerd") -> Iterator[OwnEngine]:
    """Started, and at the end gone with all that it held."""
    if os.getuid() != 0 or shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None:
        pytest.skip(f"{program} is started by root, where it is installed")
    with tempfile.TemporaryDirectory(prefix="trunkline-own-", dir="/var/tmp", ignore_cleanup_errors=True) as folder:
        env = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin", "DATA_BYTES": str(DATA_BYTES)}
        with (Path(folder) / "starter.log").open("wb") as log:
            running = subprocess.Popen(
                [HERE / f"{program}.sh", folder],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            own = OwnEngine(Path(folder), program)
            own.wait()
            yield own
        finally:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
