"""What a function of a transaction sees: statements, one instant, ids that replay, and events."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Executable, Insert, Row, SelectBase, Table, UpdateBase, insert, text
from sqlalchemy.engine.interfaces import ExecuteStyle

from trunkline.ambient import Ambient, Micros, chance, id_from
from trunkline.catalog.engine.failures import undecodable
from trunkline.catalog.engine.fixed import Changes, Count, Fixed, Line, listened_to
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

    __slots__ = ("_count", "_rows")

    def __init__(self, rows: Sequence[AnyRow], rowcount: Count) -> None:
        self._rows = rows
        self._count = rowcount

    @property
    def rowcount(self) -> int:
        """How many rows an insert, update or delete touched; -1 where the driver does not say."""
        return self._count if isinstance(self._count, int) else self._count()

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


class Marks:
    """When functions last changed rows of each table: counted, from the start of this process, by its only writer."""

    __slots__ = ("_newest", "of")

    def __init__(self) -> None:
        self._newest = 0
        self.of: dict[Table | None, int] = {}
        """None: rows of any table."""

    @property
    def newest(self) -> int:
        """All that was changed so far has this mark or a lower one."""
        return self._newest

    def touch(self, table: Table | None) -> None:
        """Rows of it may change now."""
        self._newest += 1
        self.of[table] = self._newest


@dataclass(slots=True)
class Trace:
    """What a function changed. whole: nothing is missing. drawn: how many ids it had made by then."""

    changes: Changes = field(default_factory=list)
    whole: bool = True
    drawn: int = 0


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
    marks: Marks = field(default_factory=Marks)
    trace: Trace | None = None

    def changed(self, executable: Executable) -> bool:
        """Forget the rows that a statement may have changed. Whether it is one that changes rows of one table."""
        if not isinstance(executable, UpdateBase):
            if not isinstance(executable, SelectBase):
                self.known.clear()  # plain text can do anything
                self.marks.touch(None)
                if self.trace is not None:
                    self.trace.whole = False
            return False
        self.marks.touch(cast(Table, executable.table))
        # New rows leave old ones as they are; an insert of a dialect's own may be more than that.
        adds = type(executable) is Insert
        for tables, rows in self.known.items():
            if executable.table in tables:
                kept = {key: row for key, row in rows.items() if row is not None} if adds else {}
                rows.clear()
                rows.update(kept)
        return True


class Tx:
    """One function's part of a transaction. Dead once the function returns.

    A function of a transaction has no effect but through its `Tx`, since it may be run again; time and ids come from
    here for the same reason. Query results are fetched whole, so ask for pages (5,000 rows at most) of what can grow.
    """

    __slots__ = ("_drawn", "_ids", "_scope", "_seed")

    def __init__(self, scope: Scope, seed: Seed) -> None:
        self._scope = scope
        self._seed = seed
        self._ids: Callable[[], str] | None = None
        self._drawn = 0

    @property
    def now_us(self) -> Micros:
        """The instant of this transaction: one value, however often it is asked for and run."""
        return self._seed.now_us

    @property
    def seed(self) -> Seed:
        """Where its instant and ids come from."""
        return self._seed

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
        self._drawn += 1
        return self._ids()

    def seeded(self, seed: Seed) -> Tx:
        """The same transaction under another seed, for a recorded request that keeps its own."""
        return Tx(self._scope, seed)

    @property
    def mark(self) -> int:
        """What `unchanged` takes later on to say whether rows are what they are now."""
        return self._scope.marks.newest

    def unchanged(self, mark: int, but: Collection[Table] = ()) -> bool:
        """Whether this process has changed no row since, other than of the tables `but`."""
        return not any(at > mark and table not in but for table, at in self._scope.marks.of.items())

    @contextmanager
    def undone(self) -> Iterator[None]:
        """What is done while this is entered is undone at its end: rows and events, but not the ids that were made."""
        scope = self._scope
        events, names, marks = list(scope.events), set(scope.names), dict(scope.marks.of)
        self._say("SAVEPOINT trial")
        yield
        self._say("ROLLBACK TO SAVEPOINT trial")
        self._say("RELEASE SAVEPOINT trial")
        scope.events, scope.names, scope.marks.of = events, names, marks
        scope.known.clear()

    @contextmanager
    def traced(self, before: Trace | None = None) -> Iterator[Trace]:
        """Notes what is changed while this is entered, behind what was changed before."""
        scope = self._scope
        trace = Trace(list(before.changes), before.whole) if before else Trace()
        scope.trace = trace
        try:
            yield trace
        finally:
            scope.trace = None
            trace.drawn = self._drawn

    def again(self, trace: Trace) -> bool:
        """Change again what was changed, on the same rows as then. False, with nothing done: that cannot be done."""
        scope = self._scope
        scope.known.clear()
        scope.marks.touch(None)
        if not trace.whole or not scope.line.again(trace.changes):
            return False
        while self._drawn < trace.drawn:
            self.new_id()
        return True

    def _say(self, words: str) -> None:
        self._scope.line.began()
        self._scope.connection.exec_driver_sql(words)

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

        Raises what the driver raises; let it pass, `transact` tells the caller in words. What is wrong with a change
        may be raised by a later statement, or when the function has returned.
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
        trace = scope.trace if scope.is_write and scope.changed(executable) else None
        try:
            if fixed is not None and not listened_to(scope.connection):
                changes = None if trace is None else trace.changes
                return Rows(*fixed.run(scope.line, {} if params is None else params, changes))
            scope.line.began()
            result = scope.connection.execute(executable, params)
            if trace is not None:
                _note(trace, result.context)
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


def _note(trace: Trace, context: Any) -> None:
    """Add to a trace what SQLAlchemy made of a statement."""
    if context.execute_style is ExecuteStyle.INSERTMANYVALUES:  # it made several
        trace.whole = False
    trace.changes.extend((context.statement, values) for values in context.parameters)


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
