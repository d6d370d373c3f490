"""A cluster of a thousand workers that only pretend, on virtual time: what the server itself has to do for them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from measure import Bench, Line, Row

PROGRAM = Path(__file__).resolve().parent.parent / "workers.py"
WORKERS = 1000
DATUMS_EACH = 4


def thousand_workers(bench: Bench) -> None:
    """One job, all workers at once; each datum is reported by itself, and each lease renewed each second."""
    count = bench.sized(WORKERS, least=10)
    for _ in range(bench.runs):
        folder = bench.scratch("cluster")
        words = [sys.executable, str(PROGRAM), str(folder), str(count), str(DATUMS_EACH * count)]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        told = json.loads(done.stdout.splitlines()[-1])
        bench.note("decisions a CPU second", told["decisions"] / told["cpu_s"], "/s")
        bench.note("cores, by virtual time", told["cpu_s"] / told["virtual_s"], "cores")
        bench.note("memory of the process", told["peak_bytes"], "B")
        shutil.rmtree(folder)


ROWS = (
    Row(
        "workers-1k",
        "pps",
        thousand_workers,
        (
            Line(f"{WORKERS:,} workers, simulated", "decisions a CPU second", ("cores, by virtual time",)),
            Line(f"{WORKERS:,} workers, simulated", "memory of the process"),
        ),
        runs=1,
    ),
)
