"""One table becomes two: three rows of four to learn from, the fourth to test with."""

from __future__ import annotations

from pathlib import Path

rows = Path("/pfs/flowers/flowers.csv").read_text().splitlines(keepends=True)
for name, part in {
    "train.csv": [row for place, row in enumerate(rows) if place % 4],
    "test.csv": rows[::4],
}.items():
    Path("/pfs/out", name).write_text("".join(part))
