"""The first schema."""

from __future__ import annotations

from alembic.operations import Operations

from trunkline.catalog.tables import metadata


def upgrade(op: Operations) -> None:
    """All tables."""
    metadata.create_all(op.get_bind(), checkfirst=False)
