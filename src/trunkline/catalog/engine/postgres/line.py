"""A connection as `Fixed` statements use it: through libpq itself, each statement prepared once.

The driver's own way takes three times as long, and SQLAlchemy's ten times. Other statements go through them on the same
connection, which is as they left it between any two calls here.
"""

from __future__ import annotations

import re
import select
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from sqlalchemy import Boolean, Dialect, Integer, LargeBinary, String
from sqlalchemy.dialects import postgresql

from trunkline.catalog.engine.fixed import Changes, Count, Plan

STATEMENTS = 512
"""How many statements a connection keeps prepared: more than we have."""
_AT_ONCE = 64
"""So many rows are written, or statements sent, before an answer is waited for."""

_TEXT, _BINARY = 0, 1
_FINE = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)
_PLACE = re.compile(r"\$(\d+)")

Values = Sequence[Any]
Result = Any
"""What libpq answered."""
_Call = tuple[bytes, Any, list[int] | None]
"""A prepared statement's name, its values, and how these are written."""


class Later:
    """How many rows a change touched that was put off: who asks has it done."""

    __slots__ = ("_count", "_done")

    def __init__(self, done: Callable[[], None]) -> None:
        self._done, self._count = done, -1

    def __call__(self) -> int:
        """The number; -1 where the change was left undone."""
        if self._count < 0:
            self._done()
        return self._count

    def found(self, result: Result) -> None:
        """What the server answered to one statement of it."""
        self._count = max(self._count, 0) + (result.command_tuples or 0)


class ServerLine:
    """Statements of one connection. count: how often the server was waited for, since the connection was made.

    writes: changes that answer no rows are put off, and go to the server together with the next statement that does.
    What is wrong with one is raised there.
    """

    def __init__(self, raw: psycopg.Connection[Any], *, writes: bool = False) -> None:
        self.dialect: Dialect = DIALECT
        self.count = 0
        self._writes = writes
        self._put_off: list[tuple[_Call, Later]] = []
        self._raw, self._pg = raw, raw.pgconn
        self._loading = Transformer(raw)
        self._prepared: dict[str, _Prepared] = {}
        self._numbers = 0
        self._first = b""  # what is sent before the next statement, together with it
        self._owed = False  # whether the answer to a ROLLBACK has not been taken
        self._ready = select.poll()
        self._ready.register(self._pg.socket, select.POLLIN)

    def say(self, words: str) -> list[Any]:
        """Statements without values, in one go: the rows of the last one. Raises psycopg.Error."""
        self.done()
        self.settle()
        self.count += 1
        return self._rows(self._checked(self._pg.exec_(words.encode())))

    def begin(self, words: Sequence[str], query: str) -> list[Any]:
        """Statements without values and then a query, all in one go: its rows. Raises psycopg.Error."""
        return self._rows(self._chain([self._known(query, ()).call(())], words)[-1])

    def end(self, words: Sequence[str]) -> None:
        """What was put off, and then statements without values that end the transaction. Raises psycopg.Error."""
        if self._put_off:
            self._chain([], after=words)
        else:
            self.say("; ".join(words))

    def done(self) -> None:
        """Have all happen that was put off. Raises psycopg.Error."""
        if self._put_off:
            self._chain([])

    def forget(self) -> None:
        """Leave undone what was put off: the transaction goes back behind it."""
        self._put_off = []

    def begin_with_next(self, words: str) -> None:
        """Have the transaction begin when it has something to do, without a wait of its own."""
        self.settle()
        self._first = words.encode()

    def began(self) -> None:
        """Begin now what would have begun with the next statement: that one takes another way."""
        self.done()
        if self._first:
            words, self._first = self._first, b""
            self.say(words.decode())

    def roll_back_later(self) -> None:
        """End the transaction, and do not wait for that: the next statement does."""
        if self._first:
            self._first = b""  # it never began
            return
        if self._pg.transaction_status == TransactionStatus.IDLE or self._owed:
            return
        self._pg.send_query(b"ROLLBACK")
        self._owed = True

    def settle(self) -> None:
        """Take the answer that is owed."""
        if self._owed:
            self._owed = False
            for result in self._results():
                self._checked(result)

    def sound(self) -> bool:
        """Whether the transaction is open, or about to be, and no error has ended it."""
        return bool(self._first) or self._pg.transaction_status == TransactionStatus.INTRANS

    def again(self, changes: Changes) -> bool:
        """See `fixed.Line`: numbers that were given once are not given again."""
        return False

    def one(self, plan: Plan, values: Values) -> tuple[list[Any], Count]:
        """See `fixed.Line`."""
        call = self._known(plan.text, plan.types).call(values)
        if plan.rows is None:
            later = Later(self.done)
            self._change(call, later)
            return [], later
        rows = plan.rows(self._rows(self._run(call)))
        return rows, len(rows)

    def many(self, plan: Plan, sets: Sequence[Values]) -> Count:
        """See `fixed.Line`. Rows of an insert go many at once, anything else one behind the other without a wait."""
        later = Later(self.done)
        if plan.text.startswith("INSERT ") and plan.text.endswith(")"):
            for values, times in _powers(sets):
                statement = self._known(_of_rows(plan.text, len(plan.types), times), plan.types * times)
                self._change(statement.call([each for one in values for each in one]), later)
            return later
        statement = self._known(plan.text, plan.types)
        for values in sets:
            self._change(statement.call(values), later)
        return later

    def _change(self, call: _Call, later: Later) -> None:
        if not self._writes:  # a snapshot, which will refuse it
            later.found(self._run(call))
            return
        if len(self._put_off) >= _AT_ONCE:
            self.done()
        self._put_off.append((call, later))

    def _run(self, call: _Call) -> Result:
        if self._first or self._put_off:
            return self._chain([call])[-1]
        self.count += 1
        name, values, formats = call
        return self._checked(self._pg.exec_prepared(name, values, formats, _TEXT))

    def _known(self, text: str, types: Sequence[Any]) -> _Prepared:
        found = self._prepared.get(text)
        if found is None:
            self.began()  # to prepare it takes a wait of its own: nothing is lost by beginning now
            if len(self._prepared) >= STATEMENTS:
                oldest = next(iter(self._prepared))
                self.say(f"DEALLOCATE {self._prepared.pop(oldest).name.decode()}")
            self._numbers += 1
            found = _Prepared.of(b"fixed_%d" % self._numbers, types)
            self.count += 1
            self._checked(self._pg.prepare(found.name, text.encode()))
            self._prepared[text] = found
        return found

    def _chain(self, calls: Sequence[_Call], words: Sequence[str] = (), after: Sequence[str] = ()) -> list[Result]:
        """Send all of them, behind what begins the transaction and what was put off, and only then wait."""
        self.settle()
        before, self._first = [*([self._first] if self._first else ()), *map(str.encode, words)], b""
        put_off, self._put_off = self._put_off, []
        self._pg.enter_pipeline_mode()
        try:
            for each in before:
                self._pg.send_query_params(each, None)
            for call in (*(one for one, _ in put_off), *calls):
                self._pg.send_query_prepared(*call, _TEXT)
            for word in after:
                self._pg.send_query_params(word.encode(), None)
            self._pg.pipeline_sync()
            self.count += 1
            results = self._until_synced()
        finally:
            if self._pg.status == ConnStatus.OK:
                self._pg.exit_pipeline_mode()
        for result in results:
            self._checked(result)
        for (_, later), result in zip(put_off, results[len(before) :], strict=False):
            later.found(result)
        return results[len(before) + len(put_off) :]

    def _until_synced(self) -> list[Result]:
        found: list[Result] = []
        while True:
            for result in self._results():
                if result.status == ExecStatus.PIPELINE_SYNC:
                    return found
                found.append(result)

    def _results(self) -> Iterator[Result]:
        """What the server answers to one statement. Others of this process run meanwhile."""
        while True:
            while self._pg.is_busy():
                unsent = self._pg.flush()
                self._ready.modify(self._pg.socket, select.POLLIN | (select.POLLOUT if unsent else 0))
                self._ready.poll()
                self._pg.consume_input()
            result = self._pg.get_result()
            if result is None:
                if self._pg.status != ConnStatus.OK:
                    raise psycopg.OperationalError("the connection is lost")
                return
            yield result
            if result.status == ExecStatus.PIPELINE_SYNC:
                return

    def _checked(self, result: Result) -> Result:
        if result.status in _FINE:
            return result
        if self._pg.status != ConnStatus.OK:
            # What the server said last tells more than that it hung up.
            told = error_from_result(result, encoding="utf-8")
            raise told if told.sqlstate else psycopg.OperationalError(str(told))
        raise error_from_result(result, encoding="utf-8")

    def _rows(self, result: Result) -> list[Any]:
        if result.status != ExecStatus.TUPLES_OK:
            return []
        self._loading.set_pgresult(result)
        return self._loading.load_rows(0, result.ntuples, tuple)


