"""Databases outside: rows from files written into tables that are there."""

from trunkline.storage.databases.places import Database, open_database, shown_database
from trunkline.storage.databases.rows import Layout
from trunkline.storage.databases.writing import write_rows

__all__ = ["Database", "Layout", "open_database", "shown_database", "write_rows"]
