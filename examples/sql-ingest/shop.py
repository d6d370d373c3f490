"""Make a small database of a shop: shop.py FILE [EXTRA]. EXTRA: how many orders came since."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

ROWS = [
    (1, "2026-01-02", "lamp", 19.5, "left at the door"),
    (2, "2026-01-02", 'chair, "high"', 80.25, ""),
    (3, "2026-01-03", "table", 240.0, None),
]


def main() -> None:
    """Write it."""
    file = Path(sys.argv[1])
    file.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(file) as shop:
        shop.execute(
            "create table if not exists orders (id integer primary key, day date, what text, price real, note text)"
        )
        shop.executemany("insert or ignore into orders values (?, ?, ?, ?, ?)", ROWS)
        extra = int(sys.argv[2]) if len(sys.argv) > 2 else 0
        more = [(100 + at, "2026-01-04", "cup", 4.5, None) for at in range(extra)]
        shop.executemany("insert or ignore into orders values (?, ?, ?, ?, ?)", more)
    shop.close()


if __name__ == "__main__":
    main()
