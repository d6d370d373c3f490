"""Brings the tables in a database of a PostgreSQL server to what this release expects.

Texts are compared byte by byte, as SQLite does, whatever language the database speaks.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable

from trunkline.catalog import migrate
from trunkline.catalog.tables import metadata
from trunkline.errors import FailedPrecondition

_TEXT = re.compile(r"^(\S+ (?:VARCHAR\(\d+\)|TEXT))")
_ONE_AT_A_TIME = 0x54524E4B
"""Of the lock under which tables are made or changed."""


@compiles(CreateColumn, "postgresql")
def _bytewise(element: Any, compiler: Any, **more: Any) -> str:
    return _TEXT.sub(r'\1 COLLATE "C"', compiler.visit_create_column(element, **more))


def bring_up_to_date(connection: Connection, name: str) -> int:
    """Make or migrate the tables behind `connection`, in one transaction; others that do the same wait for it.

    name: how messages call the database. Answers the number of the newest event ever emitted.
    Raises FailedPrecondition when a newer release has written the database.
    """
    raw: Any = connection.connection.dbapi_connection
    raw.execute("BEGIN")
    try:
        raw.execute(f"SELECT pg_advisory_xact_lock({_ONE_AT_A_TIME})")
        version = _version(raw)
        migrate.refuse_newer(version, name)
        if version == 0:
            raw.execute(_script(connection.dialect), prepare=False)
            migrate.first_rows(connection)
        elif version < migrate.NEWEST:
            from trunkline.catalog.migrate.run import upgrade

            upgrade(connection, version, migrate.NEWEST)
        newest = raw.execute(
            "SELECT greatest(coalesce((SELECT max(seq) FROM events), 0),"
            " coalesce((SELECT max(position) FROM cursors), 0))"
        ).fetchone()[0]
        raw.execute("COMMIT")
    except BaseException:
        if not raw.closed:
            raw.execute("ROLLBACK")
        raise
    return int(newest)


@cache
def _script(dialect: Dialect) -> str:
    """The statements that make all tables, in one string: one by one they take half a second."""
    return ";\n".join(statements(dialect))


def statements(dialect: Dialect) -> list[str]:
    """The statements that make all tables and indexes in an empty database."""
    found: list[str] = []
    for table in metadata.sorted_tables:
        found.append(str(CreateTable(table).compile(dialect=dialect)))
        for index in sorted(table.indexes, key=lambda one: str(one.name)):
            found.append(str(CreateIndex(index).compile(dialect=dialect)))
    return found


def _version(raw: Any) -> int:
    """Number of the last migration, 0 for a database without our tables. Raises FailedPrecondition for others'."""
    if raw.execute("SELECT current_schema()").fetchone()[0] is None:
        raise FailedPrecondition("the database has no schema to make tables in; check the search_path of its user")
    if raw.execute("SELECT to_regclass('schema_version')").fetchone()[0] is None:
        return 0
    return int(raw.execute("SELECT version FROM schema_version").fetchone()[0])
