"""A plane through the prices of each table, by least squares: price = a * rooms + b * metres + c."""

from __future__ import annotations

import json
from pathlib import Path


def solved(rows: list[list[float]]) -> list[float]:
    """The unknowns of a small system of equations, each row its factors and its right side."""
    size = len(rows)
    for place in range(size):
        best = max(range(place, size), key=lambda one: abs(rows[one][place]))
        rows[place], rows[best] = rows[best], rows[place]
        for other in range(size):
            if other != place:
                factor = rows[other][place] / rows[place][place]
                rows[other] = [a - factor * b for a, b in zip(rows[other], rows[place], strict=True)]
    return [rows[place][size] / rows[place][place] for place in range(size)]


for path in Path("/pfs/housing").iterdir():
    table = [[float(cell) for cell in line.split(",")] for line in path.read_text().split()]
    known = [[rooms, metres, 1.0] for rooms, metres, _ in table]
    prices = [row[2] for row in table]
    sums = [
        [sum(one[i] * one[j] for one in known) for j in range(3)]
        + [sum(one[i] * price for one, price in zip(known, prices, strict=True))]
        for i in range(3)
    ]
    a, b, c = solved(sums)
    found = {"room": round(a, 1), "square metre": round(b, 1), "ground": round(c)}
    Path("/pfs/out", f"{path.stem}.json").write_text(json.dumps(found) + "\n")
    print(f"{path.stem}: {len(table)} sales")
