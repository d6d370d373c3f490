"""Statements whose text never changes: built once when their module is loaded, compiled once, run by the driver itself.

Building a statement, finding out that it was compiled before, and wrapping its cursor take ten times as long as SQLite
does. What is asked for each commit and each job is therefore a `Fixed` with `given` values; all else may be built anew.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import BindParameter, Connection, Dialect, Executable, Insert, bindparam

Values = Mapping[str, Any]
Process = Callable[[Any], Any] | None
Count = int | Callable[[], int]
"""A number, or what finds it out: a change of rows may be under way still."""
Changes = list[tuple[str, Sequence[Any]]]
"""Statements that changed rows, in order, each as the driver was given it."""


def given(name: str) -> BindParameter[Any]:
    """A value that is given with each run."""
    return bindparam(name)


def some(name: str) -> BindParameter[Any]:
    """A list of values that is given with each run, for `in_`."""
    return bindparam(name, expanding=True)


def listened_to(connection: Connection) -> bool:
    """Whether somebody (a test) hears of each statement: then it must go through SQLAlchemy, which tells them."""
    if not (connection._has_events or connection.engine._has_events):
        return False
    return bool(connection.dispatch.before_cursor_execute)  # they may have left again


class Line(Protocol):
    """A connection as it is used without SQLAlchemy. It raises what the driver raises."""

    dialect: Dialect

    def one(self, plan: Plan, values: Sequence[Any]) -> tuple[list[Any], Count]:
        """Run it: its rows, and how many were touched."""
        ...

    def many(self, plan: Plan, sets: Sequence[Sequence[Any]]) -> Count:
        """Run it for each set of values. Answers how many rows were touched."""
        ...

    def again(self, changes: Changes) -> bool:
        """Change rows once more as they were changed before, where they are what they were then.

        False, with nothing done: new rows would get other numbers here.
        """
        ...

    def began(self) -> None:
        """Called before a statement that takes another way."""
        ...


class Fixed:
    """A statement with `given` values. One that inserts or updates is a statement for each set of columns it is given.

    `Tx.execute` takes it like any other. Defaults of columns must be plain values.
    """

    __slots__ = ("_plans", "statement")

    def __init__(self, statement: Executable) -> None:
        self.statement = statement
        self._plans: dict[tuple[str, tuple[str, ...], tuple[int, ...]], Plan] = {}

    def run(
        self, line: Line, params: Values | Sequence[Values], changes: Changes | None = None
    ) -> tuple[list[Any], Count]:
        """Run it: its rows, and how many were touched. changes: it is added to these. Raises what the driver raises."""
        if isinstance(params, Mapping):
            filled = _filled(params)
            plan = self._plan(line.dialect, filled)
            values = plan.values(filled)
            if changes is not None:
                changes.append((plan.text, values))
            return line.one(plan, values)
        if not params:
            raise ValueError("a statement was given no set of values: leave it out")
        plan = self._plan(line.dialect, params[0])
        sets = [plan.values(each) for each in params]
        if changes is not None:
            changes.extend((plan.text, each) for each in sets)
        return [], line.many(plan, sets)

    def _plan(self, dialect: Dialect, params: Values) -> Plan:
        lists = tuple(len(value) for value in params.values() if isinstance(value, (list, tuple)))
        key = (dialect.name, tuple(params), lists)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = _compile(self.statement, dialect, params)
        return plan


def _filled(params: Values) -> Values:
    """The same with each list as long as a power of two, by its last value once more: `in_` finds the same with it.

    Else there would be a plan, compiled and kept, for every length that ever comes.
    """
    lists = {name: value for name, value in params.items() if isinstance(value, (list, tuple)) and len(value) > 1}
    if not lists:
        return params
    longer = {name: (1 << (len(value) - 1).bit_length()) - len(value) for name, value in lists.items()}
    return {**params, **{name: [*value, *value[-1:] * longer[name]] for name, value in lists.items()}}


@dataclass(slots=True)
class Plan:
    """Text for one set of names. slots: name and processor of each value, in the order of the text; types: its type.

    kept: values that are in the statement. lists: names of the parts of each list. rows: makes rows; None: none come.
    """

    text: str
    types: list[Any]
    slots: list[tuple[str, Process]]
    kept: dict[str, Any]
    lists: dict[str, list[str]]
    rows: Callable[[Iterable[Any]], list[Any]] | None

    def values(self, params: Values) -> list[Any]:
        """The values in the order of the text."""
        known = {**self.kept, **params}
        for name, parts in self.lists.items():
            known.update(zip(parts, params[name], strict=True))
        return [known[name] if process is None else process(known[name]) for name, process in self.slots]


def _compile(statement: Any, dialect: Dialect, params: Values) -> Plan:
    # Values of `given` ones are not columns to be set.
    columns = [name for name in params if name in statement.table.c] if hasattr(statement, "table") else None
    exported = getattr(statement, "exported_columns", ())
    if isinstance(statement, Insert) and not exported:
        statement = statement.inline()  # else SQLAlchemy has some databases answer the new key
    compiled = statement.compile(dialect=dialect, column_keys=columns)
    kept = {name: bind.effective_value for name, bind in compiled.binds.items() if not bind.required}
    for column in getattr(compiled, "insert_prefetch", ()):
        kept[column.key] = column.default.arg
    state = compiled.construct_expanded_state({**kept, **params})
    lists = {name: list(parts) for name, parts in state.parameter_expansion.items()}
    types = {name: bind.type for name, bind in compiled.binds.items()}
    types |= {part: types[name] for name, parts in lists.items() for part in parts}
    slots = [(name, types[name].dialect_impl(dialect).bind_processor(dialect)) for name in state.positiontup or ()]
    makes = _maker(list(exported), dialect) if exported else None
    return Plan(state.statement, [types[name] for name, _ in slots], slots, kept, lists, makes)


def _maker(columns: Sequence[Any], dialect: Dialect) -> Callable[[Iterable[Any]], list[Any]]:
    row = namedtuple("Row", [column.key for column in columns], rename=True)  # type: ignore[misc]
    found = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
    changed = [(at, process) for at, process in enumerate(found) if process is not None]
    if not changed:
        return lambda rows: list(map(row._make, rows))

    def make(values: Sequence[Any]) -> Any:
        new = list(values)
        for at, process in changed:
            new[at] = process(new[at])
        return row._make(new)

    return lambda rows: list(map(make, rows))
