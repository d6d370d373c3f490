"""A matcher for glob trees in bounded time, negation and captures included.

It walks a small program depth first and never visits the same (instruction, position) twice: what failed once would
fail again, since captures do not decide anything. So a match costs at most instructions times positions, and for each
negation the square of an element's length. Preferences are those of RE2: earlier alternatives and longer runs first.
Source of the idea: Russ Cox, Regular Expression Matching: the Virtual Machine Approach, 2009.
"""

from __future__ import annotations

from trunkline.model.globs.tree import ANY_ONE, TOP, Capture, Choice, Literal, Node, One, Ranges, Run

_TEXT, _ONE, _SPLIT, _SAVE, _NOT, _MATCH = range(6)
_ANY: Ranges = ((0, TOP),)


class Program:
    """Instructions in columns. `numbers` holds a split's second way, or the slot to save into."""

    def __init__(self) -> None:
        self.kinds: list[int] = []
        self.nexts: list[int] = []
        self.numbers: list[int] = []
        self.texts: list[str] = []
        self.ranges: list[Ranges] = []
        self.inner: list[Program | None] = []
        self.start = 0

    def add(
        self,
        kind: int,
        following: int = 0,
        *,
        number: int = 0,
        text: str = "",
        ranges: Ranges = (),
        inner: Program | None = None,
    ) -> int:
        """Append an instruction; gives its index."""
        self.kinds.append(kind)
        self.nexts.append(following)
        self.numbers.append(number)
        self.texts.append(text)
        self.ranges.append(ranges)
        self.inner.append(inner)
        return len(self.kinds) - 1


def compiled(*options: tuple[Node, ...]) -> Program:
    """The program that matches any of `options`."""
    program = Program()
    program.start = _options(program, options, program.add(_MATCH))
    return program


def find(program: Program, text: str, captures: int) -> tuple[str, ...] | None:
    """The captures of `text` matched whole, "" for those that took no part; None when it does not match."""
    slots = [-1] * (2 * captures)
    if not _Walk(text, slots).reaches(program, 0, len(text), None):
        return None
    return tuple(text[slots[n] : slots[n + 1]] if slots[n + 1] >= 0 else "" for n in range(0, len(slots), 2))


class _Walk:
    """One walk over one text."""

    def __init__(self, text: str, slots: list[int]) -> None:
        self.text = text
        self.slots = slots
        self.known: dict[tuple[int, int], set[int]] = {}

    def reaches(self, program: Program, start: int, limit: int, ends: set[int] | None) -> bool:
        """Walk `program` from position `start`, never past `limit`.

        Without `ends`: stop where a match ends at `limit`, with the captures in the slots, and say so. With `ends`:
        collect every position where a match ends; captures are left alone.
        """
        width = limit - start + 1
        seen = bytearray(len(program.kinds) * width)
        stack = [(program.start, start)]
        while stack:
            pc, at = stack.pop()
            if pc < 0:
                self.slots[-1 - pc] = at
                continue
            while not seen[pc * width + at - start]:
                seen[pc * width + at - start] = 1
                kind = program.kinds[pc]
                if kind == _MATCH:
                    if ends is None and at == limit:
                        return True
                    if ends is not None:
                        ends.add(at)
                    break
                if kind == _SPLIT:
                    stack.append((program.numbers[pc], at))
                elif kind == _SAVE and ends is None:
                    stack.append((-1 - program.numbers[pc], self.slots[program.numbers[pc]]))
                    self.slots[program.numbers[pc]] = at
                elif kind == _NOT:
                    stack.extend((program.nexts[pc], end) for end in self.others(program, pc, at, limit))
                    break
                elif kind in (_TEXT, _ONE):
                    length = self.step(program, pc, at, limit)
                    if length < 0:
                        break
                    at += length
                pc = program.nexts[pc]
        return False

    def step(self, program: Program, pc: int, at: int, limit: int) -> int:
        """How many characters the instruction takes at `at`; -1 when it does not match there."""
        if program.kinds[pc] == _TEXT:
            wanted = program.texts[pc]
            return len(wanted) if self.text.startswith(wanted, at, limit) else -1
        if at == limit:
            return -1
        char = ord(self.text[at])
        return 1 if any(low <= char <= high for low, high in program.ranges[pc]) else -1

    def others(self, program: Program, pc: int, at: int, limit: int) -> list[int]:
        """Where a negation may end that starts at `at`: the longest last, to be tried first."""
        slash = self.text.find("/", at, limit)
        last = slash if slash >= 0 else limit
        inner = program.inner[pc]
        if inner is None:
            return []
        forbidden = self.known.get((id(inner), at))
        if forbidden is None:
            forbidden = set()
            self.reaches(inner, at, last, forbidden)
            self.known[id(inner), at] = forbidden
        return [end for end in range(at, last + 1) if end not in forbidden]


def _options(program: Program, options: tuple[tuple[Node, ...], ...], end: int) -> int:
    start = _sequence(program, options[-1], end)
    for option in reversed(options[:-1]):
        start = program.add(_SPLIT, _sequence(program, option, end), number=start)
    return start


def _sequence(program: Program, nodes: tuple[Node, ...], end: int) -> int:
    for node in reversed(nodes):
        end = _node(program, node, end)
    return end


def _node(program: Program, node: Node, end: int) -> int:
    match node:
        case Literal(text):
            return program.add(_TEXT, end, text=text)
        case One(ranges):
            return program.add(_ONE, end, ranges=ranges)
        case Run(deep):
            split = program.add(_SPLIT, number=end)
            program.nexts[split] = program.add(_ONE, split, ranges=_ANY if deep else ANY_ONE)
            return split
        case Choice(options):
            return _options(program, options, end)
        case Capture(mark, number, body):
            closing = program.add(_SAVE, end, number=2 * number - 1)
            return program.add(_SAVE, _marked(program, mark, body, closing), number=2 * number - 2)


def _marked(program: Program, mark: str, body: Choice, end: int) -> int:
    if mark == "@":
        return _options(program, body.options, end)
    if mark == "!":
        return program.add(_NOT, end, inner=compiled(*body.options))
    if mark == "?":
        return program.add(_SPLIT, _options(program, body.options, end), number=end)
    # A repetition is "once, then as often as it goes", `*` that or nothing: a body that matched nothing ends it.
    again = program.add(_SPLIT, number=end)
    once = _options(program, body.options, again)
    program.nexts[again] = once
    return once if mark == "+" else program.add(_SPLIT, once, number=end)
