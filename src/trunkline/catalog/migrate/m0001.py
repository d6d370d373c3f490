"""The first schema, in the words of SQLite and in those of PostgreSQL: the statements lie beside this module."""

from __future__ import annotations

from pathlib import Path

from alembic.operations import Operations


def upgrade(op: Operations) -> None:
    """Make all tables and indexes in an empty database."""
    suffix = ".postgresql.sql" if op.get_context().dialect.name == "postgresql" else ".sql"
    for statement in Path(__file__).with_suffix(suffix).read_text().split(";\n"):
        if statement.strip():
            op.execute(statement)
