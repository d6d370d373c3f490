"""What a row of the table is, and how it is measured."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from peers import Peers
from trunkline.client.connection import Client, connect
from trunkline.testing.serving import PachdProcess

ROOM_BYTES = 3 * 1024**3
"""What a row leaves free on the disk."""

PEER_S = 180.0
"""How long a peer may take for one step; one that needs longer has no figure, and what comes after it is measured."""
TIMED_OUT = 124
"""The status of `timeout`."""

GROUPS = {"pfs": "Files", "pps": "Pipelines", "start": "Programs"}
UNITS = ("s", "B", "B/s", "/s", "cores", "×")


@dataclass
class Figure:
    """One thing that was measured, once a run. unit: one of `UNITS`; for those with a slash more is better."""

    unit: str
    values: list[float] = field(default_factory=list)

    def spread(self) -> tuple[float, float, float]:
        """Median, smallest and largest."""
        return statistics.median(self.values), min(self.values), max(self.values)

    @property
    def more_is_better(self) -> bool:
        """Whether it is a rate."""
        return "/" in self.unit


@dataclass
class Bench:
    """Where a row works and at what size. scale: 1 is the size that the row is named for."""

    folder: Path
    runs: int
    scale: float
    peers: Peers
    figures: dict[str, Figure] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    """Why a figure is not there, by its name."""

    def sized(self, full: int, least: int = 1) -> int:
        """`full`, scaled; at least `least`."""
        return max(least, int(full * self.scale))

    def note(self, name: str, value: float, unit: str = "s") -> None:
        """One more value of the figure `name`."""
        self.figures.setdefault(name, Figure(unit)).values.append(value)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Note how many seconds the block takes. What earlier work left to write is written first: else creating files
        takes five times as long in some runs as in others."""
        os.sync()
        start = time.perf_counter()
        yield
        self.note(name, time.perf_counter() - start)

    def beside(self, name: str, needs: str, command: str, cwd: Path, before: str = "") -> None:
        """Time a peer's command, in Bash. needs: a program, or `module:NAME` for a Python package; without it the
        figure is absent. before: what is made ready first, untimed. A peer that fails is absent with what it said."""
        if not self.peers.has(needs):
            self.absent[name] = "not on this machine"
            return
        try:
            if before:
                shell(before, cwd, self.peers.environment)
            with self.timed(name):
                shell(command, cwd, self.peers.environment, PEER_S)
        except subprocess.CalledProcessError as error:
            self.figures.pop(name, None)
            late = error.returncode == TIMED_OUT
            self.absent[name] = f"ended after {PEER_S:g} s" if late else f"failed: {last_line(error)}"

    @contextmanager
    def server(self, *flags: str) -> Iterator[PachdProcess]:
        """A fresh pachd; afterwards its data is thrown away, and its peak memory noted, if the row has not done so."""
        noted = len(self.figures["memory of pachd"].values) if "memory of pachd" in self.figures else 0
        server = PachdProcess(self.folder / "server", flags)
        server.folder.mkdir(parents=True, exist_ok=True)
        try:
            with server:
                yield server
                known = self.figures.get("memory of pachd")
                if known is None or len(known.values) == noted:
                    self.note_memory(server)
        finally:
            shutil.rmtree(server.folder, ignore_errors=True)

    @contextmanager
    def serving(self, *flags: str) -> Iterator[tuple[PachdProcess, Client]]:
        """A fresh pachd, and a client of it that stays connected."""
        with self.server(*flags) as server, connect(f"grpc://{server.address}") as client:
            yield server, client

    def note_memory(self, server: PachdProcess) -> None:
        """The most that the server and each of its workers held so far."""
        peaks = server.peak_bytes()
        self.note("memory of pachd", peaks[server.pid], "B")
        others = [peak for pid, peak in peaks.items() if pid != server.pid]
        if others:
            self.note("memory of the largest worker process", max(others), "B")

    def scratch(self, name: str) -> Path:
        """An empty folder."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def must_hold(self, size_bytes: int) -> None:
        """Raise RuntimeError if the disk has no room for so much."""
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if free < size_bytes + ROOM_BYTES:
            raise RuntimeError(f"{size_bytes >> 20} MiB are needed beside {ROOM_BYTES >> 20}, {free >> 20} are free")


@dataclass(frozen=True)
class Line:
    """One line of the table. ours and beside: names of figures. goal: in the unit of `ours`; or factor: a multiple of
    the first figure of `beside`, plus some seconds."""

    title: str
    ours: str
    beside: tuple[str, ...] = ()
    goal: float = 0.0
    factor: float = 0.0
    plus_s: float = 0.0


@dataclass(frozen=True)
class Row:
    """Work that is measured together. group: of `GROUPS`. runs: how often, unless somebody says otherwise."""

    name: str
    group: str
    work: Callable[[Bench], None]
    lines: tuple[Line, ...]
    runs: int = 5


def shell(command: str, cwd: Path, env: dict[str, str] | None = None, limit_s: float = 0) -> None:
    """Run a peer's command; for so long at most, if that is not 0. Raises subprocess.CalledProcessError with what it
    said, and status `TIMED_OUT` where it was too slow."""
    words = ["timeout", f"{limit_s}", "bash", "-euo", "pipefail", "-c", command]
    subprocess.run(words, cwd=cwd, check=True, capture_output=True, env=env)


def last_line(error: subprocess.CalledProcessError) -> str:
    """What a program said last before it failed."""
    said: bytes | str = error.stderr or error.stdout or b""
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    return (text.strip().splitlines() or [f"status {error.returncode}"])[-1][:200]
