"""A pachd of one's own: a real process on a free port, with its own data and client settings, ended for certain.

The demo, the benchmarks and the tests of whole programs start their servers with it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from trunkline.ambient import Ambient, RealAmbient
from trunkline.worker.shim.program import kept as kept_shim

START_S = 30
STOP_S = 10
LOOK_EVERY_S = 0.02
SERVING = re.compile(r"^pachd is serving on (\S+)\n", re.M)  # the whole line, for it may be half written yet


class NotServing(Exception):
    """pachd did not start, or ended early; the message holds its last words."""


def lend_shims(shims: Path, cache: Path) -> None:
    """The programs that start code in containers are the machine's, which has compiled them once. shims: the folder
    that has them. cache: another cache folder, which gets links to them."""
    lent = cache / shims.name
    lent.mkdir(parents=True, exist_ok=True)
    for shim in shims.glob("shim-*"):
        with contextlib.suppress(FileExistsError):
            (lent / shim.name).symlink_to(shim)


class PachdProcess:
    """One pachd whose data, log, pid and client settings lie in `folder`. As a context it starts and ends it.

    flags: more of pachd's command line. programs: where pachd and pachctl lie; default: beside this Python.
    tls: files with a certificate, for 127.0.0.1 and signed by itself, and its key.
    """

    def __init__(
        self,
        folder: Path,
        flags: Sequence[str] = (),
        programs: Path | None = None,
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        self.folder = folder
        self.data = folder / "pachd"
        self.log = folder / "pachd.log"
        self.address = ""
        """HOST:PORT, once it serves."""
        self._tls = tls
        self._flags = (*flags, "--tls-cert", str(tls[0]), "--tls-key", str(tls[1])) if tls else tuple(flags)
        self._programs = programs or Path(sys.executable).parent
        self._config = folder / "client.json"
        self._pid_file = folder / "pachd.pid"
        self._process: subprocess.Popen[bytes] | None = None
        self._ambient: Ambient = RealAmbient()

    def __enter__(self) -> PachdProcess:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The number of its process. Raises NotServing if it was never started."""
        if self._process is None:
            raise NotServing("pachd was not started")
        return self._process.pid

    @property
    def client_env(self) -> dict[str, str]:
        """The environment in which pachctl talks to this server and to nothing else, with a cache of its own."""
        return _plain_environment() | {"PACH_CONFIG": str(self._config), "XDG_CACHE_HOME": str(self.folder / "cache")}

    @property
    def how_to_use(self) -> str:
        """What a person types to work with it, and to end it."""
        return (
            f"  export PACH_CONFIG='{self._config}'\n  '{self.program('pachctl')}' list job\n"
            f"  kill {self.pid}      # ends it"
        )

    def program(self, name: str) -> str:
        """Path of `pachd` or `pachctl`."""
        return str(self._programs / name)

    def start(self, fresh: bool = True) -> None:
        """Start, and come back when it serves. fresh: throw away former data first. Raises NotServing."""
        self._end_former()
        if fresh:
            shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [self.program("pachd"), "--data", str(self.data), "--listen", "127.0.0.1:0", *self._flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_plain_environment(),
                start_new_session=True,  # Ctrl-C in a terminal is for whoever started us; that one ends pachd
            )
        self._pid_file.write_text(str(self._process.pid))
        for _ in range(int(START_S / LOOK_EVERY_S)):
            said = SERVING.search(self.log.read_text(errors="replace"))
            if said:
                self.address = said[1]
                self._write_client_settings()
                lend_shims(kept_shim("any").parent, self.folder / "cache")
                return
            self.must_live()
            self.pause(LOOK_EVERY_S)
        raise NotServing(f"pachd did not serve within {START_S} s:\n{self.last_words()}")

    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def must_live(self) -> None:
        """Raise NotServing if it has ended."""
        if self._process is None or self._process.poll() is not None:
            status = "was never started" if self._process is None else f"ended, status {self._process.returncode}"
            raise NotServing(f"pachd {status}:\n{self.last_words() if self.log.exists() else ''}")

    def pause(self, seconds: float) -> None:
        """Wait between two looks at it."""
        self._ambient.sleep(seconds)

    def last_words(self) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])

    def pachctl(self, *words: str, stdin: bytes = b"") -> str:
        """Run one client command and return what it printed. Raises subprocess.CalledProcessError."""
        line = [self.program("pachctl"), *words]
        try:
            done = subprocess.run(line, env=self.client_env, input=stdin, capture_output=True, check=True)
        except subprocess.CalledProcessError as error:
            error.add_note(error.stderr.decode(errors="replace"))
            raise
        return done.stdout.decode()

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
        self.kill()

    def kill(self) -> None:
        """SIGKILL, for it and every process that shares its session."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._pid_file.unlink(missing_ok=True)

    def family(self) -> Iterator[int]:
        """The numbers of its process and of all that descend from it."""
        waiting = [self.pid]
        while waiting:
            pid = waiting.pop()
            yield pid
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    waiting.extend(map(int, task.read_text().split()))

    def peak_bytes(self) -> dict[int, int]:
        """The most memory that each process of the family held at once so far (VmHWM), by its number."""
        peaks: dict[int, int] = {}
        for pid in self.family():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith("VmHWM:"):
                        peaks[pid] = int(line.split()[1]) * 1024
        return peaks

    def _write_client_settings(self) -> None:
        context = {"source": "USER", "pachd_address": f"grpc://{self.address}"}
        if self._tls is not None:
            context["pachd_address"] = f"grpcs://{self.address}"
            context["server_cas"] = base64.b64encode(self._tls[0].read_bytes()).decode()
        settings = {"v2": {"active_context": "own", "contexts": {"own": context}}}
        self._config.write_text(json.dumps(settings, indent=2) + "\n")

    def _end_former(self) -> None:
        """End a server that somebody left running on this data (the demo's KEEP=1)."""
        try:
            pid = int(self._pid_file.read_text())
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return
        if str(self.data).encode() not in words:
            return  # the number belongs to somebody else by now
        os.kill(pid, signal.SIGTERM)
        for _ in range(int(STOP_S / LOOK_EVERY_S)):
            if not Path(f"/proc/{pid}").exists():
                return
            self.pause(LOOK_EVERY_S)


def _plain_environment() -> dict[str, str]:
    """Ours, without settings of another server, and without the word that has Python compile us at every start."""
    ours = ("PACH", "TRUNKLINE_", "PYTHONDONTWRITEBYTECODE")
    # Only tests of containers want those: what else runs here has nothing to do with the rest.
    plain = {"TRUNKLINE_CONTAINERS": "off"}
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | plain


def documents(text: str) -> Iterator[dict[str, Any]]:
    """The JSON documents that stand one after another in `text`, which is how `pachctl ... --raw` prints a list."""
    decoder = json.JSONDecoder()
    rest = text.strip()
    while rest:
        document, end = decoder.raw_decode(rest)
        yield from document if isinstance(document, list) else [document]
        rest = rest[end:].lstrip()
