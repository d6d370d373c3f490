"""A PostgreSQL server of one's own: rows of a pipeline's output are in its tables, or nothing is."""

from __future__ import annotations

from typing import Any

import pytest
from mariadb import PASSWORD, File
from sqlalchemy import text

from trunkline.errors import FailedPrecondition, Unavailable
from trunkline.storage.databases import Database, Layout, open_database, write_rows

pytestmark = pytest.mark.engines


def run(database: Database, command: str) -> list[Any]:
    """One command, and what it answers."""
    with database.engine.begin() as connection:
        result = connection.execute(text(command))
        return [tuple(row) for row in result] if result.returns_rows else []


def write(url: str, layout: Layout, **files: bytes) -> dict[str, int]:
    """Files, each in the table of its name."""
    contents = [File(f"/{name}/f", data) for name, data in files.items()]
    return write_rows(open_database(url, PASSWORD), contents, layout, lambda: True)  # type: ignore[arg-type]


def test_rows_are_copied_and_cast_by_the_columns(postgres: str) -> None:
    database = open_database(postgres, PASSWORD)
    run(database, 'create table days (id bigint, "At" timestamptz, doc jsonb, note text, sum numeric(8,2))')
    run(database, "insert into days (id) values (1)")
    given = b'1,2026-01-02T03:04:05Z,"{""a"": 1}","x, ""y""",1.25\n2,,,"",\n'
    assert write(postgres, Layout("CSV"), days=given) == {"days": 2}
    found = run(database, "select id, \"At\" at time zone 'UTC', doc->>'a', note, sum::text from days order by id")
    assert [(row[0], str(row[1]), *row[2:]) for row in found] == [
        (1, "2026-01-02 03:04:05", "1", 'x, "y"', "1.25"),
        (2, "None", None, "", None),
    ]
    assert write(postgres, Layout("JSON"), days=b'{"id": 3, "doc": {"b": [true]}}') == {"days": 1}
    assert run(database, "select id, doc::text from days") == [(3, '{"b": [true]}')]
    many = b"".join(b"%d,,,n,\n" % at for at in range(50_000))
    assert write(postgres, Layout("CSV"), days=many) == {"days": 50_000}
    run(database, "create schema other")
    run(database, "create table other.days (id int)")
    assert write(f"{postgres}/other", Layout("CSV"), days=b"7\n") == {"days": 1}
    assert run(database, "select id from other.days") == [(7,)]


def test_what_it_refuses_changes_nothing_and_shows_no_password(postgres: str) -> None:
    database = open_database(postgres, PASSWORD)
    run(database, "create table kept (id int primary key)")
    run(database, "insert into kept values (1)")
    for data, told in ((b"2\nx\n", "/kept/f"), (b"2\n2\n", "duplicate key")):
        with pytest.raises(FailedPrecondition) as caught:
            write(postgres, Layout("CSV"), kept=data)
        assert told in str(caught.value)
        assert "line 2" in str(caught.value)
    assert run(database, "select id from kept") == [(1,)]
    with pytest.raises(Unavailable) as refused:
        write_rows(open_database(postgres, "wrong-one"), [File("/kept/f", b"1")], Layout("CSV"), lambda: True)  # type: ignore[list-item]
    assert "password authentication failed" in str(refused.value)
    assert "wrong-one" not in str(refused.value)
