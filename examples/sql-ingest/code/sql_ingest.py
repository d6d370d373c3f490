"""The result of a query as a file: what the pipelines of sql-ingest.jsonnet run.

    sql_ingest.py ask TICKS OUT < ORDER     one order for each tick: which query, and where its result goes
    sql_ingest.py fetch ORDERS OUT          each order's result

An order says url, query, file, format (csv or json) and header. The password is $PACHYDERM_SQL_PASSWORD. Databases:
postgresql://, mysql:// and snowflake:// USER@HOST[:PORT]/DATABASE[/SCHEMA], and sqlite:////FILE.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

ROWS = 1000
CONNECT_S = 30
SPECIAL = frozenset('",\r\n')


class Refused(Exception):
    """Something about an order is wrong; the message says what."""


def ask(ticks: Path, out: Path, order: dict[str, Any]) -> None:
    """Write the order for each tick. The tick's name makes it a new one each time."""
    check(order)
    for tick in sorted(ticks.iterdir()):
        (out / tick.name).write_text(json.dumps(order | {"at": tick.name}, indent=1) + "\n")


def check(order: dict[str, Any]) -> None:
    """Raises Refused."""
    if order["format"] not in ("csv", "json"):
        raise Refused(f'format is csv or json, not "{order["format"]}"')
    if order["header"] not in ("true", "false"):
        raise Refused(f'hasHeader is true or false, not "{order["header"]}"')
    parts = PurePosixPath(order["file"]).parts
    if not parts or ".." in parts or parts[0] == "/":
        raise Refused(f'outputFile is a path within the output, not "{order["file"]}"')
    if urlsplit(order["url"]).password:
        raise Refused("the URL holds a password; put it into a secret")


def fetch(orders: Path, out: Path, password: str) -> None:
    """Carry out every order."""
    for found in sorted(orders.iterdir()):
        order = json.loads(found.read_text())
        check(order)
        file = out / order["file"]
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w", encoding="utf-8", newline="") as lines:
            count = 0
            for line in written(order["url"], password, order["query"], order["format"], order["header"] == "true"):
                lines.write(line)
                count += 1
        print(f"{order['file']}: {count} lines of {order['at']}")


def written(url: str, password: str, query: str, form: str, header: bool) -> Iterator[str]:
    """The lines of a result."""
    rows = results(url, password, query)
    names = next(rows)
    if form == "json":
        for row in rows:
            record = {name: as_json(value) for name, value in zip(names, row, strict=True)}
            yield json.dumps(record, ensure_ascii=False) + "\n"
        return
    if header:
        yield ",".join(map(quoted, names)) + "\n"
    for row in rows:
        yield ",".join("" if value is None else quoted(as_text(value)) for value in row) + "\n"


def quoted(text: str) -> str:
    """A field of a line: an empty text is in quotes, for nothing at all is a null."""
    if text and text == text.strip() and not SPECIAL & set(text):
        return text
    return '"' + text.replace('"', '""') + '"'


def as_json(value: object) -> object:
    """Numbers become texts, so that no digit is lost on the way."""
    return value if value is None or isinstance(value, bool) else as_text(value)


def as_text(value: Any) -> str:
    """A value in words. A time has a zone only where its column has."""
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return repr(value)
        case datetime.datetime():
            return value.isoformat().replace("+00:00", "Z")
        case datetime.date():
            return f"{value.isoformat()}T00:00:00"
        case datetime.timedelta():
            hours, rest = divmod(round(value.total_seconds()), 3600)
            return f"{hours:02}:{rest // 60:02}:{rest % 60:02}"
        case bytes() | bytearray() | memoryview():
            return f"\\x{bytes(value).hex()}"
        case dict() | list():
            return json.dumps(value, ensure_ascii=False, default=as_text)
        case set() | frozenset():
            return ",".join(sorted(map(str, value)))
    return str(value)


