"""Brings a catalog's tables to what this release expects, when it is opened.

The number of the last migration lies in `schema_version`. Comparing it costs one query, so alembic, which takes a
second to import, is imported only when there is something to do.
"""

from __future__ import annotations

import zlib
from typing import Any

from sqlalchemy import Connection, insert

from trunkline.catalog import tables_pfs, tables_pps  # noqa: F401  they enter themselves into `metadata`
from trunkline.catalog.lent import tables as _lent  # noqa: F401
from trunkline.catalog.purging import tables as _purging  # noqa: F401
from trunkline.catalog.shared import tables as _shared  # noqa: F401
from trunkline.catalog.tables import collector, metadata, schema_version
from trunkline.errors import DataLoss, FailedPrecondition

NEWEST = 1
"""The migration this release ends with. `trunkline.catalog.migrate.m0001` and so on are the steps."""


def bring_up_to_date(connection: Connection, name: str) -> int:
    """Make or migrate the tables behind `connection`, in one transaction.

    name: how messages call the database. Answers the number of the newest event ever emitted.
    Raises FailedPrecondition when a newer release has written the database, DataLoss when its tables are not what
    they were when they were made.
    """
    raw: Any = connection.connection.dbapi_connection
    seal, sealed = _seal(raw), int(raw.execute("PRAGMA user_version").fetchone()[0])
    if sealed not in (0, seal):
        raise DataLoss(f"{name}: the catalog file is damaged (what it says of its tables); restore it from a backup")
    version = _version(raw)
    refuse_newer(version, name)
    if version < NEWEST:
        # Tables that are rebuilt are dropped under their referrers; this cannot be said inside the transaction.
        raw.execute("PRAGMA foreign_keys = OFF")
        raw.execute("BEGIN IMMEDIATE")
        try:
            if version == 0:
                create(connection)
            else:
                from trunkline.catalog.migrate.run import upgrade

                upgrade(connection, version, NEWEST)
            raw.execute(f"PRAGMA user_version = {_seal(raw)}")
            raw.execute("COMMIT")
        except BaseException:
            if raw.in_transaction:
                raw.execute("ROLLBACK")
            raise
        raw.execute("PRAGMA foreign_keys = ON")
    elif not sealed:
        raw.execute(f"PRAGMA user_version = {seal}")
    query = "SELECT max(coalesce((SELECT max(seq) FROM events), 0), coalesce((SELECT max(position) FROM cursors), 0))"
    return int(raw.execute(query).fetchone()[0])


def refuse_newer(version: int, name: str) -> None:
    """Raises FailedPrecondition for tables of a later release."""
    if version > NEWEST:
        raise FailedPrecondition(
            f"{name} was written by a newer Trunkline (tables of version {version}, this one knows {NEWEST}): "
            "start that release, or restore a backup made before it ran"
        )


def create(connection: Connection) -> None:
    """All tables of this release in an empty database, and the rows that are always there."""
    metadata.create_all(connection, checkfirst=False)
    first_rows(connection)


def first_rows(connection: Connection) -> None:
    """The rows of a fresh catalog."""
    connection.execute(insert(schema_version).values(version=NEWEST))
    connection.execute(insert(collector).values(id=1, cycle=0, noted=0, doomed_through=0, tick=0, fence=0))


def _seal(raw: Any) -> int:
    """A number from what the database says of its tables and indexes, which a flipped bit would change; never 0.

    SQLite takes a changed name of a column or a lost constraint for what was meant.
    """
    rows = raw.execute("SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
    return zlib.crc32(repr(sorted(map(tuple, rows))).encode()) & 0x7FFFFFFF or 1


def _version(raw: Any) -> int:
    """Number of the last migration, 0 for an empty database."""
    found = raw.execute("SELECT count(*) FROM sqlite_master WHERE name = 'schema_version'").fetchone()[0]
    return int(raw.execute("SELECT version FROM schema_version").fetchone()[0]) if found else 0
