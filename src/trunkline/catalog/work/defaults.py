"""Queries on the defaults of pipeline specs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from trunkline.ambient import Micros
from trunkline.catalog.engine.tx import Tx
from trunkline.catalog.tables_pps import spec_defaults

CLUSTER = ""
"""The name under which the defaults of the whole cluster are kept."""


@dataclass(frozen=True, slots=True)
class DefaultsRow:
    """The defaults of a project, or of the cluster, as a JSON document."""

    project: str
    document: str
    created_us: Micros
    created_by: str


def get_defaults(tx: Tx, projects: Sequence[str]) -> dict[str, DefaultsRow]:
    """The defaults of some projects, by their names; those that have none are left out."""
    query = select(spec_defaults).where(spec_defaults.c.project.in_(list(projects)))
    rows = tx.execute(query).all()
    return {row.project: DefaultsRow(row.project, row.document, row.created_us, row.created_by) for row in rows}


def put_defaults(tx: Tx, project: str, document: str, created_by: str) -> None:
    """Replace the defaults of a project."""
    delete_defaults(tx, project)
    values = {"project": project, "document": document, "created_us": tx.now_us, "created_by": created_by}
    tx.execute(insert(spec_defaults).values(**values))


def delete_defaults(tx: Tx, project: str) -> None:
    """Let a project have no defaults."""
    tx.execute(delete(spec_defaults).where(spec_defaults.c.project == project))
