"""Rows into Snowflake: uploaded as compressed files first, then loaded in one transaction.

What is uploaded lies in a stage that ends with the session, and whatever ends a transaction by itself comes before it
begins.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import SplitResult, unquote

import pyarrow as pa
import pyarrow.csv as arrow_csv
from cryptography.hazmat.primitives import serialization

from trunkline.errors import Aborted, FailedPrecondition, InvalidArgument, TrunklineError, Unavailable
from trunkline.storage.databases.casting import as_hexadecimal, cast_text, first_bad
from trunkline.storage.databases.rows import Layout, read_rows, table_of
from trunkline.storage.reading.content import Content

LOGIN_S = 30
ANSWER_S = 300
"""How long a request is repeated that gets no answer."""
PART_BYTES = 64 << 20
"""A part before it is compressed."""
_KNOWN = ("account", "warehouse", "role", "protocol", "authenticator")
_CHECKED = {"NUMBER": pa.float64(), "FLOAT": pa.float64(), "DATE": pa.date32()}
"""What Snowflake would find out itself, but without the file and its row."""
_PARSED = ("VARIANT", "OBJECT", "ARRAY")
_FORMAT = (
    "file_format = (type = csv compression = gzip field_optionally_enclosed_by = '\"' "
    "escape_unenclosed_field = none null_if = () empty_field_as_null = true)"
)
_ASK = (
    "select table_name, column_name, data_type from information_schema.columns "
    "where table_schema = current_schema() and upper(table_name) = upper(%s) order by table_name, ordinal_position"
)


@dataclass(frozen=True, slots=True)
class Snowflake:
    """An account, a database and a schema in it; nothing has been asked of it yet."""

    settings: Mapping[str, Any] = field(repr=False)
    shown: str
    hidden: str = field(default="", repr=False)

    def translated(self, error: Exception, where: str) -> TrunklineError:
        """What an error of Snowflake means. where: what was being done."""
        errors = importlib.import_module("snowflake.connector.errors")
        text = " ".join(str(error).split())
        text = text.replace(self.hidden, "***") if self.hidden else text
        refused = isinstance(error, errors.ProgrammingError | errors.IntegrityError | errors.DataError)
        return (FailedPrecondition if refused else Unavailable)(f"{self.shown}: {where}: {text}")


@dataclass(frozen=True, slots=True)
class _Table:
    """A table as it is called there, and the kinds of its columns."""

    name: str
    kinds: dict[str, str]


@dataclass(slots=True)
class _Group:
    """Files for some columns of a table."""

    table: _Table
    names: tuple[str, ...]
    folder: str
    parts: int = 0


def open_snowflake(parts: SplitResult, password: str, shown: str, query: Mapping[str, str]) -> Snowflake:
    """The schema of snowflake://USER@ACCOUNT/DATABASE[/SCHEMA][?warehouse=W&role=R].

    With `account` among the parameters, what stands for it in the URL is a host. password: or a private key in PEM.
    Raises InvalidArgument.
    """
    for name in query:
        if name not in _KNOWN:
            raise InvalidArgument(f'{shown}: "{name}" is no parameter here, only {", ".join(_KNOWN)}')
    host = parts.hostname or ""
    database, _, schema = unquote(parts.path).removeprefix("/").partition("/")
    made: dict[str, Any] = {
        **{name: query[name] for name in _KNOWN if name in query},
        "user": unquote(parts.username or ""),
        "database": database,
        "schema": schema or "PUBLIC",
        "login_timeout": LOGIN_S,
        "network_timeout": ANSWER_S,
        "application": "Trunkline",
    }
    if "account" in query:
        made |= {"host": host} | ({"port": parts.port} if parts.port else {})
    else:
        made["account"] = host.removesuffix(".snowflakecomputing.com")
    if password.lstrip().startswith("-----BEGIN"):
        made |= {"private_key": _key(password, shown), "authenticator": "SNOWFLAKE_JWT"}
    else:
        made["password"] = password
    return Snowflake(made, shown, password)


def _key(text: str, shown: str) -> bytes:
    try:
        key = serialization.load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError) as error:
        raise InvalidArgument(f"{shown}: the private key in the secret cannot be read: {error}") from None
    kind = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.DER, kind, serialization.NoEncryption())


def write_snowflake(
    place: Snowflake, contents: Iterator[Content], layout: Layout, wanted: Callable[[], bool]
) -> dict[str, int]:
    """As `write_rows`."""
    connector = importlib.import_module("snowflake.connector")
    with tempfile.TemporaryDirectory(prefix="trunkline") as folder:
        load = _Load(place, layout, wanted, Path(folder))
        try:
            with connector.connect(**place.settings) as connection:
                try:
                    return load.run(connection.cursor(), contents)
                except BaseException:
                    with suppress(connector.errors.Error):  # the end of the session does so in any case
                        connection.rollback()
                    raise
        except connector.errors.Error as error:
            raise place.translated(error, load.at) from None


class _Load:
    """One run of it. at: what is being done, for errors."""

    def __init__(self, place: Snowflake, layout: Layout, wanted: Callable[[], bool], folder: Path) -> None:
        self.at = "connecting"
        self._place, self._layout, self._wanted = place, layout, wanted
        self._folder, self._stage = folder, folder.name
        self._tables: dict[str, _Table] = {}
        self._groups: dict[tuple[str, tuple[str, ...]], _Group] = {}
        self._counts: dict[str, int] = {}

    def run(self, cursor: Any, contents: Iterable[Content]) -> dict[str, int]:
        """Upload everything, then load it. Raises the connector's errors."""
        cursor.execute(f"create temporary stage {self._stage}")
        part = _Part(self._folder / "part.csv.gz")
        for content in contents:
            name = table_of(content.path)
            self.at = f"table {name}"
            if name not in self._tables:
                self._tables[name] = self._table(cursor, name)
                self._counts[name] = 0
            self.at = content.path
            self._add(cursor, part, name, content)
        part.flush(lambda group: self._put(cursor, part, group))
        self._need_wanted()
        cursor.execute("begin")
        for name, table in self._tables.items():
            self.at = f"table {name}"
            cursor.execute(f"delete from {_quoted(table.name)}")
            for group in self._groups.values():
                if group.table is table:
                    self._need_wanted()
                    cursor.execute(statement(group, self._stage))
        cursor.execute("commit")
        return self._counts

    def _need_wanted(self) -> None:
        if not self._wanted():
            raise Aborted("writing rows is not wanted any more; none were written")

    def _table(self, cursor: Any, name: str) -> _Table:
        found: dict[str, dict[str, str]] = {}
        for called, column, kind in cursor.execute(_ASK, (name,)).fetchall():
            found.setdefault(called, {})[column] = kind
        called = name if name in found else next(iter(found), None)
        if called is None:
            raise FailedPrecondition(f"{self._place.shown} has no table {name}; create it first")
        if len(found) > 1 and name not in found:
            raise FailedPrecondition(f"{self._place.shown} has the tables {', '.join(found)}, but no {name}")
        return _Table(called, found[called])

    def _add(self, cursor: Any, part: _Part, name: str, content: Content) -> None:
        table, rows = self._tables[name], 0
        for page in read_rows(content.read(0), content.path, self._layout, list(table.kinds)):
            self._need_wanted()
            names = tuple(page.column_names)
            group = self._groups.get((table.name, names))
            if group is None:
                group = self._groups[table.name, names] = _Group(table, names, f"g{len(self._groups)}")
            if part.group is not group or part.size > PART_BYTES:
                part.flush(lambda full: self._put(cursor, part, full))
            part.write(group, _checked(table, content.path, rows, page))
            rows += page.num_rows
        self._counts[name] += rows

    def _put(self, cursor: Any, part: _Part, group: _Group) -> None:
        group.parts += 1
        file = part.path.rename(part.path.with_name(f"{group.parts}.csv.gz"))
        cursor.execute(f"put 'file://{file}' @{self._stage}/{group.folder}/ auto_compress = false")
        file.unlink()


