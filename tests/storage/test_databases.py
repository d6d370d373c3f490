"""Files of rows into the tables of a database: cast by its columns, all or nothing, words for what does not fit."""

from __future__ import annotations

import io
import sqlite3
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from trunkline.errors import Aborted, FailedPrecondition, InvalidArgument, TrunklineError
from trunkline.storage.databases import Layout, open_database, shown_database, snowflake, write_rows
from trunkline.storage.databases.snowflake import Snowflake, _Group, _Table


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
    first = b'2026-01-02T00:00:00,3,0.5,true,"a,""b""\nc"\n2026-01-03,,,false,""\n'
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
        (Layout("CSV"), "/other/a", b"1\n2\n3\n2\n5\n", "/other/a, row 4: UNIQUE constraint failed"),
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
        ("snowflake://u@account/d?colour=red", '"colour" is no parameter here, only account'),
        ("snowflake://u@account", "names no host or no database"),
        ("mysql://u@h/d?autocommit=true", '"autocommit" is no parameter here, only charset'),
        ("mysql://u@h/d?tls=maybe", 'tls is one of true, false, skip-verify, preferred, not "maybe"'),
        ("mysql://u@h/d?tls=true&ssl_ca=/none", "cannot be opened"),
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


@pytest.mark.parametrize(
    ("scheme", "module", "package"),
    [
        ("snowflake", "snowflake.connector", "snowflake-connector-python"),
        ("mysql", "pymysql", "pymysql"),
        ("postgres", "psycopg", "psycopg[binary]"),
    ],
)
def test_what_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, scheme: str, module: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(FailedPrecondition) as caught:
        open_database(f"{scheme}://u@host/d", "hidden")
    assert f"cannot write to {scheme}: the Python package {package} is not installed" in str(caught.value)
    assert f"pip install '{package}'" in str(caught.value)


def test_json_in_columns_of_any_type_is_parsed_by_snowflake_and_no_text() -> None:
    table = _Table("DOCS", {"ID": "NUMBER", "DOC": "VARIANT", "TAGS": "ARRAY", "NOTE": "TEXT"})
    some = snowflake.statement(_Group(table, ("ID", "NOTE"), "g0"), "stage")
    assert some.startswith('copy into "DOCS" ("ID", "NOTE") from @stage/g0/ file_format = (type = csv ')
    parsed = snowflake.statement(_Group(table, ("DOC", "ID", "TAGS"), "g1"), "stage")
    assert ' ("DOC", "ID", "TAGS") from (select parse_json($1), $2, parse_json($3) from @stage/g1/) ' in parsed


def test_a_snowflake_account_is_found_in_either_form_of_a_url() -> None:
    pytest.importorskip("snowflake.connector", reason="snowflake-connector-python is not installed")
    short = open_database("snowflake://U%40x@acme.eu/days/in?warehouse=w&role=r", "hidden")
    assert isinstance(short, Snowflake)
    for name, value in {"account": "acme.eu", "user": "U@x", "database": "days", "schema": "in", "role": "r"}.items():
        assert short.settings[name] == value
    whole = open_database("snowflake://u@acme.eu.snowflakecomputing.com/days", "hidden")
    assert isinstance(whole, Snowflake)
    assert (whole.settings["account"], whole.settings["schema"]) == ("acme.eu", "PUBLIC")
    assert "hidden" not in repr(whole)


def test_a_private_key_may_stand_for_a_password() -> None:
    pytest.importorskip("snowflake.connector", reason="snowflake-connector-python is not installed")
    key = ec.generate_private_key(ec.SECP256R1())
    kinds = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    made = open_database("snowflake://u@acme/days", key.private_bytes(*kinds).decode())
    assert isinstance(made, Snowflake)
    assert serialization.load_der_private_key(made.settings["private_key"], None).key_size == 256
    assert (made.settings["authenticator"], "password" in made.settings) == ("SNOWFLAKE_JWT", False)
    with pytest.raises(InvalidArgument, match="private key in the secret cannot be read"):
        open_database("snowflake://u@acme/days", "-----BEGIN PRIVATE KEY-----\nnone\n")


def test_times_with_a_zone_are_written_as_utc_beside_those_without(place: Path) -> None:
    with sqlite3.connect(place) as connection:
        connection.execute("create table times (at datetime, part numeric(20, 4), raw blob)")
    given = b"2026-01-02T03:04:05+02:00,1.5,\\x00ff\n2026-01-02 03:04:05.25,,x\n,2,\n2026-01-02T03:04:05Z,,\n"
    assert write(place, Layout("CSV"), ("/times/a", given)) == {"times": 4}
    assert rows(place, "times") == [
        ("2026-01-02 01:04:05.000000", 1.5, b"\0\xff"),
        ("2026-01-02 03:04:05.250000", None, b"x"),
        (None, 2, None),
        ("2026-01-02 03:04:05.000000", None, None),
    ]
    with pytest.raises(InvalidArgument, match='row 2: "2026-02-30T00:00:00Z" is no timestamp'):
        write(place, Layout("CSV"), ("/times/a", b"2026-01-02T03:04:05Z,,\n2026-02-30T00:00:00Z,,\n"))


def test_a_place_is_shown_without_what_is_secret() -> None:
    assert shown_database("postgres://u:hidden@h:1/d/s?sslpassword=x") == "postgres://u@h:1/d/s"
