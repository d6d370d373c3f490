"""The demo's own pachd: on a free port, with data and client settings of its own, ended for certain."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

START_S = 30
STOP_S = 10


class NotServing(Exception):
    """pachd did not start, or ended early; the message holds its last words."""


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class DemoServer:
    """One pachd below `folder`. `programs`: where pachd and pachctl lie."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.data = folder / "pachd"
        self.address = f"127.0.0.1:{free_port()}"
        self._programs = programs
        self._log = folder / "pachd.log"
        self._config = folder / "client.json"
        self._pid_file = folder / "pachd.pid"
        self._process: subprocess.Popen[bytes] | None = None
        self.client_env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PACH_", "PACHD_"))},
            "PACH_CONFIG": str(self._config),
        }

    @property
    def where_to_look(self) -> str:
        """A hint for when something went wrong."""
        return f"pachd's own log: {self._log}"

    @property
    def how_to_use(self) -> str:
        """What to type when the server is left running."""
        return (
            f"  export PACH_CONFIG='{self._config}'\n  '{self.program('pachctl')}' list job\n"
            f"  kill {self._pid_file.read_text()}      # ends it"
        )

    def program(self, name: str) -> str:
        """Path of one of our two programs."""
        return str(self._programs / name)

    def start(self) -> None:
        """Start on empty data and wait until it serves. Raises NotServing."""
        self._end_former()
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(parents=True)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [self.program("pachd"), "--data", str(self.data), "--listen", self.address],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={name: value for name, value in os.environ.items() if not name.startswith("PACHD_")},
                start_new_session=True,  # Ctrl-C in the terminal is for the demo, which then ends pachd itself
            )
        self._pid_file.write_text(str(self._process.pid))
        for _ in range(START_S * 20):
            if "pachd is serving on" in self._log.read_text(errors="replace"):
                break
            self.must_live()
            time.sleep(0.05)
        else:
            raise NotServing(f"pachd did not serve within {START_S} s:\n{self._last_words()}")
        context = {"source": "USER", "pachd_address": f"grpc://{self.address}"}
        settings = {"v2": {"active_context": "demo", "contexts": {"demo": context}}}
        self._config.write_text(json.dumps(settings, indent=2) + "\n")

    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def must_live(self) -> None:
        """Raise NotServing if it has ended."""
        if not self.running():
            raise NotServing(f"pachd has ended:\n{self._last_words()}")

    def pause(self, seconds: float) -> None:
        """Wait between two looks at the server."""
        time.sleep(seconds)

    def stop(self) -> None:
        """End it and whatever it started; first politely, then for certain."""
        if self._process is None:
            return
        if self.running():
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # its session, should it have left anything there
        self._pid_file.unlink(missing_ok=True)

    def _end_former(self) -> None:
        """End a server that an earlier demo left running on this data (KEEP=1)."""
        try:
            pid = int(self._pid_file.read_text())
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return
        if str(self.data).encode() not in words:
            return  # the number belongs to somebody else by now
        os.kill(pid, signal.SIGTERM)
        for _ in range(STOP_S * 20):
            if not Path(f"/proc/{pid}").exists():
                return
            time.sleep(0.05)

    def _last_words(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-12:])
