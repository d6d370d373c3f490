"""What SQLite itself finds wrong with the catalog's file."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.catalog.engine.tx import Tx

MOST = 20
"""How many things wrong are named."""


def damages(tx: Tx, *, thorough: bool = False) -> Iterator[str]:
    """A sentence for each. thorough: also whether each index has what its table has, which takes several times longer.

    A flipped bit in what a row says, and not in how pages hang together, is not found by this.
    """
    if tx.on_server:
        return  # it checks what it reads, where it was told to (data checksums), and has tools of its own
    how = "integrity_check" if thorough else "quick_check"
    for line in tx.execute(f"PRAGMA {how}({MOST})").scalars():
        if line != "ok":
            yield f"I-11: the catalog's file is damaged ({line}); restore it from a backup"
