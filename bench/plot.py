"""Draws curves.svg from results.json: seconds by number of files, from the rows of trees. Run by `run.py` with the
Python of the peers' environment, which has matplotlib; it needs nothing of ours.

    python bench/plot.py RESULTS.json CURVES.svg ROW=FILES... -- FIGURE...
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

Rows = dict[str, dict[str, dict[str, dict[str, list[float]]]]]
"""Of results.json: by row, `figures`, name of the figure, `values`."""


def curves(rows: Rows, sizes: dict[str, int], names: list[str]) -> dict[str, list[tuple[int, float]]]:
    """For each figure, its medians by number of files; figures that were never measured are left out."""
    found: dict[str, list[tuple[int, float]]] = {}
    for name in names:
        points = [
            (size, statistics.median(rows[row]["figures"][name]["values"]))
            for row, size in sorted(sizes.items(), key=lambda pair: pair[1])
            if name in rows.get(row, {}).get("figures", {})
        ]
        if points:
            found[name] = points
    return found


def draw(lines: dict[str, list[tuple[int, float]]], target: Path) -> None:
    """Both axes go by powers of ten: a straight line that climbs one square a square is work in proportion."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    # No dates, no random ids and text as text: the same figures give the same file.
    mpl.rcParams.update({"svg.hashsalt": "trunkline", "svg.fonttype": "none"})
    figure, axes = pyplot.subplots(figsize=(8, 5))
    for name, points in lines.items():
        axes.plot([size for size, _ in points], [seconds for _, seconds in points], marker="o", label=name)
    axes.set(xscale="log", yscale="log", xlabel="files in the commit", ylabel="seconds")
    axes.grid(which="major", alpha=0.3)
    axes.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None})


def main(words: list[str]) -> None:
    """The command line."""
    source, target, *rest = words
    at = rest.index("--")
    sizes = {row: int(size) for row, size in (word.split("=") for word in rest[:at])}
    lines = curves(json.loads(Path(source).read_text())["rows"], sizes, rest[at + 1 :])
    if lines:
        draw(lines, Path(target))


if __name__ == "__main__":
    main(sys.argv[1:])
