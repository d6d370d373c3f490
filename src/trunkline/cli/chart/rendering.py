"""Go's text templates, rendered as Helm renders them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trunkline.cli.chart.functions import FUNCTIONS, shown, true
from trunkline.cli.chart.parsing import Body, Branch, Literal, Operand, Path, Pipe, Show, Text, Word, parse
from trunkline.errors import InvalidArgument

_LAZY = ("and", "or")


class Templates:
    """The files of a chart, read once. Raises InvalidArgument."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.bodies: dict[str, Body] = {}
        self.defined: dict[str, Body] = {}
        for name, text in files.items():
            self.bodies[name], defined = parse(name, text)
            self.defined |= defined

    def render(self, name: str, dot: Mapping[str, Any]) -> str:
        """What a file becomes. Raises InvalidArgument where the template refuses its values."""
        try:
            return self._run(self.bodies[name], dot, _Scope({"$": dot}))
        except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
            raise InvalidArgument(f"{name} cannot be rendered with these values: {error}") from error

    def include(self, name: str, dot: Any) -> str:
        """What a defined template becomes."""
        if name not in self.defined:
            raise InvalidArgument(f'no template "{name}" is defined')
        return self._run(self.defined[name], dot, _Scope({"$": dot}))

    def _run(self, body: Body, dot: Any, scope: _Scope) -> str:
        written = []
        for node in body:
            if isinstance(node, Text):
                written.append(node.text)
            elif isinstance(node, Show):
                value = self._pipe(node.pipe, dot, scope)
                written.append("" if node.pipe.assign else shown(value))
            else:
                written.append(self._branch(node, dot, scope))
        return "".join(written)

    def _branch(self, node: Branch, dot: Any, scope: _Scope) -> str:
        inner = _Scope({}, scope)
        value = self._pipe(node.pipe, dot, inner)
        if not true(value):
            return self._run(node.otherwise, dot, inner)
        if node.kind == "if":
            return self._run(node.body, dot, inner)
        if node.kind == "with":
            return self._run(node.body, value, inner)
        return "".join(self._turns(node, value, inner))

    def _turns(self, node: Branch, value: Any, scope: _Scope) -> list[str]:
        pairs = sorted(value.items()) if isinstance(value, Mapping) else list(enumerate(value))
        written = []
        for key, each in pairs:
            names = dict(zip(node.names, (key, each) if len(node.names) == 2 else (each,), strict=False))
            written.append(self._run(node.body, each, _Scope(names, scope)))
        return written

    def _pipe(self, pipe: Pipe, dot: Any, scope: _Scope) -> Any:
        value: Any = None
        for number, command in enumerate(pipe.commands):
            value = self._command(command, [value] if number else [], dot, scope)
        if pipe.assign:
            scope.put(pipe.assign, value, new=pipe.new)
        return value

    def _command(self, command: Sequence[Operand], piped: list[Any], dot: Any, scope: _Scope) -> Any:
        first, *rest = command
        if isinstance(first, Word):
            if first.name in _LAZY:
                return self._lazy(first.name, [*rest, *map(Literal, piped)], dot, scope)
            return self._function(first.name)(*(self._value(one, dot, scope) for one in rest), *piped)
        value = self._value(first, dot, scope)
        if callable(value):
            return value(*(self._value(one, dot, scope) for one in rest), *piped)
        if rest or piped:
            raise ValueError("what is no function was given arguments")
        return value

    def _lazy(self, name: str, operands: Sequence[Operand], dot: Any, scope: _Scope) -> Any:
        value: Any = None
        for one in operands:
            value = self._value(one, dot, scope)
            if true(value) == (name == "or"):
                break
        return value

    def _value(self, operand: Operand, dot: Any, scope: _Scope) -> Any:
        if isinstance(operand, Literal):
            return operand.value
        if isinstance(operand, Word):
            return self._function(operand.name)()
        value = self._start(operand, dot, scope)
        for name in operand.fields:
            if value is None:
                raise ValueError(f'"{name}" is asked of nothing')
            value = value.get(name) if isinstance(value, Mapping) else getattr(value, name)
        return value

    def _start(self, path: Path, dot: Any, scope: _Scope) -> Any:
        if isinstance(path.start, Pipe):
            return self._pipe(path.start, dot, scope)
        return scope.get(path.start) if path.start else dot

    def _function(self, name: str) -> Callable[..., Any]:
        if name == "include":
            return self.include
        if name not in FUNCTIONS:
            raise InvalidArgument(f'the function "{name}" is not known here')
        return FUNCTIONS[name]


class _Scope:
    """Variables, and those of the blocks around."""

    def __init__(self, names: dict[str, Any], outer: _Scope | None = None) -> None:
        self._names, self._outer = names, outer

    def get(self, name: str) -> Any:
        if name in self._names:
            return self._names[name]
        if self._outer is None:
            raise ValueError(f"the variable {name} is not defined")
        return self._outer.get(name)

    def put(self, name: str, value: Any, *, new: bool) -> None:
        if new or name in self._names or self._outer is None:
            self._names[name] = value
        else:
            self._outer.put(name, value, new=False)
