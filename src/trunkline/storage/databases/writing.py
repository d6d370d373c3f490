"""Files of rows into tables: all of them in one transaction, each table emptied when it is first touched."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv
from sqlalchemy import Connection, Insert, MetaData, Table, TableClause, column, delete, insert
from sqlalchemy import table as lightweight
from sqlalchemy.exc import NoSuchTableError, SQLAlchemyError

from trunkline.errors import Aborted, FailedPrecondition
from trunkline.storage.databases import mysql
from trunkline.storage.databases.casting import cast_page
from trunkline.storage.databases.places import Database
from trunkline.storage.databases.rows import Layout, read_rows, table_of
from trunkline.storage.databases.snowflake import Snowflake, write_snowflake
from trunkline.storage.reading.content import Content


def write_rows(
    database: Database | Snowflake, contents: Iterable[Content], layout: Layout, wanted: Callable[[], bool]
) -> dict[str, int]:
    """Write all files into the tables that their first folders name; the number of rows of each table.

    All or nothing. Without files nothing is touched. Raises InvalidArgument with the file and its row,
    FailedPrecondition for tables that are not there or rows that the database refuses, Unavailable, and Aborted once
    `wanted` says no.
    """
    waiting = iter(contents)
    first = next(waiting, None)
    if first is None:
        return {}
    if isinstance(database, Snowflake):
        return write_snowflake(database, _chain(first, waiting), layout, wanted)
    counts: dict[str, int] = {}
    tables: dict[str, Table] = {}
    at = "connecting"
    try:
        with database.engine.begin() as connection:
            for content in _chain(first, waiting):
                name = table_of(content.path)
                at = f"table {name}"
                if name not in tables:
                    tables[name] = _emptied(connection, database, name)
                at = content.path
                counts[name] = counts.get(name, 0) + _load(connection, database, tables[name], content, layout, wanted)
    except SQLAlchemyError as error:
        raise database.translated(error, at) from None
    except database.engine.dialect.loaded_dbapi.Error as error:
        raise database.translated(error, at) from None
    finally:
        database.engine.dispose()
    return counts


def _chain(first: Content, rest: Iterator[Content]) -> Iterator[Content]:
    yield first
    yield from rest


def _emptied(connection: Connection, database: Database, name: str) -> Table:
    try:
        table = Table(name, MetaData(), schema=database.schema, autoload_with=connection)
    except NoSuchTableError:
        raise FailedPrecondition(f"{database.shown} has no table {name}; create it first") from None
    if connection.dialect.name == "mysql":
        mysql.need_transactions(connection, table, database.shown)
    connection.execute(delete(table))  # not TRUNCATE: that ends a transaction in some databases
    return table


def _load(
    connection: Connection,
    database: Database,
    table: Table,
    content: Content,
    layout: Layout,
    wanted: Callable[[], bool],
) -> int:
    names = [one.name for one in table.columns if one.computed is None]
    pages = still_wanted(read_rows(content.read(0), content.path, layout, names), wanted)
    if connection.dialect.name == "postgresql":
        return _copy(connection, table, pages)
    return _insert(connection, database, table, content.path, pages)


def still_wanted(pages: Iterator[pa.Table], wanted: Callable[[], bool]) -> Iterator[pa.Table]:
    """Pages, for as long as somebody wants them. Raises Aborted."""
    for page in pages:
        if not wanted():
            raise Aborted("writing rows is not wanted any more; none were written")
        yield page


def _copy(connection: Connection, table: Table, pages: Iterator[pa.Table]) -> int:
    """PostgreSQL reads text itself, by the types of its columns, and says in which line one does not fit."""
    page = next(pages, None)
    if page is None:
        return 0
    prepared = connection.dialect.identifier_preparer
    names = ", ".join(prepared.quote(name) for name in page.column_names)
    options = arrow_csv.WriteOptions(include_header=False, quoting_style="all_valid")  # a null is nothing at all
    rows = 0
    raw: Any = connection.connection.driver_connection
    with (
        raw.cursor() as cursor,
        cursor.copy(f"COPY {prepared.format_table(table)} ({names}) FROM STDIN (FORMAT csv)") as copy,
    ):
        while page is not None:
            sink = io.BytesIO()
            arrow_csv.write_csv(page, sink, options)
            copy.write(sink.getvalue())
            rows += page.num_rows
            page = next(pages, None)
    return rows


def _insert(connection: Connection, database: Database, table: Table, path: str, pages: Iterator[pa.Table]) -> int:
    """Page by page; a page that is refused is looked through for the row."""
    rows = 0
    for page in (page for page in pages if page.num_rows):
        records = cast_page(table, path, rows, page, connection.dialect.name).to_pylist()
        statement = insert(_target(connection, table, page.column_names))
        try:
            with connection.begin_nested():
                connection.execute(statement, records)
        except SQLAlchemyError as error:
            if database.passing(error):
                raise
            row = _refused(connection, statement, records)
            raise database.translated(error, f"{path}, row {rows + row + 1}") from None
        rows += page.num_rows
    return rows


def _target(connection: Connection, table: Table, names: Sequence[str]) -> Table | TableClause:
    """MySQL gets what was cast as it is: what SQLAlchemy knows of JSON would write a text of the text."""
    if connection.dialect.name != "mysql":
        return table
    return lightweight(table.name, *[column(name) for name in names], schema=table.schema)


def _refused(connection: Connection, statement: Insert, records: list[dict[str, object]]) -> int:
    """Which row the database refuses: those before it are written, and taken back with the rest."""
    low, high = 0, len(records)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            with connection.begin_nested():
                connection.execute(statement, records[low:middle])
            low = middle
        except SQLAlchemyError:
            high = middle
    return low
