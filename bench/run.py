"""`make bench`: measure rows one after another; each is kept in bench/results.json and RESULTS.md once it is done.

ROW=name,pps picks rows by name or group (pfs, pps, start), in that order; ROW=rest those without good figures of this
commit, so that a run can be gone on with. RUNS=5: how often each is measured, instead of its own number. SCALE=0.01
makes everything smaller, for a quick try, and then nothing is kept. MINUTES=25: no row is begun that would not be done
by then, as far as is known. FOLDER: where the work is done (default: a new folder beside the checkout's bench/).
A row that fails is kept as failed, with its reason, and the next one begins.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import machine
from kept import Kept, Record
from measure import Bench, Row, last_line
from peers import Peers
from report import page, table
from rows import ROWS
from rows.trees import CURVES, SIZES
from trunkline.testing.serving import lend_shims
from trunkline.worker.shim.program import NoShim, program
from trunkline.worker.shim.program import kept as kept_shim

HERE = Path(__file__).resolve().parent


def chosen(rows: Sequence[Row], wanted: str, kept: Kept, commit: str) -> list[Row]:
    """The rows that `wanted` names; all if it is empty. Ends the program if there is no such row."""
    picked: dict[str, Row] = {}
    for word in wanted.replace(",", " ").split() or [""]:
        if word == "rest":
            found = [row for row in rows if not _good(kept.records.get(row.name), commit)]
        else:
            found = [row for row in rows if word in (row.name, row.group, "")]
            if not found:
                sys.exit(f"no row {word}; there are {', '.join(row.name for row in rows)}")
        picked |= {row.name: row for row in found}
    return list(picked.values())


def _good(record: Record | None, commit: str) -> bool:
    return record is not None and not record.failed and record.commit == commit


def measure(row: Row, bench: Bench, commit: str) -> Record:
    """Do the work of a row. Whatever goes wrong is the record's reason."""
    others, start, failed = machine.others_cores(), time.perf_counter(), ""
    bench.folder.mkdir(parents=True, exist_ok=True)
    files_on = machine.files_on(bench.folder)
    try:
        row.work(bench)
    except subprocess.CalledProcessError as error:
        failed = f"{' '.join(map(str, error.cmd))[:100]}: {last_line(error)}"
    except Exception as error:  # the other rows do not depend on it
        failed = f"{type(error).__name__}: {error}"[:400]
    took_s = time.perf_counter() - start
    shutil.rmtree(bench.folder, ignore_errors=True)
    others = max(others, machine.others_cores())
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    return Record(commit, date, bench.scale, bench.runs, took_s, others, bench.figures, bench.absent, failed, files_on)


def expected_s(row: Row, runs: int, kept: Kept) -> float:
    """How long a row will take, going by the last time; 0: nobody knows."""
    record = kept.records.get(row.name)
    return record.took_s * runs / record.runs if record and record.runs else 0.0


def draw(peers: Peers) -> None:
    """Draw the curves anew, if there is something to draw them with."""
    if peers.has("module:matplotlib"):
        sizes = [f"{row}={count}" for row, count in SIZES.items()]
        words = [HERE / "plot.py", HERE / "results.json", HERE / "curves.svg", *sizes, "--", *CURVES]
        subprocess.run([peers.folder / "bin/python", *words], check=False)


def main() -> None:
    """Measure, print, keep."""
    scale, end_s = float(os.environ.get("SCALE") or 1), float(os.environ.get("MINUTES") or 1e6) * 60
    folder = Path(os.environ.get("FOLDER") or HERE / "scratch")
    kept, commit, began = Kept.at(HERE / "results.json"), machine.commit(), time.perf_counter()
    peers = Peers(HERE.parent / ".venv-peers", folder / "home")
    peers.make()
    with suppress(NoShim):
        program()
    shims = kept_shim("any").parent
    rows = chosen(ROWS, os.environ.get("ROW", ""), kept, commit)
    for row in rows:
        runs = int(os.environ.get("RUNS") or row.runs)
        expected, so_far = expected_s(row, runs, kept) * scale, time.perf_counter() - began
        if so_far + expected > end_s:
            print(f"{row.name} is left out: it takes about {expected:.0f} s", flush=True)
            continue
        print(f"[{so_far:.0f} s] {row.name}, runs: {runs}, expected: {expected:.0f} s ...", flush=True)
        lend_shims(shims, peers.home / ".cache")
        os.environ["XDG_CACHE_HOME"] = str(peers.home / ".cache")  # where pachctl remembers what it has put
        record = measure(row, Bench(folder, runs, scale, peers), commit)
        print(f"   took {record.took_s:.0f} s{'; failed: ' + record.failed if record.failed else ''}", flush=True)
        print("\n".join("   " + line for line in table([row], {row.name: record})[2:]), flush=True)
        if scale == 1:
            kept.facts = machine.facts()
            kept.keep(row.name, record)
            draw(peers)
            (HERE / "RESULTS.md").write_text(page(ROWS, kept, HERE / "NOTES.md"))
    if scale != 1:
        print(f"\nAt scale {scale:g}; goals are for scale 1, and nothing is kept.")


if __name__ == "__main__":
    main()
