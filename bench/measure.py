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

from trunkline.testing.serving import PachdProcess


@dataclass
class Bench:
    """Where a row works and at what size. scale: 1 is the size that the row is named for."""

    folder: Path
    runs: int
    scale: float
    figures: dict[str, list[float]] = field(default_factory=dict)
    """Seconds, or bytes for names that start with `memory`, by what was measured; one a run."""

    def sized(self, full: int) -> int:
        """`full`, scaled; at least 1."""
        return max(1, int(full * self.scale))

    def note(self, name: str, value: float) -> None:
        """One more figure under `name`."""
        self.figures.setdefault(name, []).append(value)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Note how many seconds the block takes. What earlier work left to write is written first."""
        os.sync()
        start = time.perf_counter()
        yield
        self.note(name, time.perf_counter() - start)

    @contextmanager
    def server(self, *flags: str) -> Iterator[PachdProcess]:
        """A fresh pachd; afterwards its peak memory is noted and its data thrown away."""
        server = PachdProcess(self.folder / "server", flags)
        server.folder.mkdir(parents=True, exist_ok=True)
        with server:
            yield server
            peaks = server.peak_bytes()
            self.note("memory of pachd", peaks[server.pid])
            others = [peak for pid, peak in peaks.items() if pid != server.pid]
            if others:
                self.note("memory of the largest worker process", max(others))
        shutil.rmtree(server.folder)

    def scratch(self, name: str) -> Path:
        """An empty folder."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder


@dataclass(frozen=True)
class Row:
    """One thing that is measured. ours and peers: names of figures; bound: the goal, as a factor of the first peer
    (0: none) plus seconds."""

    name: str
    title: str
    run: Callable[[Bench], None]
    ours: str
    peers: tuple[str, ...] = ()
    factor: float = 0.0
    plus_s: float = 0.0
    goal: str = ""


def shell(command: str, cwd: Path) -> None:
    """Run a peer's command. Raises subprocess.CalledProcessError with what it said."""
    subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=cwd, check=True, capture_output=True)


def spread(values: list[float]) -> tuple[float, float, float]:
    """Median, smallest and largest."""
    return statistics.median(values), min(values), max(values)
