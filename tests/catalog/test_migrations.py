"""Opening a catalog: fresh, current, behind, ahead; and that a fresh one equals a migrated one."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from trunkline.ambient import SimulatedAmbient
from trunkline.catalog import migrate
from trunkline.catalog.engine import Catalog
from trunkline.catalog.engine.sqlite import Settings, make_engine, open_writer
from trunkline.catalog.migrate.run import upgrade
from trunkline.catalog.tables import metadata
from trunkline.errors import FailedPrecondition
from trunkline.testing.catalogs import open_catalog


def shape(path: Path) -> dict[str, object]:
    """Everything about the tables of a file that statements can depend on."""
    with sqlite3.connect(path) as file:
        found: dict[str, object] = {}
        ask = lambda query: file.execute(query).fetchall()  # noqa: E731
        for name, sql in ask("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"):
            indexes = {}
            for _, index, unique, origin, partial in ask(f'PRAGMA index_list("{name}")'):
                columns = [row[2:] for row in ask(f'PRAGMA index_xinfo("{index}")')]
                (text,) = ask(f"SELECT coalesce(max(sql), '') FROM sqlite_master WHERE name = '{index}'")
                where = re.sub(r"\s+", " ", text[0].partition(" WHERE ")[2])
                key = index if origin == "c" else str(columns)
                indexes[key] = (unique, origin, partial, columns, where)
            found[name] = {
                "columns": ask(f'PRAGMA table_xinfo("{name}")'),
                "indexes": indexes,
                "foreign keys": sorted(row[2:] for row in ask(f'PRAGMA foreign_key_list("{name}")')),
                "clustered": "WITHOUT ROWID" in sql,
                "autoincrement": "AUTOINCREMENT" in sql,
                "checks": re.findall(r"CONSTRAINT (\w+) CHECK \((.*)\)", sql),
            }
    file.close()
    return found


def migrated(folder: Path, target: int) -> Path:
    """A database made by running migrations only."""
    folder.mkdir()
    settings = Settings(folder / "catalog.db")
    connection = open_writer(make_engine(settings), settings)
    raw = connection.connection.dbapi_connection
    assert raw is not None
    raw.execute("PRAGMA foreign_keys = OFF")
    raw.execute("BEGIN IMMEDIATE")
    upgrade(connection, 0, target)
    migrate.first_rows(connection)
    raw.execute("COMMIT")
    connection.close()
    return settings.path


def test_a_fresh_catalog_equals_a_migrated_one(tmp_path: Path):
    open_catalog(tmp_path / "fresh").close()
    fresh = shape(tmp_path / "fresh" / "catalog.db")
    old = shape(migrated(tmp_path / "migrated", migrate.NEWEST))
    assert set(fresh) == set(metadata.tables)
    help_ = "tables were changed without a migration (before the first release: run tools/first_schema.py)"
    assert set(old) == set(fresh), help_
    for name, table in fresh.items():
        assert old[name] == table, f"{name}: {help_}"


def test_a_migrated_catalog_opens(tmp_path: Path):
    migrated(tmp_path / "old", migrate.NEWEST)
    with open_catalog(tmp_path / "old") as catalog:
        catalog.transact(lambda tx: tx.emit("a", {}))
        assert catalog.wake.seq == 1


def test_opening_a_current_catalog_changes_nothing_and_needs_no_alembic(tmp_path: Path):
    program = """
import sys
from trunkline.ambient import RealAmbient
from trunkline.catalog.engine import Catalog
Catalog.open(sys.argv[1], RealAmbient()).close()
assert not [name for name in sys.modules if name.startswith("alembic")]
"""
    for _ in range(2):
        subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)


def test_a_catalog_of_a_newer_release_is_refused_in_words(tmp_path: Path):
    with open_catalog(tmp_path, rehearse=False) as catalog:
        catalog.transact(lambda tx: tx.execute("UPDATE schema_version SET version = 99"))
    with pytest.raises(FailedPrecondition, match=r"newer Trunkline \(tables of version 99, this one knows"):
        open_catalog(tmp_path)


@pytest.fixture
def behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A catalog of today, and a release that has one migration more."""
    with open_catalog(tmp_path) as catalog:
        catalog.transact(lambda tx: tx.emit("kept", {}))
    step = ModuleType("step")
    monkeypatch.setattr(migrate, "NEWEST", migrate.NEWEST + 1)
    monkeypatch.setitem(sys.modules, f"trunkline.catalog.migrate.m{migrate.NEWEST:04d}", step)
    return step


def test_a_catalog_that_is_behind_is_brought_up_to_date(tmp_path: Path, behind: ModuleType):
    def add_a_column(op) -> None:
        import sqlalchemy as sa

        with op.batch_alter_table("filesets", recreate="always") as table:  # others refer to it
            table.add_column(sa.Column("colour", sa.Text))

    behind.upgrade = add_a_column
    for _ in range(2):  # the second time there is nothing to do
        with open_catalog(tmp_path) as catalog:
            assert catalog.wake.seq == 1
            names = catalog.read(lambda tx: [row.name for row in tx.execute("PRAGMA table_info(filesets)")])
            assert "colour" in names
            assert catalog.read(lambda tx: tx.execute("SELECT version FROM schema_version").scalars()) == [
                migrate.NEWEST
            ]
            assert catalog.read(lambda tx: tx.execute("PRAGMA foreign_key_check").all()) == []
            assert catalog.transact(lambda tx: tx.execute("PRAGMA foreign_keys").scalar()) == 1


def test_a_migration_that_fails_leaves_the_catalog_as_it_was(
    tmp_path: Path, behind: ModuleType, monkeypatch: pytest.MonkeyPatch
):
    def fails_half_way(op) -> None:
        op.drop_table("events")
        raise ZeroDivisionError

    behind.upgrade = fails_half_way
    with pytest.raises(ZeroDivisionError):
        open_catalog(tmp_path)
    monkeypatch.undo()
    with open_catalog(tmp_path) as catalog:
        assert catalog.wake.seq == 1


def test_a_kill_while_it_is_made_leaves_none_or_all(tmp_path: Path):
    """The tables come in one transaction: a file that was begun and not committed opens as an empty one."""
    settings = Settings(tmp_path / "catalog.db")
    connection = open_writer(make_engine(settings), settings)
    raw = connection.connection.dbapi_connection
    assert raw is not None
    raw.execute("BEGIN IMMEDIATE")
    migrate.create(connection)
    connection.close()  # without COMMIT
    with Catalog.open(tmp_path, SimulatedAmbient()) as catalog:
        assert catalog.read(lambda tx: tx.execute("SELECT count(*) FROM collector").scalar()) == 1
