"""The example sql-ingest with databases that are servers: what a query answers, and the way through pipelines back."""

from __future__ import annotations

import base64
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
import pytest
from mariadb import PASSWORD, Server

from trunkline.testing.serving import PachdProcess

pytestmark = [pytest.mark.engines, pytest.mark.timeout(400)]
EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "sql-ingest"


def module() -> ModuleType:
    """The program of the example."""
    spec = importlib.util.spec_from_file_location("sql_ingest", EXAMPLE / "code" / "sql_ingest.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def lines(url: str, query: str, form: str = "csv", header: bool = False) -> list[str]:
    """What it writes."""
    return [line.removesuffix("\n") for line in module().written(url, PASSWORD, query, form, header)]


def asked(url: str, *commands: str) -> list[Any]:
    """Commands to PostgreSQL, and what the last one answers."""
    with psycopg.connect(url, password=PASSWORD, autocommit=True) as connection:
        for command in commands:
            found = connection.execute(command)
        return found.fetchall() if found.description else []


def test_values_of_postgresql_as_text(postgres: str) -> None:
    query = (
        "select 1 as id, 12345678901234567890.50::numeric as n, '' as e, null as none, true as b,"
        " date '2026-01-02' as d, timestamp '2026-01-02 03:04:05.25' as t, timestamptz '2026-01-02 03:04:05+00' as z,"
        " '\\x00ff'::bytea as raw, 'a,\"b\"' || chr(10) as q, '{\"k\": [1]}'::jsonb as j, 0.1::float8 as f"
    )
    asked(postgres, "alter role tester set timezone to 'UTC'")
    whole = "\n".join(lines(postgres, query, header=True))
    assert whole == (
        "id,n,e,none,b,d,t,z,raw,q,j,f\n"
        '1,12345678901234567890.50,"",,true,2026-01-02T00:00:00,2026-01-02T03:04:05.250000,2026-01-02T03:04:05Z,\\x00ff,'
        '"a,""b""\n","{""k"": [1]}",0.1'
    )
    (line,) = lines(postgres, query, "json")
    record = json.loads(line)
    assert (record["id"], record["n"], record["none"], record["b"]) == ("1", "12345678901234567890.50", None, True)
    assert lines(postgres, "select g from generate_series(1, 2500) g")[-1] == "2500"
    with pytest.raises(psycopg.errors.UndefinedTable):
        lines(postgres, "select * from nowhere")


def test_values_of_mysql_as_text(server: Server) -> None:
    query = (
        "select 1 as id, cast('12345678901234567890.50' as decimal(30, 2)) as n, '' as e, null as none,"
        " date '2026-01-02' as d, timestamp '2026-01-02 03:04:05.25' as t, time '10:11:12' as o, x'00ff' as raw"
    )
    assert lines(server.url, query, header=True) == [
        "id,n,e,none,d,t,o,raw",
        '1,12345678901234567890.50,"",,2026-01-02T00:00:00,2026-01-02T03:04:05.250000,10:11:12,\\x00ff',
    ]


@pytest.fixture
def pachd(tmp_path: Path) -> Iterator[PachdProcess]:
    with PachdProcess(tmp_path, ("--workers", "2")) as made:
        yield made


def secret(pachd: PachdProcess, folder: Path, password: str) -> None:
    """Keep the password of both databases."""
    data = {"PACHYDERM_SQL_PASSWORD": base64.b64encode(password.encode()).decode()}
    form = {"kind": "Secret", "apiVersion": "v1", "type": "Opaque", "metadata": {"name": "db"}, "data": data}
    file = folder / "secret.json"
    file.write_text(json.dumps(form))
    pachd.pachctl("create", "secret", "-f", str(file))


def test_from_one_database_through_pipelines_into_another(
    pachd: PachdProcess, postgres: str, server: Server, tmp_path: Path
) -> None:
    asked(
        postgres,
        "create table orders (id int, day date, at timestamptz, what text, good boolean)",
        "insert into orders values (1, '2026-01-02', '2026-01-02 03:04:05+02', 'a, \"b\"', true),"
        " (2, null, null, '', false)",
    )
    server.run("create table copied (id int, day date, at datetime, what text, good boolean)")
    secret(pachd, tmp_path, PASSWORD)
    made = ("create", "image", "sql-ingest:1.0", str(EXAMPLE / "code"), "--python", "3")
    pachd.pachctl(*made, "--requirements", str(EXAMPLE / "requirements.txt"))
    given = {
        "name": "orders",
        "cronSpec": "@every 24h",
        "url": postgres,
        "query": "select * from orders order by id",
        "secretName": "db",
        "outputFile": "copied/0000",
    }
    arguments = [part for key, value in given.items() for part in ("--arg", f"{key}={value}")]
    pachd.pachctl("create", "pipeline", "--jsonnet", str(EXAMPLE / "sql-ingest.jsonnet"), *arguments)
    target = {
        "url": server.url,
        "fileFormat": {"type": "CSV"},
        "secret": {"name": "db", "key": "PACHYDERM_SQL_PASSWORD"},
    }
    spec = {
        "pipeline": {"name": "copy"},
        "transform": {"cmd": ["sh", "-c", "cp -r /pfs/orders/* /pfs/out"]},
        "input": {"pfs": {"repo": "orders", "glob": "/"}},
        "egress": {"sqlDatabase": target},
    }
    (tmp_path / "copy.json").write_text(json.dumps(spec))
    pachd.pachctl("create", "pipeline", "-f", str(tmp_path / "copy.json"))
    pachd.pachctl("run", "cron", "orders_in")
    pachd.pachctl("wait", "commit", "copy@master")
    rows = server.run("select id, cast(day as char), cast(at as char), what, good from copied order by id")
    assert rows == [(1, "2026-01-02", "2026-01-02 01:04:05", 'a, "b"', 1), (2, None, None, "", 0)]
    assert lines(server.url, "select what from copied order by id") == ['"a, ""b"""', '""']
    assert PASSWORD not in pachd.pachctl("logs", "--pipeline", "orders") + pachd.pachctl(
        "inspect", "pipeline", "orders"
    )
