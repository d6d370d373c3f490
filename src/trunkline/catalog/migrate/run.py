"""Takes a database through the migrations it has not seen. Imported only when needed: alembic loads slowly."""

from __future__ import annotations

import importlib

from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, update

from trunkline.catalog.tables import schema_version


def upgrade(connection: Connection, version: int, target: int) -> None:
    """Run migrations `version + 1` to `target`, in the transaction that is open.

    Each is a module `m0001`, `m0002` … with one function `upgrade(op)`; it names tables as they were then and imports
    none of today's.
    """
    operations = Operations(MigrationContext.configure(connection))
    for number in range(version + 1, target + 1):
        importlib.import_module(f"trunkline.catalog.migrate.m{number:04d}").upgrade(operations)
    if version:
        connection.execute(update(schema_version).values(version=target))
