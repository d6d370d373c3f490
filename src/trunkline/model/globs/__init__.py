"""The glob language: patterns that select paths and capture parts of them, templates that use what was captured.

    *  any run without "/"      **  any run           ?  one character but "/"      [a-z] [!a] [^a] [[:alpha:]]  a class
    {a,b}  alternatives         \\x  x itself         (p|q) and @(p|q)  one of them, captured
    *(p) +(p) ?(p)  any number, at least one, at most one, captured                 !(p)  a run that p is not, captured

A pattern is matched with a whole path. It is cleaned like a path: a leading "/" is added, one at the end is dropped.
Only "/" itself matches the root. A class and a negation never contain a "/". Captures are numbered by their opening
parenthesis; one that took no part is "". No pattern takes time exponential in its length.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

from trunkline.model.globs.search import Program, compiled, find
from trunkline.model.globs.tree import Literal, has_negation, most_slashes, parse, re2_of

if TYPE_CHECKING:
    import pyarrow as pa

_SPECIAL = re.compile(r"([\\*?\[\]{}()!@+|,^])")
_REFERENCE = re.compile(r"\$(?:(\$)|([0-9]+)|\{([^}]*)\})")


class Glob:
    """One pattern, read. Raises InvalidArgument for a bad one, naming it and where it goes wrong.

    pattern: as given. captures: how many it has. Patterns that mean the same text make equal globs.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.nodes, self.captures = parse(pattern)
        self.negates = has_negation(self.nodes)

    def __repr__(self) -> str:
        return f"Glob({self.pattern!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Glob) and other.nodes == self.nodes

    def __hash__(self) -> int:
        return hash(self.nodes)

    @property
    def literal(self) -> str | None:
        """The one path that matches, if the pattern has no special characters; "/" for the root."""
        first = self.nodes[0]
        return first.text if len(self.nodes) == 1 and isinstance(first, Literal) else None

    @property
    def stem(self) -> str:
        """The text that every match starts with: "/a/b" for "/a/b*"."""
        first = self.nodes[0]
        return first.text if isinstance(first, Literal) else ""

    @property
    def prefix(self) -> str:
        """The deepest directory that must hold every match, with its slash: "/a/" for "/a/b*" and for "/a/b"."""
        return self.stem[: self.stem.rindex("/") + 1]

    @cached_property
    def depth(self) -> int | None:
        """A match has at most so many elements; None: any number."""
        return most_slashes(self.nodes)

    @property
    def re2(self) -> str | None:
        """A regular expression for RE2 that says the same, anchored; captures are groups named c1, c2 and so on.

        For paths without a slash at their end, the root being "". None when the pattern has a negation or is the root.
        """
        return None if self.negates or self.literal == "/" else self.bound

    @cached_property
    def bound(self) -> str:
        """As `re2`, with each negation widened to any run of its element: what does not match this does not match."""
        return rf"(?s)\A{re2_of(self.nodes)}\z"

    @cached_property
    def _program(self) -> Program:
        return compiled(self.nodes)

    def match(self, path: str) -> tuple[str, ...] | None:
        """What the captures hold when `path` matches, else None. Slashes at the end of `path` are dropped."""
        bare = path.rstrip("/") or "/"
        if bare == "/" or self.literal is not None:
            return () if bare == self.literal else None
        return find(self._program, bare, self.captures)

    def mask(self, paths: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
        """For each of `paths` (strings) whether it matches, as booleans. By columns; null stays false."""
        from trunkline.model.globs import columns

        return columns.mask(self, paths)

    def capture_columns(self, paths: pa.Array | pa.ChunkedArray) -> list[pa.Array | pa.ChunkedArray]:
        """For each capture what it holds, one string per path. All of `paths` must match."""
        from trunkline.model.globs import columns

        return columns.captures(self, paths)


class Template:
    """Text made from what a glob captured: `$1`, `${1}`; `$0` the whole path; `$$` a dollar; unknown ones are empty."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.parts: list[str | int] = []
        at = 0
        for found in _REFERENCE.finditer(text):
            self.parts.append(text[at : found.start()])
            index = found[2] or found[3] or ""
            if found[1]:
                self.parts.append("$")
            elif index.isascii() and index.isdecimal():
                self.parts.append(int(index[-9:]) if len(index) < 10 else 10**9)
            at = found.end()
        self.parts.append(text[at:])

    def expand(self, path: str, captures: tuple[str, ...]) -> str:
        """The text for one path and its captures."""
        known = (path, *captures)
        pieces = (part if isinstance(part, str) else known[part] if part < len(known) else "" for part in self.parts)
        return "".join(pieces)

    def expand_column(self, paths: pa.Array, captures: list[pa.Array]) -> pa.Array:
        """The texts for a column of paths and the columns of `Glob.capture_columns`."""
        from trunkline.model.globs import columns

        return columns.expanded(self.parts, paths, captures)


def escape(path: str) -> str:
    """The pattern that matches `path` and nothing else."""
    return _SPECIAL.sub(r"\\\1", path)
