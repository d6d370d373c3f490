"""Text as values of a table's columns, for databases that would cast it otherwise, or take anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Column, Table, types
from sqlalchemy.dialects import mysql

from trunkline.errors import InvalidArgument

_ZONED = r"[T ].*(Z|[+-]\d{2}(:?\d{2})?)$"
_MIDNIGHT = r"[T ]00:00:00(\.0+)?Z?$"
_KINDS: tuple[tuple[type[types.TypeEngine[Any]], pa.DataType], ...] = (
    (types.Boolean, pa.bool_()),
    (types.Integer, pa.int64()),
    (types.Float, pa.float64()),
    (types.DateTime, pa.timestamp("us")),
    (types.Date, pa.date32()),
)


def cast_page(table: Table, path: str, before: int, page: pa.Table, dialect: str) -> pa.Table:
    """Columns of text as what their columns of the table hold. before: how many rows of the file came earlier.

    A time with a zone is written as UTC. Raises InvalidArgument, which names the file and the row.
    """
    cast = _mysql_kind if dialect == "mysql" else _kind
    columns = {}
    for name in page.column_names:
        column = table.columns[name]
        columns[name] = _cast(table, path, before, column, page[name].combine_chunks(), cast(column))
    return pa.table(columns)


def times(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Times with and without a zone; those with one as UTC."""
    zoned = pc.match_substring_regex(column, _ZONED)
    none = pa.scalar(None, pa.string())
    utc = pc.cast(pc.if_else(zoned, column, none), pa.timestamp("us", "UTC"))
    plain = pc.cast(pc.if_else(zoned, none, column), kind)
    return pc.coalesce(plain, pc.cast(utc, kind))


def cast_text(column: pa.Array, kind: pa.DataType | Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Text as a kind. Raises ArrowInvalid."""
    if callable(kind):
        return kind(column)
    if pa.types.is_date(kind):  # midnight is written as well
        column = pc.replace_substring_regex(column, _MIDNIGHT, "")
    return times(column, kind) if pa.types.is_timestamp(kind) else pc.cast(column, kind)


def first_bad(column: pa.Array, kind: pa.DataType | Callable[[pa.Array], pa.Array]) -> int:
    """The first value that is none of its kind, where there is one."""
    low, high = 0, len(column)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            cast_text(column[low:middle], kind)
            low = middle
        except pa.ArrowInvalid:
            high = middle
    return low


def _kind(column: Column[Any]) -> pa.DataType | Callable[[pa.Array], pa.Array] | None:
    found = next((arrow for sql, arrow in _KINDS if isinstance(column.type, sql)), None)
    if found is None and isinstance(column.type, types.Numeric):
        return pa.decimal128(38, 10)
    return _bytes if found is None and isinstance(column.type, types.LargeBinary) else found


def _mysql_kind(column: Column[Any]) -> pa.DataType | Callable[[pa.Array], pa.Array] | None:
    kind = column.type
    match kind:
        case mysql.TINYINT(display_width=1):
            return _flags
        case mysql.BIT():
            return pa.uint64()
        case types.Integer():
            return pa.uint64() if getattr(kind, "unsigned", False) else pa.int64()
        case mysql.SET():
            return lambda texts: _members(texts, kind.values, many=True)
        case types.Enum():
            return lambda texts: _members(texts, kind.enums, many=False)
        case types.Numeric():  # as written: there are more digits than Arrow's decimals have
            return pa.float64() if isinstance(kind, types.Float) else None
        case types.LargeBinary() | types.BINARY() | types.VARBINARY():
            return _bytes
    return _kind(column)


def _cast(
    table: Table,
    path: str,
    before: int,
    column: Column[Any],
    texts: pa.Array,
    kind: pa.DataType | Callable[[pa.Array], pa.Array] | None,
) -> pa.Array:
    if kind is None:
        return texts
    try:
        return cast_text(texts, kind)
    except pa.ArrowInvalid as error:
        row = first_bad(texts, kind)
        words = str(error) if callable(kind) else f'"{texts[row].as_py()}" is no {kind}'
        raise InvalidArgument(
            f"{path}, row {before + row + 1}: {words}, which column {column.name} of table {table.name} holds"
        ) from None


def _flags(texts: pa.Array) -> pa.Array:
    """What is called a boolean, and holds small numbers."""
    low = pc.utf8_lower(texts)
    numbers = pc.if_else(pc.equal(low, "true"), "1", pc.if_else(pc.equal(low, "false"), "0", texts))
    return pc.cast(numbers, pa.int64())


def _members(texts: pa.Array, known: list[str] | tuple[str, ...], *, many: bool) -> pa.Array:
    """The database takes a number for the place of a member when no member is called so."""
    names = {name.casefold() for name in known}
    for one in pc.unique(texts).drop_null().to_pylist():
        if any(part.casefold() not in names for part in (one.split(",") if many and one else [one] if one else [])):
            raise pa.ArrowInvalid(f'"{one}" is none of {", ".join(known)}')
        if not one and not many and "" not in names:
            raise pa.ArrowInvalid(f'"" is none of {", ".join(known)}')
    return texts


def _bytes(texts: pa.Array) -> pa.Array:
    r"""Bytes that are written as `\x` and hexadecimal digits, as PostgreSQL does; other text as its UTF-8."""
    made = []
    for one in texts.to_pylist():
        if one is None or not one.startswith("\\x"):
            made.append(None if one is None else one.encode())
            continue
        try:
            made.append(bytes.fromhex(one[2:]))
        except ValueError:
            raise pa.ArrowInvalid(f'"{one}" is not hexadecimal') from None
    return pa.array(made, pa.binary())


def as_hexadecimal(texts: pa.Array) -> pa.Array:
    """Text as the hexadecimal digits of its bytes."""
    return pa.array([None if one is None else one.hex() for one in _bytes(texts).to_pylist()], pa.string())
