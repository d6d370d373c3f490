"""Writes tables of houses and what they were sold for: made up, but the same on every machine."""

from __future__ import annotations

import random
import sys
from pathlib import Path

ROWS = 60


def main(folder: Path) -> None:
    """Write three tables: rooms, square metres, price in thousands."""
    folder.mkdir(exist_ok=True)
    chance = random.Random(3)
    for name in ("north", "south", "west"):
        with (folder / f"{name}.csv").open("w") as table:
            for _ in range(ROWS):
                rooms, metres = chance.randint(1, 7), chance.randint(30, 220)
                price = 20 * rooms + 3 * metres + 50 + chance.uniform(-20, 20)
                table.write(f"{rooms},{metres},{price:.1f}\n")


main(Path(sys.argv[1]))
