"""Files of rows into tables: all of them in one transaction, each table emptied when it is first touched."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
from sqlalchemy import Connection, MetaData, Table, delete, insert, types
from sqlalchemy.exc import NoSuchTableError, SQLAlchemyError

from trunkline.errors import Aborted, FailedPrecondition, InvalidArgument
from trunkline.storage.databases.places import Database
from trunkline.storage.databases.rows import Layout, read_rows
from trunkline.storage.reading.content import Content

_KINDS: tuple[tuple[type[types.TypeEngine[Any]], pa.DataType], ...] = (
    (types.Boolean, pa.bool_()),
    (types.Integer, pa.int64()),
    (types.Float, pa.float64()),
    (types.DateTime, pa.timestamp("us")),
    (types.Date, pa.date32()),
)
"""How text is cast for databases that would not do so themselves, or would take anything."""


def write_rows(
    database: Database, contents: Iterable[Content], layout: Layout, wanted: Callable[[], bool]
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
    counts: dict[str, int] = {}
    tables: dict[str, Table] = {}
    at = "connecting"
    try:
        with database.engine.begin() as connection:
            for content in _chain(first, waiting):
                name = _table_of(content.path)
                at = f"table {name}"
                if name not in tables:
                    tables[name] = _emptied(connection, database, name)
                at = content.path
                counts[name] = counts.get(name, 0) + _load(connection, tables[name], content, layout, wanted)
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


def _table_of(path: str) -> str:
    table, slash, _ = path.strip("/").partition("/")
    if not slash:
        raise InvalidArgument(f"{path} lies in no folder: the first folder of a file names its table, as /table/file")
    return table


def _emptied(connection: Connection, database: Database, name: str) -> Table:
    try:
        table = Table(name, MetaData(), schema=database.schema, autoload_with=connection)
    except NoSuchTableError:
        raise FailedPrecondition(f"{database.shown} has no table {name}; create it first") from None
    connection.execute(delete(table))
    return table


def _load(connection: Connection, table: Table, content: Content, layout: Layout, wanted: Callable[[], bool]) -> int:
    pages = _wanted(read_rows(content.read(0), content.path, layout, [one.name for one in table.columns]), wanted)
    if connection.dialect.name == "postgresql":
        return _copy(connection, table, pages)
    return _insert(connection, table, content.path, pages)


def _wanted(pages: Iterator[pa.Table], wanted: Callable[[], bool]) -> Iterator[pa.Table]:
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


def _insert(connection: Connection, table: Table, path: str, pages: Iterator[pa.Table]) -> int:
    rows = 0
    for page in pages:
        columns = {name: _cast(table, path, rows, name, page[name].combine_chunks()) for name in page.column_names}
        if page.num_rows:
            connection.execute(insert(table), pa.table(columns).to_pylist())
        rows += page.num_rows
    return rows


def _cast(table: Table, path: str, before: int, name: str, column: pa.Array) -> pa.Array:
    kind = next((arrow for sql, arrow in _KINDS if isinstance(table.columns[name].type, sql)), None)
    if isinstance(table.columns[name].type, types.Numeric) and kind is None:
        kind = pa.decimal128(38, 10)
    if kind is None:
        return column
    try:
        return pc.cast(column, kind)
    except pa.ArrowInvalid:
        row = _first_bad(column, kind)
        raise InvalidArgument(
            f'{path}, row {before + row + 1}: "{column[row].as_py()}" is no {kind}, which column {name} of table '
            f"{table.name} holds"
        ) from None


def _first_bad(column: pa.Array, kind: pa.DataType) -> int:
    low, high = 0, len(column)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            pc.cast(column[low:middle], kind)
            low = middle
        except pa.ArrowInvalid:
            high = middle
    return low
