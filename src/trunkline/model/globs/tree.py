"""Glob patterns as trees: reading them, and writing them out again as regular expressions for RE2."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.errors import InvalidArgument
from trunkline.model.paths import quoted

MAX_PATTERN = 4096
MAX_DEPTH = 64
TOP = 0x10FFFF
SLASH = ord("/")

Ranges = tuple[tuple[int, int], ...]
"""Characters as (first, last) code points, ascending, not touching one another."""


@dataclass(frozen=True, slots=True)
class Literal:
    """This text and no other."""

    text: str


@dataclass(frozen=True, slots=True)
class One:
    """One character out of `ranges`, which never hold a slash."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Run:
    """`*`, any run of characters but slashes; `**` with `deep`, any run at all."""

    deep: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several sequences: `{a,b}`, and what stands in parentheses."""

    options: tuple[tuple[Node, ...], ...]


@dataclass(frozen=True, slots=True)
class Capture:
    """`mark` is one of @ * + ? and !; captures are numbered from 1 by their opening parenthesis."""

    mark: str
    number: int
    body: Choice


Node = Literal | One | Run | Choice | Capture

ANY_ONE: Ranges = ((0, SLASH - 1), (SLASH + 1, TOP))
_POSIX: dict[str, Ranges] = {
    "alnum": ((48, 57), (65, 90), (97, 122)),
    "alpha": ((65, 90), (97, 122)),
    "ascii": ((0, 127),),
    "blank": ((9, 9), (32, 32)),
    "cntrl": ((0, 31), (127, 127)),
    "digit": ((48, 57),),
    "graph": ((33, 126),),
    "lower": ((97, 122),),
    "print": ((32, 126),),
    "punct": ((33, 47), (58, 64), (91, 96), (123, 126)),
    "space": ((9, 13), (32, 32)),
    "upper": ((65, 90),),
    "word": ((48, 57), (65, 90), (95, 95), (97, 122)),
    "xdigit": ((48, 57), (65, 70), (97, 102)),
}
_MARKS = "@*+?!"
_REGEX_SPECIAL = frozenset("\\.^$|?*+()[]{}")


def parse(pattern: str) -> tuple[tuple[Node, ...], int]:
    """The cleaned tree of `pattern`, and how many captures it has.

    Cleaned: a leading slash is added, one at the end is dropped, doubled ones become one; "" is "/".
    Raises InvalidArgument, naming the pattern and the character where it goes wrong.
    """
    if len(pattern) > MAX_PATTERN:
        raise InvalidArgument(
            f"glob {quoted(pattern)} is invalid: it has {len(pattern)} characters; at most {MAX_PATTERN} are allowed"
        )
    try:
        pattern.encode()
    except UnicodeEncodeError as error:
        raise _Reader(pattern).refused(error.start, "not valid UTF-8") from None
    reader = _Reader(pattern)
    nodes = reader.sequence("")
    return _cleaned(nodes), reader.captures


def merged(ranges: list[tuple[int, int]]) -> Ranges:
    """`ranges` in order, those that overlap or touch joined."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)


def inverted(ranges: Ranges) -> Ranges:
    """Every character that is not in `ranges`."""
    rest, start = [], 0
    for low, high in ranges:
        if low > start:
            rest.append((start, low - 1))
        start = high + 1
    if start <= TOP:
        rest.append((start, TOP))
    return tuple(rest)


def without_slash(ranges: Ranges) -> Ranges:
    """`ranges` less the slash, which no class matches."""
    return inverted(merged([*inverted(ranges), (SLASH, SLASH)]))


def re2_of(nodes: tuple[Node, ...]) -> str:
    """`nodes` as a regular expression for RE2, not anchored; captures are groups named c1, c2 and so on.

    A negation becomes the run of characters that it could at most be, so an expression with one matches too much.
    """
    return "".join(map(_re2_node, nodes))


