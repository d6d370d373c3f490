"""Write `src/trunkline/catalog/migrate/m0001*.sql` anew from the tables as they are declared.

Only until the first release. From then on those files stay as they are, and a change of tables is a migration of its
own.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql, sqlite

import trunkline.catalog.migrate  # noqa: F401  loads every group of tables
from trunkline.catalog.migrate.server import statements

FOLDER = Path(__file__).parent.parent / "src" / "trunkline" / "catalog" / "migrate"


def main() -> None:
    """Write the files."""
    _write("m0001.sql", sqlite.dialect())
    _write("m0001.postgresql.sql", postgresql.dialect())


def _write(name: str, dialect: Dialect) -> None:
    tidy = ("\n".join(line.rstrip() for line in text.strip().splitlines()) for text in statements(dialect))
    (FOLDER / name).write_text("".join(f"{text};\n\n" for text in tidy).rstrip() + "\n")


if __name__ == "__main__":
    main()
