"""What MySQL and MariaDB need so that they write what the files say, or nothing."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Table, text

from trunkline.errors import FailedPrecondition, InvalidArgument

_MODE = (
    "STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,"
    "NO_AUTO_VALUE_ON_ZERO"
)
"""Whatever the server's own mode is: no value is cut to fit, and a zero stays one in a column that counts by itself."""
_FILES = ("ssl_ca", "ssl_cert", "ssl_key")
_TEXTS = ("charset", "collation")
_KNOWN = (*_TEXTS, *_FILES, "tls")
_TLS = ("true", "false", "skip-verify", "preferred")
_GONE = frozenset({1040, 1042, 1043, 1044, 1045, 1053, 1129, 1152, 1158, 1159, 1160, 1161, 1205, 1213, 1290, 1927})
"""Errors of the server that have nothing to do with what was written: connections, access, locks, going down."""


def options(query: Mapping[str, str], shown: str) -> dict[str, Any]:
    """What to connect with, by a URL's parameters. Raises InvalidArgument."""
    for name in query:
        if name not in _KNOWN:
            raise InvalidArgument(f'{shown}: "{name}" is no parameter here, only {", ".join(_KNOWN)}')
    made: dict[str, Any] = {name: query[name] for name in (*_TEXTS, *_FILES) if name in query}
    made |= {"sql_mode": _MODE, "init_command": "SET time_zone = '+00:00'"}
    tls = query.get("tls", "preferred")
    if tls not in _TLS:
        raise InvalidArgument(f'{shown}: tls is one of {", ".join(_TLS)}, not "{tls}"')
    if tls == "false":
        made["ssl_disabled"] = True
    elif tls != "preferred":
        context = ssl.create_default_context(cafile=query.get("ssl_ca"))
        if tls == "skip-verify":
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if "ssl_cert" in query:
            context.load_cert_chain(query["ssl_cert"], query.get("ssl_key"))
        made = {name: value for name, value in made.items() if name not in _FILES} | {"ssl": context}
    return made


def passing(told: object) -> bool:
    """Whether an error of the driver says that it may work later, as far as one can know."""
    code = told.args[0] if isinstance(told, Exception) and told.args else None
    return isinstance(code, int) and (code in _GONE or 2000 <= code < 3000)


def need_transactions(connection: Connection, table: Table, shown: str) -> None:
    """Refuse a table whose rows cannot be taken back. Raises FailedPrecondition."""
    question = text(
        "SELECT t.TABLE_TYPE, e.ENGINE, e.TRANSACTIONS FROM information_schema.TABLES t"
        " LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE"
        " WHERE t.TABLE_SCHEMA = COALESCE(:place, DATABASE()) AND t.TABLE_NAME = :name"
    )
    kind, engine, transactions = connection.execute(question, {"place": table.schema, "name": table.name}).one()
    if kind != "BASE TABLE":
        raise FailedPrecondition(f"{shown}: {table.name} is no table but a {kind.lower()}; name the table below it")
    if transactions != "YES":
        raise FailedPrecondition(
            f"{shown}: table {table.name} is kept by {engine}, which knows no transactions, so that half of a commit "
            f"could be left in it; type ALTER TABLE {table.name} ENGINE=InnoDB"
        )