def re2_choice(choice: Choice) -> str:
    """`choice` as a group for RE2 that captures nothing."""
    return f"(?:{'|'.join(map(re2_of, choice.options))})"


def has_negation(nodes: tuple[Node, ...]) -> bool:
    """Whether a `!( )` stands anywhere in `nodes`."""
    for node in nodes:
        if isinstance(node, Capture) and (node.mark == "!" or any(map(has_negation, node.body.options))):
            return True
        if isinstance(node, Choice) and any(map(has_negation, node.options)):
            return True
    return False


def most_slashes(nodes: tuple[Node, ...]) -> int | None:
    """How many slashes a text that matches `nodes` can have; None: any number."""
    found = [_slashes(node) for node in nodes]
    return None if None in found else sum(count for count in found if count)


def _slashes(node: Node) -> int | None:
    match node:
        case Literal(text):
            return text.count("/")
        case Run(deep):
            return None if deep else 0
        case One() | Capture("!", _, _):
            return 0
        case Capture(mark, _, body):
            count = _slashes(body)
            return None if count and mark in "*+" else count
        case Choice(options):
            counts = [most_slashes(option) for option in options]
            return None if None in counts else max(count or 0 for count in counts)


def _re2_node(node: Node) -> str:
    match node:
        case Literal(text):
            return "".join("\\" + c if c in _REGEX_SPECIAL else c for c in text)
        case One(ranges):
            return _re2_class(ranges)
        case Run(deep):
            return ".*" if deep else "[^/]*"
        case Choice():
            return re2_choice(node)
        case Capture("!", number, _):
            return f"(?P<c{number}>[^/]*)"
        case Capture("@", number, body):
            return f"(?P<c{number}>{re2_choice(body)})"
        case Capture(mark, number, body):
            return f"(?P<c{number}>{re2_choice(body)}{mark})"


def _re2_class(ranges: Ranges) -> str:
    if ranges == ANY_ONE:
        return "[^/]"
    if not ranges:
        return r"[^\x{0}-\x{10ffff}]"  # nothing: a class whose only member was the slash
    return "[" + "".join(rf"\x{{{low:x}}}-\x{{{high:x}}}" for low, high in ranges) + "]"


def _cleaned(nodes: list[Node]) -> tuple[Node, ...]:
    if not nodes or not isinstance(nodes[0], Literal) or not nodes[0].text.startswith("/"):
        nodes = _joined([Literal("/"), *nodes])
    tidy: list[Node] = []
    for node in nodes:
        if isinstance(node, Literal):
            text = node.text
            while "//" in text:
                text = text.replace("//", "/")
            tidy.append(Literal(text))
        else:
            tidy.append(node)
    last = tidy[-1]
    if isinstance(last, Literal) and last.text.endswith("/") and tidy != [Literal("/")]:
        tidy[-1:] = [Literal(last.text[:-1])] if len(last.text) > 1 else []
    return tuple(tidy)


def _joined(nodes: list[Node]) -> list[Node]:
    out: list[Node] = []
    for node in nodes:
        if isinstance(node, Literal) and out and isinstance(out[-1], Literal):
            out[-1] = Literal(out[-1].text + node.text)
        else:
            out.append(node)
    return out


