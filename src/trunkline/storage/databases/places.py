"""From a URL to the database that it means, and the database's errors in words."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from trunkline.errors import FailedPrecondition, InvalidArgument, TrunklineError, Unavailable
from trunkline.storage.databases import mysql
from trunkline.storage.databases.snowflake import Snowflake, open_snowflake

CONNECT_S = 10
_DRIVERS = {
    "postgres": ("postgresql+psycopg", "psycopg", "psycopg[binary]"),
    "postgresql": ("postgresql+psycopg", "psycopg", "psycopg[binary]"),
    "mysql": ("mysql+pymysql", "pymysql", "pymysql"),
    "snowflake": ("", "snowflake.connector", "snowflake-connector-python"),
    "sqlite": ("sqlite", "sqlite3", "sqlite3"),
}
_AT_ROW = re.compile(r" at row \d+\b")
"""Counted within one of several statements, which nobody knows."""


@dataclass(frozen=True, slots=True)
class Database:
    """A database to write into; nothing has been asked of it yet. schema: where its tables are; None: the usual."""

    engine: Engine = field(repr=False)
    schema: str | None
    shown: str
    hidden: str = field(default="", repr=False)

    def translated(self, error: Exception, where: str) -> TrunklineError:
        """What an error of the database means. where: the file that was being written, or what was done."""
        told = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        text = " ".join(str(told).split()) or type(told).__name__
        if len(told.args) == 2 and isinstance(told.args[0], int):  # as MySQL's driver has it: a number, and words
            text = _AT_ROW.sub("", f"{told.args[1]} (error {told.args[0]})")
        text = text.replace(self.hidden, "***") if self.hidden else text
        kind = Unavailable if self.passing(error) else FailedPrecondition
        return kind(f"{self.shown}: {where}: {text}")

    def passing(self, error: Exception) -> bool:
        """Whether an error may be gone later, with the same rows."""
        if self.engine.dialect.name == "mysql" and isinstance(error, DBAPIError):
            return mysql.passing(error.orig)
        return isinstance(error, OperationalError)


def shown_database(url: str) -> str:
    """A URL without password and parameters, for people."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    return f"{parts.scheme.lower()}://{user.partition(':')[0]}{at}{host}{parts.path}"


def open_database(url: str, password: str, own: Path | None = None) -> Database | Snowflake:
    """The database of PROTOCOL://USER@HOST[:PORT]/DATABASE[/SCHEMA][?PARAMETERS], or of sqlite:///FILE.

    own: a folder of ours in which no database is written. Raises InvalidArgument, and FailedPrecondition when what it
    needs is not installed.
    """
    parts = urlsplit(url)
    scheme, shown = parts.scheme.lower(), shown_database(url)
    if scheme not in _DRIVERS:
        raise InvalidArgument(f'"{shown}" is no URL of a database: it begins with {", ".join(_DRIVERS)}')
    if parts.password:
        raise InvalidArgument(f"{shown}: a URL holds no password; put it into a secret, and name that")
    driver, module, package = _DRIVERS[scheme]
    try:
        importlib.import_module(module)
    except ImportError:
        raise FailedPrecondition(
            f"{shown}: this server cannot write to {scheme}: the Python package {package} is not installed beside it; "
            f"install it with `pip install '{package}'`"
        ) from None
    database, _, schema = unquote(parts.path).removeprefix("/").partition("/")
    if scheme == "sqlite":
        return _sqlite(unquote(parts.path).removeprefix("/"), shown, own)
    if not parts.hostname or not database:
        raise InvalidArgument(f"{shown} names no host or no database: write {scheme}://USER@HOST/DATABASE")
    query = dict(parse_qsl(parts.query))
    if scheme == "snowflake":
        return open_snowflake(parts, password, shown, query)
    try:
        made = URL.create(
            driver,
            username=unquote(parts.username) if parts.username else None,
            password=password or None,
            host=parts.hostname,
            port=parts.port,
            database=database,
            query={} if scheme == "mysql" else query,
        )
        options: dict[str, Any] = mysql.options(query, shown) if scheme == "mysql" else {}
        engine = create_engine(made, poolclass=NullPool, connect_args={"connect_timeout": CONNECT_S} | options)
    except (ValueError, OSError, SQLAlchemyError, NoSuchModuleError) as error:
        raise InvalidArgument(f"{shown} cannot be opened: {str(error).partition(chr(10))[0]}") from None
    return Database(engine, schema or None, shown, password)


def _sqlite(path: str, shown: str, own: Path | None) -> Database:
    file = Path(path)
    if not file.is_absolute():
        raise InvalidArgument(f"{shown}: give the whole path of the file on the server, as sqlite:////data/file.db")
    if own is not None and file.resolve().is_relative_to(own.resolve()):
        raise InvalidArgument(f"{shown} lies in the data folder of this server, where nobody else writes")
    if not file.is_file():
        raise FailedPrecondition(f"{shown} is not there; make the database and its tables first")
    return Database(create_engine(URL.create("sqlite", database=path), poolclass=NullPool), None, shown)
