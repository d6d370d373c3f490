"""Files of rows, read as Arrow batches of text: what a value means is the table's affair."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from trunkline.errors import InvalidArgument

FORMATS = ("CSV", "JSON", "PARQUET")
BATCH_ROWS = 10_000
BLOCK_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Layout:
    """How rows are written in files: a format, and the names of columns.

    Without names: in the table's order for CSV, by the table's own names else. With names a CSV file begins with a line
    of them, in any order.
    """

    format: str
    columns: tuple[str, ...] = ()


class _Stream(io.RawIOBase):
    """Pieces of bytes as a file."""

    def __init__(self, pieces: Iterator[bytes | memoryview]) -> None:
        super().__init__()
        self._pieces, self._rest = pieces, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, into: object) -> int:
        target = memoryview(into)  # type: ignore[arg-type]
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def table_of(path: str) -> str:
    """The table that a file's first folder names. Raises InvalidArgument."""
    table, slash, _ = path.strip("/").partition("/")
    if not slash:
        raise InvalidArgument(f"{path} lies in no folder: the first folder of a file names its table, as /table/file")
    return table


def read_rows(
    pieces: Iterator[bytes | memoryview], path: str, layout: Layout, columns: Sequence[str]
) -> Iterator[pa.Table]:
    """The rows of a file, in batches of text columns; nulls are nulls. columns: the table's, in its order.

    Raises InvalidArgument, which names the file and the row.
    """
    known = {name.casefold(): name for name in columns}
    wanted = [_known(path, name, known) for name in layout.columns]
    stream = io.BufferedReader(_Stream(pieces), BLOCK_BYTES)
    try:
        match layout.format:
            case "CSV":
                yield from _csv(stream, path, wanted, columns, known)
            case "JSON":
                yield from _json(stream, path, wanted or columns)
            case "PARQUET":
                yield from _parquet(stream, path, wanted, known)
            case _:
                raise InvalidArgument(f"rows are read from {', '.join(FORMATS)}, not from {layout.format}")
    except pa.ArrowException as error:
        raise InvalidArgument(f"{path}: {' '.join(str(error).split())}") from None


def _known(path: str, name: str, known: dict[str, str]) -> str:
    found = known.get(name.casefold())
    if found is None:
        raise InvalidArgument(f'{path}: its table has no column "{name}", only {", ".join(known.values())}')
    return found


def _csv(
    stream: io.BufferedReader[Any], path: str, wanted: list[str], columns: Sequence[str], known: dict[str, str]
) -> Iterator[pa.Table]:
    names = list(columns)
    if wanted:
        line = stream.readline()
        if not line:
            return
        header = arrow_csv.read_csv(io.BytesIO(line)).schema.names
        names = [_known(path, name, known) for name in header]
        if sorted(names) != sorted(wanted):
            raise InvalidArgument(f"{path} begins with the columns {', '.join(header)}, not {', '.join(wanted)}")
    if not stream.peek(1):
        return
    text = dict.fromkeys(names, pa.string())
    options = arrow_csv.ConvertOptions(
        null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False, column_types=text
    )
    reading = arrow_csv.ReadOptions(column_names=names, block_size=BLOCK_BYTES, use_threads=False)
    parsing = arrow_csv.ParseOptions(newlines_in_values=True)
    for batch in arrow_csv.open_csv(stream, reading, parsing, options):
        yield pa.Table.from_batches([batch])


def _json(stream: io.BufferedReader[Any], path: str, names: Sequence[str]) -> Iterator[pa.Table]:
    row = 0
    decode: Callable[[bytes], dict[str, object]] = msgspec.json.Decoder(dict[str, object]).decode
    while lines := list(islice(stream, BATCH_ROWS)):
        records = []
        for line in lines:
            row += 1
            try:
                records += [decode(line)] if line.strip() else []
            except msgspec.DecodeError as error:
                raise InvalidArgument(f"{path}, line {row}: no JSON object: {error}") from None
        values = [pa.array([_text(one.get(name)) for one in records], pa.string()) for name in names]
        yield pa.table(values, names=list(names))


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _parquet(stream: io.BufferedReader[Any], path: str, wanted: list[str], known: dict[str, str]) -> Iterator[pa.Table]:
    with tempfile.TemporaryFile() as file:  # its index is at its end
        shutil.copyfileobj(stream, file, BLOCK_BYTES)
        file.seek(0)
        opened = pq.ParquetFile(file)
        found = [_known(path, name, known) for name in opened.schema_arrow.names]
        for batch in opened.iter_batches(BATCH_ROWS):
            whole = pa.Table.from_batches([batch]).rename_columns(found)
            table = whole.select(wanted or found)
            yield pa.table([_as_text(path, name, table[name]) for name in table.column_names], table.column_names)


def _as_text(path: str, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        texts = [None if value is None else f"\\x{value.hex()}" for value in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string())])
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":  # no table counts nanoseconds
        column = pc.cast(column, pa.timestamp("us", column.type.tz), safe=False)
    try:
        return pc.cast(column, pa.string())
    except pa.ArrowNotImplementedError:
        raise InvalidArgument(f'{path}: column "{name}" is of type {column.type}, which no table holds') from None