class _Reader:
    """Reads one pattern from left to right."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.depth = 0
        self.captures = 0

    def refused(self, at: int, why: str) -> InvalidArgument:
        """The error that names the pattern and where it goes wrong."""
        return InvalidArgument(f"glob {quoted(self.pattern)} is invalid at character {at + 1}: {why}")

    def sequence(self, ends: str) -> list[Node]:
        """Nodes up to one of the characters `ends` (not read), or to the end of the pattern."""
        nodes: list[Node] = []
        while self.at < len(self.pattern) and self.pattern[self.at] not in ends:
            nodes.append(self.node())
        return _joined(nodes)

    def node(self) -> Node:
        """One node."""
        start, char = self.at, self.pattern[self.at]
        self.at += 1
        follower = self.pattern[self.at : self.at + 1]
        if char == "\\":
            if not follower:
                raise self.refused(start, 'nothing follows the last "\\"')
            self.at += 1
            return Literal(follower)
        if char == "(":
            return self.capture("@", start)
        if char in _MARKS and follower == "(":
            self.at += 1
            return self.capture(char, start)
        if char == "*":
            return self.run()
        if char == "?":
            return One(ANY_ONE)
        if char == "[":
            return self.one(start)
        if char == "{":
            return self.choice(start, ",", "}")
        return Literal(char)

    def run(self) -> Run:
        """`*` or `**`. A last star before a parenthesis belongs to the parenthesis."""
        stars = 1
        while self.pattern[self.at : self.at + 1] == "*" and self.pattern[self.at + 1 : self.at + 2] != "(":
            stars += 1
            self.at += 1
        return Run(deep=stars > 1)

    def capture(self, mark: str, start: int) -> Capture:
        """What follows an opening parenthesis, which has been read."""
        self.captures += 1
        number = self.captures
        return Capture(mark, number, self.choice(start, "|", ")"))

    def choice(self, start: int, between: str, end: str) -> Choice:
        """Alternatives up to and with `end`; the opening has been read and stood at `start`."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.refused(start, f"nested more than {MAX_DEPTH} deep")
        options = [tuple(self.sequence(between + end))]
        while self.pattern[self.at : self.at + 1] == between:
            self.at += 1
            options.append(tuple(self.sequence(between + end)))
        if self.at == len(self.pattern):
            raise self.refused(start, f'"{self.opening(start)}" is never closed')
        self.at += 1
        self.depth -= 1
        return Choice(tuple(options))

    def opening(self, start: int) -> str:
        """The opening at `start`, with the mark before a parenthesis."""
        return self.pattern[start : start + 1 if self.pattern[start] in "({[" else start + 2]

    def one(self, start: int) -> One:
        """A class; its opening bracket has been read and stood at `start`."""
        negated = self.pattern[self.at : self.at + 1] in ("!", "^") and self.at < len(self.pattern)
        self.at += negated
        ranges: list[tuple[int, int]] = []
        first = self.at
        while self.at < len(self.pattern) and (self.pattern[self.at] != "]" or self.at == first):
            if self.pattern.startswith("[:", self.at):
                ranges.extend(self.posix())
            else:
                ranges.append(self.range(start))
        if self.at == len(self.pattern):
            raise self.refused(start, '"[" is never closed')
        self.at += 1
        wanted = merged(ranges)
        return One(without_slash(inverted(wanted) if negated else wanted))

    def posix(self) -> Ranges:
        """A named class such as `[:alpha:]`."""
        start = self.at
        end = self.pattern.find(":]", start + 2)
        name = self.pattern[start + 2 : end] if end >= 0 else ""
        if name not in _POSIX:
            raise self.refused(start, f'there is no class "[:{name}:]"; there are {", ".join(sorted(_POSIX))}')
        self.at = end + 2
        return _POSIX[name]

    def range(self, opening: int) -> tuple[int, int]:
        """`a` or `a-z` inside a class."""
        start = self.at
        low = self.member(opening)
        follows = self.pattern[self.at + 1 : self.at + 2]
        if self.pattern[self.at : self.at + 1] != "-" or follows in ("]", ""):
            return low, low
        self.at += 1
        high = self.member(opening)
        if high < low:
            raise self.refused(start, f'the range "{self.pattern[start : self.at]}" runs backwards')
        return low, high

    def member(self, opening: int) -> int:
        """One character inside a class, escaped or not."""
        if self.pattern[self.at] == "\\":
            self.at += 1
            if self.at == len(self.pattern):
                raise self.refused(opening, '"[" is never closed')
        self.at += 1
        return ord(self.pattern[self.at - 1])