class _Part:
    """Rows that are uploaded together. group: whose; size: bytes so far, before they are compressed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.group: _Group | None = None
        self.size = 0
        self._sink: BinaryIO | None = None

    def write(self, group: _Group, page: pa.Table) -> None:
        """Add rows of the one group there is."""
        if self._sink is None:
            self.group, self._sink = group, pa.CompressedOutputStream(str(self.path), "gzip")
        plain = pa.BufferOutputStream()
        arrow_csv.write_csv(page, plain, arrow_csv.WriteOptions(include_header=False, quoting_style="all_valid"))
        data = plain.getvalue()
        self.size += data.size
        self._sink.write(data)

    def flush(self, put: Callable[[_Group], None]) -> None:
        """Have what there is uploaded."""
        if self._sink is None or self.group is None:
            return
        self._sink.close()
        put(self.group)
        self.group, self.size, self._sink = None, 0, None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def statement(group: _Group, stage: str) -> str:
    """What copies the files of a group into its table. stage: where the folder of the group is."""
    names = ", ".join(_quoted(name) for name in group.names)
    source = f"@{stage}/{group.folder}/"
    if any(group.table.kinds[name] in _PARSED for name in group.names):  # else JSON would be a text
        parsed = [
            f"parse_json(${at})" if group.table.kinds[name] in _PARSED else f"${at}"
            for at, name in enumerate(group.names, 1)
        ]
        source = f"(select {', '.join(parsed)} from {source})"
    return f"copy into {_quoted(group.table.name)} ({names}) from {source} {_FORMAT} on_error = abort_statement"


def _checked(table: _Table, path: str, before: int, page: pa.Table) -> pa.Table:
    columns = {name: page[name].combine_chunks() for name in page.column_names}
    for name, texts in columns.items():
        if table.kinds[name] == "BINARY":
            columns[name] = as_hexadecimal(texts)
        kind = _CHECKED.get(table.kinds[name])
        if kind is None:
            continue
        try:
            cast_text(texts, kind)
        except pa.ArrowInvalid:
            row = first_bad(texts, kind)
            raise InvalidArgument(
                f'{path}, row {before + row + 1}: "{texts[row].as_py()}" is no {table.kinds[name]}, which column '
                f"{name} of table {table.name} holds"
            ) from None
    return pa.table(columns)
