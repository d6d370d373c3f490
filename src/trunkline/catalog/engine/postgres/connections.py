"""Connections to a PostgreSQL server: from a URL to what SQLAlchemy works with."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import NullPool

from trunkline.errors import FailedPrecondition, InvalidArgument

if TYPE_CHECKING:
    import psycopg

SCHEMES = ("postgresql", "postgres")
CONNECT_S = 10
IDLE_S = 10
"""A process that is stopped in the middle of its turn loses that after so long; the others go on then."""
TURN_S = 60
"""How long a turn is waited for."""
OLDEST = 130000
"""The first release that can say what became of a transaction whose connection broke."""


@dataclass(frozen=True)
class Place:
    """A database of a server. Its URL is not for eyes: it may hold a password."""

    url: str = field(repr=False)

    @classmethod
    def of(cls, url: str) -> Place:
        """The place of postgresql://USER:PASSWORD@HOST:PORT/DATABASE?PARAMETERS; the parameters are those of libpq.

        Raises InvalidArgument, and FailedPrecondition where the driver is not installed.
        """
        place = cls(url)
        if not url.startswith(tuple(f"{one}://" for one in SCHEMES)):
            raise InvalidArgument(
                f'database "{place.shown}" is no URL of PostgreSQL: write postgresql://USER@HOST:PORT/DATABASE'
            )
        if importlib.util.find_spec("psycopg") is None:
            raise FailedPrecondition(
                f"the catalog cannot live in {place.shown}: the Python package psycopg is not installed beside this "
                "server; install it with `pip install 'trunkline[postgres]'`"
            )
        place.check()
        return place

    def check(self) -> None:
        """Raises InvalidArgument unless the driver understands the URL."""
        import psycopg
        from psycopg.conninfo import conninfo_to_dict

        try:
            conninfo_to_dict(self.url)
        except psycopg.Error as error:
            why = " ".join(str(error).split())
            why = why.replace(self.url, self.shown)
            why = why.replace(self.password, "***") if self.password else why
            raise InvalidArgument(f"database {self.shown} cannot be understood: {why}") from None

    @cached_property
    def password(self) -> str:
        """The password in it; "": there is none."""
        netloc, query = urlsplit(self.url).netloc, urlsplit(self.url).query
        user, at, _ = netloc.rpartition("@")
        return unquote(user.partition(":")[2]) if at and ":" in user else dict(parse_qsl(query)).get("password", "")

    @cached_property
    def shown(self) -> str:
        """The URL without anything that is not for eyes."""
        parts = urlsplit(self.url)
        user, at, host = parts.netloc.rpartition("@")
        kept = [(name, value) for name, value in parse_qsl(parts.query) if name in ("host", "port", "options")]
        return urlunsplit((parts.scheme, f"{user.partition(':')[0]}{at}{host}", parts.path, urlencode(kept), ""))

    def connect(self) -> psycopg.Connection[Any]:
        """A connection on which BEGIN and COMMIT are ours. Raises psycopg.Error."""
        import psycopg

        connection = psycopg.connect(
            self.url,
            autocommit=True,
            client_encoding="UTF8",
            application_name="trunkline",
            connect_timeout=CONNECT_S,
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
            # After a ROLLBACK it would have the server forget all that is prepared, ours too (line.py).
            prepare_threshold=None,
        )
        connection.adapters.register_loader("numeric", _whole_numbers())
        settings = (
            f"SET idle_in_transaction_session_timeout = '{IDLE_S}s'; SET lock_timeout = '{TURN_S}s'; "
            "SET statement_timeout = 0; SET client_min_messages = warning; SET TimeZone = 'UTC'"
        )
        connection.execute(settings.encode(), prepare=False)
        return connection


def _whole_numbers() -> type[Any]:
    """Sums of whole numbers are `numeric` to the server, and whole numbers to us."""
    from psycopg.adapt import Buffer, Loader

    class WholeNumber(Loader):
        def load(self, data: Buffer) -> int:
            return int(bytes(data))

    return WholeNumber


def make_engine(place: Place) -> Engine:
    """SQLAlchemy's side: one cache of compiled statements for all connections, no pool, no transactions of its own."""
    engine = create_engine(
        "postgresql+psycopg://", creator=place.connect, poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )
    # SQLAlchemy and alembic end a transaction here and there, in the belief that it is theirs.
    for verb in ("do_begin", "do_commit", "do_rollback"):
        setattr(engine.dialect, verb, _nothing)
    return engine


def _nothing(_connection: object) -> None:
    """Ours to do."""


def raw_of(connection: Connection) -> psycopg.Connection[Any]:
    """The driver's own connection, for what SQLAlchemy has no words for."""
    raw: psycopg.Connection[Any] = connection.connection.dbapi_connection  # type: ignore[assignment]
    return raw


def check_release(connection: psycopg.Connection[Any], name: str) -> None:
    """Raises FailedPrecondition for a server that is too old."""
    found = connection.info.server_version
    if found < OLDEST:
        raise FailedPrecondition(
            f"the server of {name} is PostgreSQL {found // 10000}; the catalog needs {OLDEST // 10000} or later"
        )
