"""Rows into Snowflake, through its own connector; what answers is fakesnow, which keeps tables in DuckDB.

Unlike Snowflake it makes nulls of empty texts in quotes, and numbers no rows in its errors.
"""

from __future__ import annotations

import importlib
import io
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mariadb import File

from trunkline.ambient import RealAmbient
from trunkline.errors import Aborted, FailedPrecondition, InvalidArgument, Unavailable
from trunkline.storage.databases import Layout, open_database, snowflake, write_rows
from trunkline.testing.engines.ports import free_port

pytestmark = pytest.mark.engines


class Account:
    """Stands for an account."""

    def __init__(self, port: int) -> None:
        self.connector = importlib.import_module("snowflake.connector")
        self.port = port
        self.url = f"snowflake://tester@127.0.0.1:{port}/TESTS?account=acme&protocol=http&warehouse=w"

    def run(self, *commands: str) -> list[Any]:
        """Commands, and what the last one answers."""
        with self.connector.connect(
            user="u", password="p", account="acme", host="127.0.0.1", port=self.port, protocol="http"
        ) as connection:
            cursor = connection.cursor()
            cursor.execute("use schema tests.public")
            for command in commands:
                cursor.execute(command)
            return list(cursor.fetchall())

    def write(self, layout: Layout, *files: tuple[str, bytes], wanted: Any = lambda: True) -> dict[str, int]:
        """Files into their tables."""
        contents = [File(path, data) for path, data in files]
        return write_rows(open_database(self.url, "hidden"), contents, layout, wanted)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """A server of our own."""
    program = os.environ.get("TRUNKLINE_FAKESNOW")
    if program is None:
        pytest.skip("TRUNKLINE_FAKESNOW is not set: make test-engines installs fakesnow")
    pytest.importorskip("snowflake.connector", reason="snowflake-connector-python is not installed")
    port = free_port()
    log = tmp_path_factory.mktemp("snowflake") / "log"
    with log.open("wb") as out:
        process = subprocess.Popen([program, "-s", "-p", str(port)], stdout=out, stderr=out)
    for _ in range(600):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            break
        assert process.poll() is None, log.read_text()
        RealAmbient().sleep(0.1)
    made = Account(port)
    with made.connector.connect(
        user="u", password="p", account="acme", host="127.0.0.1", port=port, protocol="http"
    ) as connection:
        connection.cursor().execute("create database tests")
        connection.cursor().execute("create schema if not exists tests.public")
    yield made
    process.terminate()
    process.wait(30)


def test_tables_mirror_the_files(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snowflake, "PART_BYTES", 40_000)
    monkeypatch.setattr(snowflake, "ANSWER_S", 5)
    account.run(
        "create table days (id number(12), day date, note varchar, part number(8, 2))",
        'create table "days of" (id number(12))',
        "insert into days (id) values (1)",
    )
    given = '1,2026-01-02,"x, ""y"" \\n \N{STEAM LOCOMOTIVE}\n\'z\'",1.25\n2,,,\n'.encode()
    assert account.write(Layout("CSV"), ("/days/a", given), ("/days of/b", b"7\n")) == {"days": 2, "days of": 1}
    found = account.run("select id, day, note, part from days order by id")
    assert [tuple(map(str, row)) for row in found] == [
        ("1", "2026-01-02", "x, \"y\" \\n \N{STEAM LOCOMOTIVE}\n'z'", "1.25"),
        ("2", "None", "None", "None"),
    ]
    assert account.run('select * from "days of"') == [(7,)]
    lines = b'{"ID": 3, "NOTE": "a"}\n'
    table = pa.table({"note": ["b"], "day": [1], "ID": [4]}).set_column(1, "day", pa.array([1], pa.date32()))
    sink = io.BytesIO()
    pq.write_table(table, sink)
    assert account.write(Layout("JSON"), ("/days/a", lines)) == {"days": 1}
    assert account.run("select id, note from days") == [(3, "a")]
    assert account.write(Layout("PARQUET"), ("/days/a", sink.getvalue())) == {"days": 1}
    assert [tuple(map(str, row)) for row in account.run("select * from days")] == [("4", "1970-01-02", "b", "None")]
    many = b"".join(b"%d,,n,\n" % at for at in range(30_000))
    assert account.write(Layout("CSV"), ("/days/a", many), ("/days/b", b"")) == {"days": 30_000}
    assert account.run("select count(*), max(id) from days") == [(30_000, 29_999)]


def test_what_is_refused_changes_nothing(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snowflake, "ANSWER_S", 5)
    account.run("create table kept (id number(4), day date, good boolean)", "insert into kept values (1, null, null)")
    account.run("create table other (id number(4))")
    other = ("/other/a", b"5\n")
    with pytest.raises(InvalidArgument, match='/kept/f, row 2: "x" is no NUMBER, which column ID of table KEPT holds'):
        account.write(Layout("CSV"), ("/kept/f", b"2,,\nx,,\n"), other)
    with pytest.raises(FailedPrecondition, match=r"table kept: .*maybe"):
        account.write(Layout("CSV"), other, ("/kept/f", b"2,,true\n3,,maybe\n"))
    with pytest.raises(FailedPrecondition, match="has no table none; create it first"):
        account.write(Layout("CSV"), other, ("/none/f", b"2,\n"))
    answers = iter([True, True, True, True, False])
    with pytest.raises(Aborted):
        account.write(Layout("CSV"), other, ("/kept/f", b"2,,\n"), wanted=lambda: next(answers))
    assert next(answers, None) is None
    assert (account.run("select id from kept"), account.run("select id from other")) == ([(1,)], [])


def test_an_account_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("snowflake.connector", reason="snowflake-connector-python is not installed")
    monkeypatch.setattr(snowflake, "LOGIN_S", 1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = open_database(
            f"snowflake://u@127.0.0.1:{free.getsockname()[1]}/T?account=acme&protocol=http", "hidden-one"
        )
        with pytest.raises(Unavailable) as caught:
            write_rows(place, [File("/t/f", b"1")], Layout("CSV"), lambda: True)  # type: ignore[list-item]
    assert "connecting" in str(caught.value)
    assert "hidden-one" not in str(caught.value)
