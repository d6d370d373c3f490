"""Measures flowers of three kinds: made up, but the same on every machine."""

from __future__ import annotations

import random
import sys
from pathlib import Path

KINDS = {"daisy": (2.0, 8.0), "tulip": (6.0, 4.0), "poppy": (5.0, 9.0)}
"""Length of a leaf and of a petal in centimetres."""
EACH = 40


def main(folder: Path) -> None:
    """Write flowers.csv, and two flowers of unknown kinds."""
    folder.mkdir(exist_ok=True)
    chance = random.Random(7)
    rows = [
        f"{leaf + chance.uniform(-2, 2):.2f},{petal + chance.uniform(-2, 2):.2f},{kind}"
        for kind, (leaf, petal) in KINDS.items()
        for _ in range(EACH)
    ]
    chance.shuffle(rows)
    (folder / "flowers.csv").write_text("\n".join(rows) + "\n")
    (folder / "first.csv").write_text("2.2,7.5\n")
    (folder / "second.csv").write_text("6.1,3.8\n")


main(Path(sys.argv[1]))