DIALECT: Dialect = postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
"""PostgreSQL as SQLAlchemy speaks it, with numbered places for values, as the server itself wants them."""


def _powers(sets: Sequence[Values]) -> Iterable[tuple[Sequence[Values], int]]:
    """The sets in order, a power of two at a time: else there would be a statement for every number of rows."""
    at = 0
    while at < len(sets):
        times = min(_AT_ONCE, 1 << ((len(sets) - at).bit_length() - 1))
        yield sets[at : at + times], times
        at += times


def _of_rows(text: str, width: int, times: int) -> str:
    """An insert of one row as one of several."""
    if times == 1:
        return text
    head, word, row = text.partition(" VALUES ")
    rows = (_PLACE.sub(lambda place, by=at * width: f"${int(place[1]) + by}", row) for at in range(times))  # type: ignore[misc]
    return head + word + ", ".join(rows)


@dataclass(slots=True)
class _Prepared:
    """A statement that the server knows by a name. formats: None where all values are texts to it."""

    name: bytes
    writers: list[Callable[[Any], bytes]]
    formats: list[int] | None

    @classmethod
    def of(cls, name: bytes, types: Sequence[Any]) -> _Prepared:
        formats = [_BINARY if isinstance(kind, LargeBinary) else _TEXT for kind in types]
        return cls(name, [_writer(kind) for kind in types], formats if _BINARY in formats else None)

    def call(self, values: Values) -> _Call:
        pairs = zip(self.writers, values, strict=True)
        return self.name, [None if value is None else write(value) for write, value in pairs], self.formats


def _writer(kind: Any) -> Callable[[Any], bytes]:
    """How a value of a column's type is written for the server."""
    if isinstance(kind, String):
        return _text
    if isinstance(kind, Boolean):
        return _truth
    if isinstance(kind, Integer):
        return _whole
    return _blob if isinstance(kind, LargeBinary) else _any


def _text(value: str) -> bytes:
    if "\0" in value:  # libpq would end it there
        raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
    return value.encode()


def _truth(value: object) -> bytes:
    return b"t" if value else b"f"


def _whole(value: int) -> bytes:
    return b"%d" % value


def _blob(value: Any) -> bytes:
    return bytes(getattr(value, "obj", value))  # the driver has put an object around it


def _any(value: Any) -> bytes:
    if isinstance(value, bool):
        return _truth(value)
    return _text(value) if isinstance(value, str) else repr(value).encode()
