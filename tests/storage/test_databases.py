"""Files of rows into the tables of a database: cast by its columns, all or nothing, words for what does not fit."""

from __future__ import annotations

import io
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trunkline.errors import Aborted, FailedPrecondition, InvalidArgument, TrunklineError
from trunkline.storage.databases import Layout, open_database, shown_database, write_rows


@dataclass(frozen=True)
class File:
    """Stands for a file of a commit."""

    path: str
    data: bytes

    def read(self, offset: int) -> object:
        """Its bytes, in small pieces."""
        return iter([self.data[at : at + 5] for at in range(offset, len(self.data), 5)])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A database with two tables."""
    path = tmp_path / "db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table days (day date, total integer, part float, good boolean, note text)")
        connection.execute("create table other (id integer primary key)")
        connection.execute("insert into days (note) values ('old')")
        connection.execute("insert into other values (7)")
    return path


def write(place: Path, layout: Layout, *files: tuple[str, bytes]) -> dict[str, int]:
    """Write files."""
    contents = [File(path, data) for path, data in files]
    return write_rows(open_database(f"sqlite:///{place}", ""), contents, layout, lambda: True)  # type: ignore[arg-type]


def rows(place: Path, table: str = "days") -> list[tuple[object, ...]]:
    """What a table holds."""
    with sqlite3.connect(place) as connection:
        return connection.execute(f"select * from {table}").fetchall()


ROWS = [("2026-01-02", 3, 0.5, 1, 'a,"b"\nc'), ("2026-01-03", None, None, 0, ""), (None, 4, 1.0, None, None)]


def test_csv_in_the_tables_order_replaces_what_was_there(place: Path) -> None:
    first = b'2026-01-02,3,0.5,true,"a,""b""\nc"\n2026-01-03,,,false,""\n'
    assert write(place, Layout("CSV"), ("/days/a", first), ("/days/d/e/b", b",4,1,,\n")) == {"days": 3}
    assert rows(place) == ROWS
    assert rows(place, "other") == [(7,)]
    assert write(place, Layout("CSV"), ("/days/a", b""), ("/other/x", b"1\n2\n")) == {"days": 0, "other": 2}
    assert (rows(place), rows(place, "other")) == ([], [(1,), (2,)])


def test_csv_with_a_header_is_matched_by_name(place: Path) -> None:
    write(place, Layout("CSV", ("total", "note")), ("/days/a", b"NOTE,total\nx,1\n"))
    assert rows(place) == [(None, 1, None, None, "x")]


def test_json_and_parquet(place: Path) -> None:
    lines = b'{"day":"2026-01-02","total":3,"part":0.5,"good":true,"note":"a,\\"b\\"\\nc"}\n\n'
    lines += b'{"day":"2026-01-03","good":false,"note":"","more":[1]}\n{"total":4,"part":1}'
    write(place, Layout("JSON"), ("/days/a", lines))
    assert rows(place) == ROWS
    table = pa.table({"total": [1, None], "note": ["x", None], "part": [0.1, 1e300]})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    write(place, Layout("PARQUET"), ("/days/a", sink.getvalue()))
    assert rows(place) == [(None, 1, 0.1, None, "x"), (None, None, 1e300, None, None)]


@pytest.mark.parametrize(
    ("layout", "path", "data", "told"),
    [
        (Layout("CSV"), "/days/a", b"2026-01-02,3,1,true,x\n2026-01-02,three,1,true,x\n", '/days/a, row 2: "three"'),
        (Layout("CSV"), "/days/a", b"2026-01-02,3,1,true,x\n1,2\n", "/days/a: CSV parse error: Row #2"),
        (Layout("CSV"), "/a", b"1", "/a lies in no folder"),
        (Layout("CSV"), "/none/a", b"1", "has no table none; create it first"),
        (Layout("CSV", ("id",)), "/days/a", b"id\n", 'its table has no column "id", only day, total'),
        (Layout("CSV", ("day",)), "/days/a", b"note\nx\n", "begins with the columns note, not day"),
        (Layout("JSON"), "/days/a", b'{"day":null}\n[1]\n', "/days/a, line 2: no JSON object"),
        (Layout("PARQUET"), "/days/a", b"no parquet at all", "/days/a: "),
        (Layout("CSV"), "/other/a", b"1\n1\n", "/other/a: UNIQUE constraint failed"),
        (Layout("UNKNOWN"), "/days/a", b"1\n1\n", "CSV, JSON, PARQUET, not from UNKNOWN"),
    ],
)
def test_what_does_not_fit_changes_nothing(place: Path, layout: Layout, path: str, data: bytes, told: str) -> None:
    good = [("/days/0", b"")] if layout.format == "CSV" else []
    with pytest.raises((InvalidArgument, FailedPrecondition)) as caught:
        write(place, layout, *good, (path, data))
    assert told in str(caught.value)
    assert (rows(place)[0][-1], rows(place, "other")) == ("old", [(7,)])


def test_what_nobody_waits_for_changes_nothing(place: Path) -> None:
    answers = iter([True, False])
    files = [File("/other/a", b"1\n"), File("/other/b", b"2\n")]
    with pytest.raises(Aborted):
        write_rows(open_database(f"sqlite:///{place}", ""), files, Layout("CSV"), lambda: next(answers))  # type: ignore[arg-type]
    assert rows(place, "other") == [(7,)]
    assert write(place, Layout("CSV")) == {}


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("oracle://u@h/d", "is no URL of a database"),
        ("postgresql://u:hidden@h/d", "holds no password"),
        ("postgresql:///d", "names no host"),
        ("postgresql://u@h:port/d", "cannot be opened"),
        ("snowflake://u@account/d", "snowflake-sqlalchemy is not installed"),
        ("sqlite:///file.db", "the whole path"),
        ("sqlite:////none/file.db", "is not there"),
        ("sqlite:///{}/db", "data folder of this server"),
    ],
)
def test_other_places_are_refused(place: Path, url: str, told: str) -> None:
    with pytest.raises(TrunklineError) as caught:
        open_database(url.format(place.parent), "", place.parent)
    assert told in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_a_place_is_shown_without_what_is_secret() -> None:
    assert shown_database("postgres://u:hidden@h:1/d/s?sslpassword=x") == "postgres://u@h:1/d/s"
