"""Write `src/trunkline/catalog/migrate/m0001.sql` anew from the tables as they are declared.

Only until the first release. From then on that file stays as it is, and a change of tables is a migration of its own.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

import trunkline.catalog.migrate  # noqa: F401  loads every group of tables
from trunkline.catalog.tables import metadata

TARGET = Path(__file__).parent.parent / "src" / "trunkline" / "catalog" / "migrate" / "m0001.sql"


def main() -> None:
    """Write the file."""
    dialect = sqlite.dialect()
    statements: list[str] = []
    for table in metadata.sorted_tables:
        statements.append(str(CreateTable(table).compile(dialect=dialect)))
        for index in sorted(table.indexes, key=lambda one: str(one.name)):
            statements.append(str(CreateIndex(index).compile(dialect=dialect)))
    tidy = ("\n".join(line.rstrip() for line in text.strip().splitlines()) for text in statements)
    TARGET.write_text("".join(f"{text};\n\n" for text in tidy).rstrip() + "\n")


if __name__ == "__main__":
    main()
