"""What a function of a transaction sees: statements, one instant, ids that replay, and events."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Executable, Insert, Row, SelectBase, Table, UpdateBase, insert, text

from trunkline.ambient import Ambient, Micros, chance, id_from
from trunkline.catalog.engine.failures import undecodable
from trunkline.catalog.engine.fixed import Fixed, Line, listened_to
from trunkline.catalog.engine.wake import thing
from trunkline.catalog.tables import events
from trunkline.errors import Internal

AnyRow = Row[*tuple[Any, ...]]
"""A row of any query: a tuple whose columns are attributes too."""

T = TypeVar("T")
_SLICE = 500

Params = Mapping[str, Any] | Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Seed:
    """Where a transaction's instant and ids come from. The same seed gives the same again, so work can be repeated.

    A request that is recorded and run later keeps its seed: dry run, retry and the final run then give equal ids.
    """

    now_us: Micros
    number: int

    @classmethod
    def draw(cls, ambient: Ambient) -> Seed:
        """A fresh one."""
        return cls(ambient.now_us(), ambient.seed())


class Rows:
    """The rows that a statement gave, all fetched: no statement stays open behind them."""

    __slots__ = ("_rows", "rowcount")

    def __init__(self, rows: Sequence[AnyRow], rowcount: int) -> None:
        self._rows = rows
        self.rowcount = rowcount
        """How many rows an insert, update or delete touched; -1 where the driver does not say."""

    def __iter__(self) -> Iterator[AnyRow]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def all(self) -> list[AnyRow]:
        """Every row."""
        return list(self._rows)

    def first(self) -> AnyRow | None:
        """The first row, None where there is none."""
        return self._rows[0] if self._rows else None

    def one(self) -> AnyRow:
        """The only row. Raises Internal where there are none or several: the query promised one."""
        if len(self._rows) != 1:
            raise Internal(f"a query that always gives one row gave {len(self._rows)}")
        return self._rows[0]

    def scalar(self) -> Any:
        """The first column of the first row, None where there is no row."""
        return self._rows[0][0] if self._rows else None

    def scalars(self) -> list[Any]:
        """The first column of every row."""
        return [row[0] for row in self._rows]


@dataclass(slots=True)
class Scope:
    """What all views of one running function share."""

    connection: Connection
    line: Line
    """The same connection, for statements whose text never changes."""
    in_transaction: Callable[[], bool]
    is_write: bool
    events: list[dict[str, Any]]
    ended: bool = False
    names: set[str] = field(default_factory=set)
    """What the events are about, as `Wake.subscribe` tells it."""
    known: dict[tuple[Table, ...], dict[Hashable, Any]] = field(default_factory=dict)

    def changed(self, executable: Executable) -> None:
        """Forget the rows that a statement may have changed."""
        if not isinstance(executable, UpdateBase):
            if not isinstance(executable, SelectBase):
                self.known.clear()  # plain text can do anything
            return
        # New rows leave old ones as they are; an insert of a dialect's own may be more than that.
        adds = type(executable) is Insert
        for tables, rows in self.known.items():
            if executable.table in tables:
                kept = {key: row for key, row in rows.items() if row is not None} if adds else {}
                rows.clear()
                rows.update(kept)


class Tx:
    """One function's part of a transaction. Dead once the function returns.

    A function of a transaction has no effect but through its `Tx`, since it may be run again; time and ids come from
    here for the same reason. Query results are fetched whole, so ask for pages (5,000 rows at most) of what can grow.
    """

    __slots__ = ("_ids", "_scope", "_seed")

    def __init__(self, scope: Scope, seed: Seed) -> None:
        self._scope = scope
        self._seed = seed
        self._ids: Callable[[], str] | None = None

    @property
    def now_us(self) -> Micros:
        """The instant of this transaction: one value, however often it is asked for and run."""
        return self._seed.now_us

    @property
    def is_write(self) -> bool:
        """Whether this may change rows; false inside `Catalog.read`."""
        return self._scope.is_write

    @property
    def on_server(self) -> bool:
        """Whether the rows lie on PostgreSQL and not in a file, for the few statements that differ."""
        return self._scope.connection.dialect.name == "postgresql"

    def new_id(self) -> str:
        """A fresh id of 32 hex digits; the n-th call gives the same when the function is run again."""
        if not self.is_write:
            raise Internal("a read makes no ids")
        if self._ids is None:
            self._ids = partial(id_from, chance(self._seed.number))
        return self._ids()

    def seeded(self, seed: Seed) -> Tx:
        """The same transaction under another seed, for a recorded request that keeps its own."""
        return Tx(self._scope, seed)

    def row(self, tables: tuple[Table, ...], key: Hashable, look: Callable[[], T | None]) -> T | None:
        """The one row of that key, None where there is none; `look` reads it, from these tables and nothing else.

        It is read again only after a change of one of them in this transaction: nobody else changes anything in the
        meantime. What is answered belongs to all who ask.
        """
        known = self._scope.known.setdefault(tables, {})
        if key not in known:
            known[key] = look()
        found: T | None = known[key]
        return found

    def execute(self, statement: Executable | Fixed | str, params: Params | None = None) -> Rows:
        """Run one statement. `params`: its named values, or several sets of them to run it once for each.

        Raises what the driver raises; let it pass, `transact` tells the caller in words.
        """
        scope = self._scope
        if scope.ended:
            raise Internal("a transaction was used after its function had returned")
        if not scope.in_transaction():
            # Going on would write outside of any transaction.
            raise Internal("the transaction was ended by an earlier error that its function kept to itself")
        fixed = statement if isinstance(statement, Fixed) else None
        executable: Executable
        if isinstance(statement, Fixed):
            executable = statement.statement
        else:
            executable = text(statement) if isinstance(statement, str) else statement
        if scope.is_write:
            scope.changed(executable)
        try:
            if fixed is not None and not listened_to(scope.connection):
                return Rows(*fixed.run(scope.line, {} if params is None else params))
            scope.line.began()
            result = scope.connection.execute(executable, params)
            if result.returns_rows:
                rows = result.all()
                return Rows(rows, len(rows))
            return Rows((), result.rowcount)
        except UnicodeDecodeError as error:
            raise undecodable(error) from error

    def emit(self, topic: str, payload: Mapping[str, Any]) -> None:
        """Add an event to the outbox, seen by others if and when this transaction is committed.

        payload: plain JSON values; who waits for news of one thing hears of those with its number as their "seq".
        Events keep the order in which they were emitted.
        """
        if not self.is_write:
            raise Internal("a read emits no events")
        body = json.dumps(payload, separators=(",", ":"), ensure_ascii=False)
        self._scope.events.append({"topic": topic, "payload": body, "at_us": self.now_us})
        self._scope.names.add(topic)
        if "seq" in payload:
            self._scope.names.add(thing(topic, payload["seq"]))


_EMIT = Fixed(insert(events))
_EMIT_LAST = Fixed(insert(events).returning(events.c.seq))


def flush(tx: Tx) -> int | None:
    """Write the events that were emitted. Answers the number of the last one, None without any."""
    scope = tx._scope
    if not scope.events:
        return None
    *others, last = scope.events
    if others:
        tx.execute(_EMIT, others)
    scope.events = []
    return int(tx.execute(_EMIT_LAST, last).scalar())


def names_of(tx: Tx) -> frozenset[str]:
    """What the events are about that were emitted."""
    return frozenset(tx._scope.names)


def end(tx: Tx) -> None:
    """Let no statement through any more."""
    tx._scope.ended = True


def slices(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """The items in order, as many at a time as one statement should name."""
    for start in range(0, len(items), _SLICE):
        yield items[start : start + _SLICE]
