"""The numbers that rows get by themselves, where some are given by hand: each is given once, ever.

SQLite keeps them in a table and looks at the rows too; PostgreSQL counts in a sequence, which knows nothing of rows.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Integer, String, column, func, insert, select, table, update

from trunkline.catalog.engine.tx import Tx

_SQLITE = table("sqlite_sequence", column("name", String), column("seq", Integer))


def reserve(tx: Tx, numbered: Column[Any], count: int) -> int:
    """Take `count` numbers of a column, that no row ever gets by itself: those after the one that this answers."""
    if tx.on_server:
        before = _given(tx, numbered)
        tx.execute(select(func.setval(_sequence(numbered), before + count)))
        return before
    mine = _SQLITE.c.name == numbered.table.name
    found = tx.execute(select(_SQLITE.c.seq).where(mine)).first()
    if found is None:
        tx.execute(insert(_SQLITE).values(name=numbered.table.name, seq=count))
        return 0
    tx.execute(update(_SQLITE).where(mine).values(seq=found[0] + count))
    return int(found[0])


def passed(tx: Tx, numbered: Column[Any], number: int) -> None:
    """A row was written with this number: later ones get higher ones."""
    if tx.on_server and _given(tx, numbered) < number:
        tx.execute(select(func.setval(_sequence(numbered), number)))


def _given(tx: Tx, numbered: Column[Any]) -> int:
    sequence = table(_sequence(numbered), column("last_value"), column("is_called"))
    row = tx.execute(select(sequence)).one()
    return int(row.last_value) if row.is_called else 0


def _sequence(numbered: Column[Any]) -> str:
    return f"{numbered.table.name}_{numbered.name}_seq"
