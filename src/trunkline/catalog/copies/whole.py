"""All rows between a database of a server and a file: a file is the form in which catalogs are backed up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Table, delete, insert

from trunkline.catalog.collection import sessions
from trunkline.catalog.copies import numbers
from trunkline.catalog.copies.empty import find_anything
from trunkline.catalog.engine.sqlite import Settings, make_engine, open_writer, raw_of
from trunkline.catalog.engine.tx import Tx
from trunkline.catalog.migrate import bring_up_to_date
from trunkline.catalog.tables import metadata

PAGE = 500
STAYS = ("schema_version", "leader", "together")
"""Tables that belong to a database and not to what is in it."""


def load(tx: Tx, path: Path, default_project: str) -> bool:
    """Put all rows of a file in the place of those of an empty catalog. False: it is not empty, so nothing was done.

    The file is brought up to date first. It takes as long as there are rows, and all others wait.
    """
    if find_anything(tx, default_project):
        return False
    settings = Settings(path, "OFF")
    connection = open_writer(make_engine(settings), settings)
    try:
        bring_up_to_date(connection, str(path))
        tables = [table for table in metadata.sorted_tables if table.name not in STAYS]
        for table in reversed(tables):
            tx.execute(delete(table))
        for table in tables:
            for rows in _pages(raw_of(connection), table):
                tx.execute(insert(table), rows)
        for table in tables:
            for column in table.columns:
                if column is table.autoincrement_column:
                    numbers.passed(tx, column, _given(raw_of(connection), table.name))
    finally:
        connection.close()
    sessions.end_all(tx)
    return True


def _pages(raw: Any, table: Table) -> Iterator[list[dict[str, Any]]]:
    names = [column.name for column in table.columns]
    flags = [column.name for column in table.columns if column.type.python_type is bool]
    cursor = raw.execute(f"SELECT {_listed(names)} FROM {table.name}{_order(table)}")
    while found := cursor.fetchmany(PAGE):
        rows = [dict(zip(names, row, strict=True)) for row in found]
        for row in rows:
            row.update((name, bool(row[name])) for name in flags if row[name] is not None)
        yield rows


def _order(table: Table) -> str:
    """A row that refers to another of its table comes after that."""
    itself = any(key.column.table is table for key in table.foreign_keys)
    return f" ORDER BY {_listed([column.name for column in table.primary_key])}" if itself else ""


def _given(raw: Any, name: str) -> int:
    found = raw.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (name,)).fetchone()
    return int(found[0]) if found else 0


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def copy_into(path: Path, raw: Any) -> None:
    """Write a file with all rows that a connection to a server sees at one instant. The file must not be there.

    raw: the driver's connection. Raises what the drivers raise.
    """
    settings = Settings(path, "OFF")
    connection = open_writer(make_engine(settings), settings)
    file = raw_of(connection)
    try:
        file.execute("PRAGMA foreign_keys = OFF")
        file.execute("BEGIN IMMEDIATE")
        metadata.create_all(connection, checkfirst=False)
        raw.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        for table in metadata.sorted_tables:
            if table.name not in STAYS or table.name == "schema_version":
                _copy_table(raw, file, table)
        raw.execute("ROLLBACK")
        file.execute("COMMIT")
        # A copy is one file, without a log beside it.
        file.execute("PRAGMA journal_mode = DELETE")
    finally:
        connection.close()


def _copy_table(raw: Any, file: Any, table: Table) -> None:
    names = [column.name for column in table.columns]
    given = f"INSERT INTO {table.name} ({_listed(names)}) VALUES ({', '.join('?' * len(names))})"
    with raw.cursor(name="copied") as cursor:
        cursor.execute(f"SELECT {_listed(names)} FROM {table.name}")
        while rows := cursor.fetchmany(PAGE):
            file.executemany(given, rows)
    column = table.autoincrement_column
    if column is not None:
        last, called = raw.execute(f"SELECT last_value, is_called FROM {table.name}_{column.name}_seq").fetchone()
        file.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table.name,))
        file.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (table.name, last if called else 0))
