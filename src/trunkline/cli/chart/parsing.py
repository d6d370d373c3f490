"""Go's text templates, read: the part of the language that charts are written in.

What is not known is refused when a template is read, so that nothing is ever rendered otherwise than Helm renders it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from trunkline.errors import InvalidArgument

_ACTION = re.compile(
    r"\{\{(-\s)?\s*(/\*.*?\*/|(?:\"(?:\\.|[^\"\\])*\"|`[^`]*`|[^\"`}]|\}(?!\}))*?)\s*(\s-)?\}\}", re.DOTALL
)
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:\\.|[^"\\])*"|`[^`]*`)
    |(?P<number>-?[0-9]+(?![\w.]))
    |(?P<path>(?:\$\w*)?(?:\.\w+)+|\$\w*|\.)
    |(?P<word>[A-Za-z]\w*)
    |(?P<mark>:=|=|\||\(|\)|,))""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant."""

    value: object


@dataclass(frozen=True, slots=True)
class Path:
    """Fields of the dot (start ""), of a variable ("$x"), or of what `start` computes."""

    start: str | Pipe
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Word:
    """The name of a function."""

    name: str


Operand = Literal | Path | Word


@dataclass(frozen=True, slots=True)
class Pipe:
    """Commands, each fed with what the one before it gave. assign: the variable that takes the last; new: declared."""

    commands: tuple[tuple[Operand, ...], ...]
    assign: str = ""
    new: bool = False


@dataclass(slots=True)
class Text:
    """What stands outside of actions."""

    text: str


@dataclass(slots=True)
class Show:
    """An action that only computes."""

    pipe: Pipe


@dataclass(slots=True)
class Branch:
    """if, with or range. names: the variables of a range."""

    kind: str
    pipe: Pipe
    names: tuple[str, ...] = ()
    body: list[Node] = field(default_factory=list)
    otherwise: list[Node] = field(default_factory=list)


Node = Text | Show | Branch
Body = list[Node]


def parse(name: str, text: str) -> tuple[Body, dict[str, Body]]:
    """A file's body, and the templates that it defines. Raises InvalidArgument with the line."""
    return _Reader(name, text).read()


class _Reader:
    def __init__(self, name: str, text: str) -> None:
        self._name, self._text = name, text
        self._line = 1
        self._defined: dict[str, Body] = {}
        self._body: Body = []
        self._open: list[tuple[str, Body, Branch | None]] = []

    def read(self) -> tuple[Body, dict[str, Body]]:
        at, trim = 0, False
        for found in _ACTION.finditer(self._text):
            self._put(self._text[at : found.start()], trim, bool(found[1]))
            self._line = self._text.count("\n", 0, found.start()) + 1
            if not found[2].startswith("/*"):
                self._act(found[2])
            at, trim = found.end(), bool(found[3])
        self._put(self._text[at:], trim, False)
        if self._open:
            raise self._bad(f"{self._open[-1][0]} has no end")
        return self._body, self._defined

    def _put(self, text: str, left: bool, right: bool) -> None:
        text = text.lstrip() if left else text
        text = text.rstrip() if right else text
        if "{{" in text:
            raise self._bad("an action is not closed")
        if text:
            self._body.append(Text(text))

    def _act(self, action: str) -> None:
        word, _, rest = action.partition(" ")
        if word in ("if", "with"):
            self._branch(Branch(word, self._pipe(rest)))
        elif word == "range":
            names, pipe = self._range(rest)
            self._branch(Branch(word, pipe, names))
        elif word == "define":
            self._open.append((f"define {rest}", self._body, None))
            self._body = self._defined.setdefault(json.loads(rest), [])
        elif word == "else":
            self._else(rest.strip())
        elif action == "end":
            self._end()
        else:
            self._body.append(Show(self._pipe(action)))

    def _branch(self, branch: Branch) -> None:
        self._body.append(branch)
        self._open.append((branch.kind, self._body, branch))
        self._body = branch.body

    def _else(self, rest: str) -> None:
        branch = self._open[-1][2] if self._open else None
        if branch is None:
            raise self._bad("else without if")
        self._body = branch.otherwise
        if rest.startswith("if "):
            inner = Branch("if", self._pipe(rest[3:]))
            self._body.append(inner)
            _, outer, _ = self._open.pop()
            self._open.append(("if", outer, inner))
            self._body = inner.body
        elif rest:
            raise self._bad(f"else {rest}")

    def _end(self) -> None:
        if not self._open:
            raise self._bad("end without a beginning")
        _, self._body, _ = self._open.pop()

    def _range(self, text: str) -> tuple[tuple[str, ...], Pipe]:
        names, mark, rest = text.partition(":=")
        if not mark:
            return (), self._pipe(text)
        return tuple(one.strip() for one in names.split(",")), self._pipe(rest)

    def _pipe(self, text: str) -> Pipe:
        tokens = self._tokens(text)
        pipe = self._pipeline(tokens)
        if tokens:
            raise self._bad(f"unexpected {tokens[0][1]}")
        return pipe

    def _tokens(self, text: str) -> list[tuple[str, str, bool]]:
        """Kind, text, and whether white space stands before it."""
        found, at = [], 0
        text = text.rstrip()
        while at < len(text):
            token = _TOKEN.match(text, at)
            if token is None:
                raise self._bad(f"cannot be read: {text[at:]}")
            kind = str(token.lastgroup)
            found.append((kind, token[kind], token.start(kind) > at or at == 0))
            at = token.end()
        return found

    def _pipeline(self, tokens: list[tuple[str, str, bool]]) -> Pipe:
        assign, new = "", False
        if len(tokens) > 1 and tokens[0][1].startswith("$") and tokens[1][1] in (":=", "="):
            assign, new = tokens[0][1], tokens[1][1] == ":="
            del tokens[:2]
        commands: list[tuple[Operand, ...]] = []
        command: list[Operand] = []
        while tokens and tokens[0][1] != ")":
            if tokens[0][1] == "|":
                commands.append(tuple(command))
                command = []
                tokens.pop(0)
                continue
            command.append(self._operand(tokens))
        commands.append(tuple(command))
        if not all(commands):
            raise self._bad("a command is empty")
        return Pipe(tuple(commands), assign, new)

    def _operand(self, tokens: list[tuple[str, str, bool]]) -> Operand:
        kind, text, _ = tokens.pop(0)
        if kind == "string":
            return Literal(text[1:-1] if text[0] == "`" else json.loads(text))
        if kind == "number":
            return Literal(int(text))
        if kind == "word":
            return Literal({"true": True, "false": False, "nil": None}[text]) if text in _CONSTANTS else Word(text)
        if kind == "path":
            start, *fields = text.split(".")
            return Path(start, tuple(one for one in fields if one))
        if text == "(":
            inner = self._pipeline(tokens)
            if not tokens:
                raise self._bad("a bracket is not closed")
            tokens.pop(0)
            if tokens and tokens[0][0] == "path" and tokens[0][1].startswith(".") and not tokens[0][2]:
                return Path(inner, tuple(tokens.pop(0)[1][1:].split(".")))
            return Path(inner, ())
        raise self._bad(f"unexpected {text}")

    def _bad(self, why: str) -> InvalidArgument:
        return InvalidArgument(f"{self._name}:{self._line}: {why}")


_CONSTANTS = ("true", "false", "nil")
