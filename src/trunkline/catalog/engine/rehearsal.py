"""Runs every function of a transaction twice and compares, so that tests find the ones that do not repeat.

The engine may run a function again at any time (a neighbour filled the disk, PostgreSQL could not serialise), so a
function must do the same each time: the same statements with the same values, and the same answer.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from sqlalchemy import Engine, event

from trunkline.errors import Internal

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
Attempt = Callable[[], tuple[Any, int | None]]


class Stage(Protocol):
    """What of `writer.Writing` a rehearsal needs."""

    def run(self, words: str) -> None: ...

    def lost(self, error: BaseException) -> bool: ...

    def numbers(self) -> object: ...

    def restore_numbers(self, numbers: object) -> None: ...


class Rehearsal:
    """Listens to the statements of one thread, the writer's. Only for tests: it doubles all work."""

    def __init__(self, engine: Engine) -> None:
        self._statements: list[tuple[str, Any]] = []
        self._first: tuple[list[tuple[str, Any]], Any] = ([], None)
        self._thread = 0
        event.listen(engine, "before_cursor_execute", self._note)

    def first(self, side: Stage, attempt: Attempt) -> None:
        """Run once, note what happened, undo it. An error that ended the transaction goes on to the caller."""
        numbers = side.numbers()
        side.run("SAVEPOINT rehearsal")
        self._thread = threading.get_ident()
        self._statements = []
        outcome: Any
        try:
            outcome = attempt()
        except Exception as error:
            if side.lost(error):
                raise
            outcome = error
        self._first = (self._statements, outcome)
        side.run("ROLLBACK TO rehearsal")
        side.run("RELEASE rehearsal")
        side.restore_numbers(numbers)

    def again(self, attempt: Attempt) -> tuple[Any, int | None]:
        """Run for good. Raises Internal where anything differs from the first time."""
        self._statements = []
        statements, before = self._first
        try:
            outcome = attempt()
        except Exception as error:
            self._compare(statements, before, error)
            raise
        self._compare(statements, before, outcome)
        if isinstance(outcome[0], Iterator):
            raise Internal("a function of a transaction answered an iterator: it would run when the tx is over")
        return outcome

    def _note(
        self, _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
    ) -> None:
        if threading.get_ident() == self._thread:  # readers use the same engine
            self._statements.append((statement, _unwrapped(parameters)))

    def _compare(self, statements: list[tuple[str, Any]], before: Any, after: Any) -> None:
        for old, new in zip(statements, self._statements, strict=False):
            if old != new:
                raise Internal(f"a function of a transaction does not repeat: first {old}, then {new}")
        if len(statements) != len(self._statements):
            raise Internal(
                "a function of a transaction does not repeat: "
                f"{len(statements)} statements at first, then {len(self._statements)}"
            )
        if before != after and _plain(before) != _plain(after):
            raise Internal(f"a function of a transaction does not repeat: it answered {before!r}, then {after!r}")


def _unwrapped(parameters: Any) -> Any:
    """The values of a statement, bytes out of the objects that some drivers put around them."""
    if isinstance(parameters, dict):
        return {name: getattr(value, "obj", value) for name, value in parameters.items()}
    return [_unwrapped(one) for one in parameters] if isinstance(parameters, list) else parameters


def _plain(value: Any) -> str:
    """The value as text, without the addresses of objects that have no text of their own."""
    return _ADDRESS.sub("", repr(value))