def results(url: str, password: str, query: str) -> Iterator[Sequence[Any]]:
    """The names of a query's columns, then its rows, as they come from the database. Raises Refused."""
    parts = urlsplit(url)
    opened = _KINDS.get(parts.scheme)
    if opened is None:
        raise Refused(f'"{parts.scheme}" is no kind of database: {", ".join(_KINDS)}')
    with closing(opened(parts, password)) as connection, closing(cursor_of(connection, parts.scheme)) as cursor:
        cursor.execute(query)
        rows = cursor.fetchmany(ROWS)
        if cursor.description is None:
            raise Refused("the query answers with no rows; a SELECT does")
        yield [column[0] for column in cursor.description]
        while rows:
            yield from rows
            rows = cursor.fetchmany(ROWS)


def cursor_of(connection: Any, scheme: str) -> Any:
    """One that does not fetch everything at once."""
    return connection.cursor("rows") if scheme in ("postgres", "postgresql") else connection.cursor()


def place_of(parts: SplitResult) -> tuple[str, str]:
    """Database and schema."""
    database, _, schema = unquote(parts.path).removeprefix("/").partition("/")
    return database, schema


def postgres(parts: SplitResult, password: str) -> Any:
    """A connection to PostgreSQL."""
    import psycopg

    database, schema = place_of(parts)
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    if schema:
        options["options"] = f"-csearch_path={schema}"
    return psycopg.connect(
        host=parts.hostname,
        port=parts.port or 5432,
        user=unquote(parts.username or "") or None,
        password=password or None,
        dbname=database,
        connect_timeout=CONNECT_S,
        **options,
    )


def mysql(parts: SplitResult, password: str) -> Any:
    """A connection to MySQL or MariaDB."""
    import pymysql
    from pymysql.cursors import SSCursor

    return pymysql.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=unquote(parts.username or "") or None,
        password=password,
        database=place_of(parts)[0],
        connect_timeout=CONNECT_S,
        cursorclass=SSCursor,
        init_command="SET time_zone = '+00:00'",
    )


def sqlite(parts: SplitResult, _password: str) -> Any:
    """A file, which is only read."""
    import sqlite3

    file = Path(unquote(parts.path).removeprefix("/"))
    if not file.is_file():
        raise Refused(f"{file} is not there")
    return sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)


def snowflake(parts: SplitResult, password: str) -> Any:
    """A connection to Snowflake."""
    import snowflake.connector

    database, schema = place_of(parts)
    account = (parts.hostname or "").removesuffix(".snowflakecomputing.com")
    options: dict[str, Any] = {"account": account, "schema": schema or "PUBLIC", **dict(parse_qsl(parts.query))}
    if "account" in parse_names(parts):
        options |= {"host": parts.hostname, "port": parts.port or 443}
    return snowflake.connector.connect(
        user=unquote(parts.username or ""), password=password, database=database, **options
    )


def parse_names(parts: SplitResult) -> set[str]:
    """The parameters of a URL."""
    return {name for name, _ in parse_qsl(parts.query)}


_KINDS: dict[str, Callable[[SplitResult, str], Any]] = {
    "postgresql": postgres,
    "postgres": postgres,
    "mysql": mysql,
    "snowflake": snowflake,
    "sqlite": sqlite,
}


def main() -> None:
    """As the text above says."""
    password = os.environ.get("PACHYDERM_SQL_PASSWORD", "")
    try:
        if sys.argv[1] == "ask":
            ask(Path(sys.argv[2]), Path(sys.argv[3]), json.load(sys.stdin))
        else:
            fetch(Path(sys.argv[2]), Path(sys.argv[3]), password)
    except ImportError as error:
        sys.exit(f"{error.name} is not in this image: make it with --python 3 --requirements requirements.txt")
    except Exception as error:
        text = f"{type(error).__name__}: {error}" if not isinstance(error, Refused) else str(error)
        sys.exit(text.replace(password, "***") if password else text)


if __name__ == "__main__":
    main()
