"""Scratch folders and sandboxes for tests of the worker: as who runs them and as an ordinary user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from trunkline.worker.launch import CannotBuild, Sandbox, Scratch
from trunkline.worker.runner import AgentRunner

ORDINARY = 65534
SOURCE = Path(__file__).resolve().parents[2]


def _open_to_others(path: Path) -> bool:
    """Whether any user may read what lies in `path`: root's own home, for one, is closed."""
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in (path, *path.parents))


_CLOSED = pytest.mark.skipif(not _open_to_others(SOURCE), reason="no other user may read this checkout")
WHO = ["self", pytest.param("ordinary", marks=_CLOSED)] if os.getuid() == 0 else ["self"]
ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp/home"}


@contextmanager
def place() -> Iterator[Path]:
    """A folder that any user can reach, removed at the end (pytest's own are closed to others)."""
    folder = Path(tempfile.mkdtemp(prefix="trunkline-test-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def scratch_for(who: str, folder: Path) -> Scratch:
    """A worker's folders in `folder`, belonging to `who`."""
    scratch = Scratch(folder / "scratch").make()
    if who == "ordinary":
        for path in (scratch.folder, *scratch.folder.rglob("*")):
            os.chown(path, ORDINARY, ORDINARY, follow_symlinks=False)
    return scratch


def emptied(scratch: Scratch) -> Scratch:
    """The folders without what the last test left in them."""
    for folder in (scratch.pfs, scratch.staging, scratch.tmp, scratch.tmp / "home"):
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                if path != scratch.tmp / "home":
                    shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
    return scratch


def prefix_for(who: str) -> tuple[str, ...]:
    """A command line that becomes `who` and goes on."""
    if who == "self":
        return ()
    return ("setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups")


@cache
def python_for(who: str) -> str:
    """An interpreter that `who` may execute: root's own may lie in a closed home."""
    if who == "self":
        return sys.executable
    # By way of a shell: setpriv itself still has root's rights when it executes something.
    tried = [*prefix_for(who), "sh", "-c", 'exec "$0" -c ""', sys.executable]
    probe = subprocess.run(tried, check=False, capture_output=True)
    return sys.executable if probe.returncode == 0 else "/usr/bin/python3"


def sandbox_for(who: str, **more: object) -> Sandbox:
    """A sandbox whose launcher runs as `who`."""
    return Sandbox(prefix=prefix_for(who), python=python_for(who), **more)  # type: ignore[arg-type]


class Agents:
    """Warm agents, one for each kind of housing, with emptied folders for each test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._agents: dict[tuple[str, bool, bool], AgentRunner] = {}

    def get(self, who: str, namespaces: bool = True, own_pids: bool = True) -> AgentRunner:
        """Skips where this machine refuses namespaces."""
        key = (who, namespaces, own_pids)
        runner = self._agents.get(key)
        if runner is not None and runner.alive:
            emptied(runner.scratch)
            return runner
        here = self._folder / "-".join(map(str, key))
        here.mkdir(exist_ok=True)
        here.chmod(0o711)
        scratch = emptied(scratch_for(who, here))
        sandbox = sandbox_for(who, namespaces=namespaces, own_pids=own_pids)
        try:
            self._agents[key] = AgentRunner(scratch, sandbox)
        except CannotBuild as error:
            pytest.skip(f"namespaces are refused here: {error}")
        return self._agents[key]

    def close(self) -> None:
        """End them all."""
        for runner in self._agents.values():
            runner.close()
