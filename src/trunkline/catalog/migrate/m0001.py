"""The first schema, in the words of SQLite: the statements lie beside this module."""

from __future__ import annotations

from pathlib import Path

from alembic.operations import Operations


def upgrade(op: Operations) -> None:
    """Make all tables and indexes in an empty database."""
    for statement in Path(__file__).with_suffix(".sql").read_text().split(";\n"):
        if statement.strip():
            op.execute(statement)
