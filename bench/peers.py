"""The tools that stand beside ours: an environment of their own, and where each of them is."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import venv
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIST = HERE / "peers.txt"
TRIES = 3


def wanted(text: str) -> list[str]:
    """The packages that a list such as peers.txt names."""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


@dataclass
class Peers:
    """Programs of `folder`, a virtual environment, and of the machine. home: their settings, nobody's own."""

    folder: Path
    home: Path
    reasons: dict[str, str] = field(default_factory=dict)
    """Why a package is not there, by its name."""

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which a peer's command runs: it finds the peers first, and no settings of whoever measures."""
        git = {f"GIT_{who}_NAME": "bench" for who in ("AUTHOR", "COMMITTER")}
        git |= {f"GIT_{who}_EMAIL": "bench@localhost" for who in ("AUTHOR", "COMMITTER")}
        own = {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "XDG_CACHE_HOME": str(self.home / ".cache"),
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(self.home / "dvc"),
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
        }
        return os.environ | git | own

    def has(self, what: str) -> bool:
        """Whether there is a program of this name, or for `module:NAME` a Python package in the environment."""
        kind, _, name = what.rpartition(":")
        if kind == "module":
            return any(self.folder.glob(f"lib/python*/site-packages/{name}"))
        return shutil.which(name, path=self.environment["PATH"]) is not None

    def make(self) -> None:
        """Make the environment, once for each state of the list. What cannot be installed is left out, with why."""
        stamp = self.folder / ".made"
        if stamp.exists() and stamp.read_text() == LIST.read_text():
            return
        print(f"Making {self.folder.name}, with what stands beside us (once; some minutes).", flush=True)
        if not (self.folder / "bin/python").exists():
            venv.create(self.folder, with_pip=True)
        for package in wanted(LIST.read_text()):
            reason = self._install(package)
            if reason:
                self.reasons[package] = reason
                print(f"   {package} is not here: {reason}", flush=True)
        stamp.write_text(LIST.read_text())

    def _install(self, package: str) -> str:
        """Install one package; why it cannot be, or nothing. Registries have bad moments: three tries."""
        command = [
            str(self.folder / "bin/python"),
            "-m",
            "pip",
            "install",
            "-qq",
            "--disable-pip-version-check",
            package,
        ]
        said = ""
        for attempt in range(TRIES):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return ""
            said = next((line for line in done.stderr.splitlines() if line.lstrip().lower().startswith("error")), "")
            if "subprocess" in said:
                return "it cannot be built on this machine"
            time.sleep(2 * attempt)
        return said or "pip could not install it"
