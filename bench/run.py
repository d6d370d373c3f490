"""`make bench`: measure every row, print the table, keep it in bench/RESULTS.md.

ROW=name,name picks rows; RUNS=5 how often each is measured; SCALE=0.01 makes everything smaller, for a quick try, and
then nothing is kept. FOLDER is where the work is done (default: a new folder beside the checkout's bench/).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from machine import facts
from measure import Bench, Row, spread
from rows import ROWS

HERE = Path(__file__).resolve().parent
KEPT = HERE / "results.json"
REPORT = HERE / "RESULTS.md"

HEADING = """# Measured

Written by `make bench`. Figures are the median of the runs (smallest to largest); memory is the most that a process
held at once. Ours and what stands beside it were measured turn about in the same run.

"""

Figures = dict[str, list[float]]


def chosen() -> list[Row]:
    """The rows that ROW names; all if it is empty. Ends the program if there is no such row."""
    wanted = [name for name in os.environ.get("ROW", "").replace(",", " ").split() if name]
    unknown = set(wanted) - {row.name for row in ROWS}
    if unknown:
        sys.exit(f"no row {', '.join(sorted(unknown))}; there are {', '.join(row.name for row in ROWS)}")
    return [row for row in ROWS if not wanted or row.name in wanted]


def measure(rows: list[Row], runs: int, scale: float) -> dict[str, Figures]:
    """Figures by the name of each row. Rows that share their work are measured once."""
    folder = Path(os.environ.get("FOLDER") or HERE / "scratch")
    done: dict[Callable[[Bench], None], Figures] = {}
    try:
        for row in rows:
            if row.run not in done:
                print(f"{row.title}, {runs} runs ...", flush=True)
                bench = Bench(folder, runs, scale)
                start = time.perf_counter()
                row.run(bench)
                done[row.run] = bench.figures
                print(f"   took {time.perf_counter() - start:.0f} s", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {row.name: done[row.run] for row in rows}


def shown(name: str, values: list[float]) -> str:
    """Median and spread of one figure, in words."""
    unit, per = ("MiB", 1 << 20) if name.startswith("memory") else ("s", 1)
    median, low, high = (value / per for value in spread(values))
    digits = 0 if unit == "MiB" else 2 if median >= 1 else 3
    return f"{median:.{digits}f} {unit} ({low:.{digits}f} to {high:.{digits}f})"


def verdict(row: Row, figures: Figures) -> tuple[str, str]:
    """The goal in words, and how far the median is from it."""
    ours = spread(figures[row.ours])[0]
    if row.factor:
        peer = spread(figures[row.peers[0]])[0]
        bound = row.factor * peer + row.plus_s
        plus = f" + {row.plus_s:g} s" if row.plus_s else ""
        return f"{row.factor:g} × {row.peers[0]}{plus} = {bound:.2f} s", f"{ours / bound:.2f} × the goal"
    return row.goal, f"{ours / float(row.goal.split()[0]):.2f} × the goal"


def report(kept: dict[str, Figures]) -> str:
    """The table, in Markdown."""
    lines = ["| work | ours | beside | goal | how far | memory |", "|---|---|---|---|---|---|"]
    for row in ROWS:
        if row.name not in kept:
            continue
        figures = kept[row.name]
        beside = "<br>".join(f"{name}: {shown(name, figures[name])}" for name in row.peers)
        memory = "<br>".join(
            f"{name.removeprefix('memory of ')}: {shown(name, values)}"
            for name, values in figures.items()
            if name.startswith("memory")
        )
        goal, far = verdict(row, figures)
        ours = f"{row.ours}: **{shown(row.ours, figures[row.ours])}**"
        lines.append(f"| {row.title} | {ours} | {beside} | {goal} | {far} | {memory} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, keep."""
    runs, scale = int(os.environ.get("RUNS") or 5), float(os.environ.get("SCALE") or 1)
    figures = measure(chosen(), runs, scale)
    if scale != 1:
        print(f"\nAt scale {scale:g} (goals are for scale 1; nothing is kept):\n\n{report(figures)}")
        return
    head = facts(HERE)
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {"rows": {}}
    kept["facts"] = head
    kept["rows"] |= figures
    KEPT.write_text(json.dumps(kept, indent=1) + "\n")
    text = HEADING + "".join(f"* {line}\n" for line in head) + f"\n{report(kept['rows'])}\n"
    notes = HERE / "NOTES.md"
    if notes.exists():
        text += "\n" + notes.read_text()
    REPORT.write_text(text)
    print(f"\n{text}")


if __name__ == "__main__":
    main()
