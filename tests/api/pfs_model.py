"""What repos, branches, commits and their files should be after any calls: rules of the graph, in plain Python.

Nothing here asks the server. What calls do is in `pfs_change`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

Tree = dict[str, bytes]
Write = Callable[[Tree], Tree]
At = tuple[str, str]
"""A branch: its repo (as project/name) and its name."""


SPANS = {"@hourly": 3600, "*/30 * * * *": 1800}
"""Schedules, and how many seconds lie between their ticks, which are at whole multiples of that."""


def next_tick(schedule: str, after_us: int) -> int:
    """The first tick later than an instant."""
    span_us = SPANS[schedule] * 1_000_000
    return (after_us // span_us + 1) * span_us


@dataclass
class Commit:
    """One commit. number: in order of making. size: of one that is open or bad, as the server says.

    purged: how many purges took something from it. finished_us: when it was finished.
    """

    number: int
    repo: str
    user: bool
    parent: int | None
    ups: set[int]
    state: str = "open"  # then "closed", then "finished"
    error: bool = False
    writes: list[Write] = field(default_factory=list)
    tree: Tree = field(default_factory=dict)
    forgotten: bool = False
    purged: int = 0
    id: str = ""
    seq: int = 0
    size: int = 0
    set: int = 0  # the number of the change that made it
    notes: dict[str, str] = field(default_factory=dict)
    finished_us: int | None = None


@dataclass
class Trigger:
    """What a branch follows, and when. rate, cron: a name of `SPANS`."""

    branch: str
    size: int = 0
    commits: int = 0
    all: bool = False
    rate: str = ""
    cron: str = ""

    @property
    def valid(self) -> bool:
        others = bool(self.size or self.commits or self.rate)
        return not (others or self.all) if self.cron else others


@dataclass
class Branch:
    """One branch; `ups` is its direct provenance. due_us: the next tick of its schedule."""

    head: int
    ups: list[At] = field(default_factory=list)
    trigger: Trigger | None = None
    notes: dict[str, str] = field(default_factory=dict)
    due_us: int | None = None


@dataclass
class Project:
    """What a project says of itself."""

    description: str = ""
    notes: dict[str, str] = field(default_factory=dict)


@dataclass
class Repo:
    """What a repo says of itself."""

    description: str = ""
    notes: dict[str, str] = field(default_factory=dict)


@dataclass
class World:
    """Everything. Branches of a repo stand in the order in which they were made."""

    projects: dict[str, Project] = field(default_factory=lambda: {"default": Project()})
    notes: dict[str, str] = field(default_factory=dict)
    repos: dict[str, Repo] = field(default_factory=dict)
    branches: dict[At, Branch] = field(default_factory=dict)
    commits: dict[int, Commit] = field(default_factory=dict)
    tags: dict[At, int] = field(default_factory=dict)
    made: int = 0
    changes: int = 0
    now_us: int = 0

    def of_repo(self, repo: str) -> list[Commit]:
        """Commits of a repo, oldest first."""
        return [one for one in self.commits.values() if one.repo == repo]

    def children(self, number: int) -> list[Commit]:
        return [one for one in self.commits.values() if one.parent == number]

    def below(self, numbers: Iterable[int]) -> set[int]:
        """Commits made from some, directly or not, without them."""
        start, found = set(numbers), set(numbers)
        while more := {one.number for one in self.commits.values() if one.ups & found} - found:
            found |= more
        return found - start

    def heads_at(self, number: int) -> list[At]:
        return [at for at, branch in self.branches.items() if branch.head == number]

    def good(self, number: int | None) -> int | None:
        """The nearest commit from one back that others can build on."""
        while number is not None and self.commits[number].error:
            number = self.commits[number].parent
        return number

    def content(self, number: int) -> Tree | None:
        """What a commit shows; None where it cannot be told yet."""
        one = self.commits[number]
        if one.state == "finished":
            return None if one.forgotten else one.tree
        parent = self.commits.get(one.parent) if one.parent is not None else None
        if one.state == "closed" or (parent is not None and parent.state != "finished"):
            return None
        ground = self.good(one.parent)
        if ground is not None and self.commits[ground].forgotten:
            return None
        return applied(self.commits[ground].tree if ground is not None else {}, one.writes)


def applied(tree: Tree, writes: Iterable[Write]) -> Tree:
    """A tree after some writes."""
    tree = dict(tree)
    for write in writes:
        tree = write(tree)
    return tree


def collides(tree: Tree) -> bool:
    """Whether a path is both file and directory."""
    return any(other.startswith(f"{path}/") for path in tree for other in tree)
