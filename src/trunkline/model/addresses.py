"""Addresses as people write them: `project/repo.type@branch=commit:path`, `pipeline@job`, and ancestry after a name.

Reading an address looks nothing up: it says what was named, and refuses what can name nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from trunkline.errors import InvalidArgument
from trunkline.model.names import (
    DEFAULT_PROJECT,
    USER_REPO,
    Branch,
    Job,
    Pipeline,
    Repo,
    check_branch,
    check_pipeline,
    check_project,
    check_repo,
    check_repo_type,
    is_id,
)
from trunkline.model.paths import quoted

_MARKS = re.compile(r"[\^~.]")
_CARETS = re.compile(r"(?:\^+|~+)\Z")
_COUNTED = re.compile(r"[\^~]([0-9]{1,9})\Z")
_MIXED = re.compile(r"[\^~.0-9-]*[\^~0-9][\^~.]")
_NUMBERED = re.compile(r"\.(-?)([0-9]{1,9})\Z")


@dataclass(frozen=True, slots=True)
class Ancestry:
    """A name and a way from it: `back` generations up, or the `nth` commit from the beginning, counted from 1.

    base: a branch, an id or a pipeline; "" when only a way was written.
    """

    base: str
    back: int = 0
    nth: int | None = None

    def __str__(self) -> str:
        if self.nth is not None:
            return f"{self.base}.{self.nth}"
        return f"{self.base}^{self.back}" if self.back else self.base

    @property
    def plain(self) -> bool:
        """Whether it is a name alone."""
        return self.nth is None and not self.back


@dataclass(frozen=True, slots=True)
class Ref:
    """What an address named. Raises nothing by itself; the parts have been checked.

    branch: "" when none was named. commit: an id, or a branch or id with ancestry, as written; "" when none was named.
    path: as written after the colon, None without one; not cleaned, since a slash at its end may mean something.
    """

    repo: Repo
    branch: str = ""
    commit: str = ""
    path: str | None = None

    def __str__(self) -> str:
        return f"{self.repo}{'@' if self.revision else ''}{self.revision}{'' if self.path is None else ':' + self.path}"

    @property
    def revision(self) -> str:
        """What stood after the "@"; "" for nothing."""
        return "=".join(part for part in (self.branch, self.commit) if part)

    @property
    def target(self) -> str:
        """The commit to look up: the one named, else the branch; "" when neither was."""
        return self.commit or self.branch


def parse_ancestry(text: str) -> Ancestry:
    """Read `name`, `name^`, `name~~`, `name^3`, `name~3`, `name.1` or `name.-2`.

    Raises InvalidArgument for mixed or unreadable ways.
    """
    found = _MARKS.search(text)
    if not found:
        return Ancestry(text)
    base, way = text[: found.start()], text[found.start() :]
    if _CARETS.match(way):
        return Ancestry(base, back=len(way))
    if counted := _COUNTED.match(way):
        return Ancestry(base, back=int(counted[1]))
    if numbered := _NUMBERED.match(way):
        number = int(numbered[2])
        if numbered[1]:
            return Ancestry(base, back=number)
        if number:
            return Ancestry(base, nth=number)
        raise InvalidArgument(f'ancestry {quoted(text)} is invalid: commits are counted from 1, so ".1" is the first')
    if _MIXED.match(way):
        raise InvalidArgument(
            f'ancestry {quoted(text)} is invalid: cannot mix "^", "~", "." and numbers; write "^^" or "^2", not both'
        )
    raise InvalidArgument(
        f'ancestry {quoted(text)} is invalid: after the name, "^" or "~" and a number goes back, '
        '"." and a number counts from the first commit'
    )


def parse_repo(text: str, project: str = DEFAULT_PROJECT) -> Repo:
    """Read `[project/]repo[.type]`. Raises InvalidArgument."""
    owner, name = _split_project(text, project)
    name, dot, kind = name.partition(".")
    return Repo(owner, check_repo(name), check_repo_type(kind) if dot else USER_REPO)


def parse(text: str, project: str = DEFAULT_PROJECT) -> Ref:
    """Read `repo`, `repo@branch`, `repo@commit` or `repo@branch=commit`, each optionally with `:path`.

    What follows the "@" is a commit when it is an id or goes on as ancestry, else a branch. Raises InvalidArgument.
    """
    place, colon, path = text.partition(":")
    name, at, revision = place.partition("@")
    repo = parse_repo(name, project)
    if not at:
        return Ref(repo, path=path if colon else None)
    if not revision:
        raise InvalidArgument(f'address {quoted(text)} is invalid: a branch or a commit must follow the "@"')
    branch, equals, commit = revision.partition("=")
    if equals:
        check_branch(branch)
        _check_revision(text, commit)
    elif is_id(branch) or _MARKS.search(branch):
        branch, commit = "", branch
        _check_revision(text, commit)
    else:
        check_branch(branch)
    return Ref(repo, branch, commit, path if colon else None)


def parse_branch(text: str, project: str = DEFAULT_PROJECT) -> Branch:
    """Read `repo@branch`. Raises InvalidArgument, also for a commit or a path."""
    ref = parse(text, project)
    if not ref.branch or ref.commit or ref.path is not None:
        raise InvalidArgument(f"address {quoted(text)} is invalid: expected repo@branch")
    return Branch(ref.repo, ref.branch)


def parse_commit(text: str, project: str = DEFAULT_PROJECT) -> Ref:
    """Read `repo@branch` or `repo@commit`. Raises InvalidArgument, also for a path."""
    ref = parse(text, project)
    if not ref.target or ref.path is not None:
        raise InvalidArgument(f"address {quoted(text)} is invalid: expected repo@branch or repo@commit")
    return ref


def parse_file(text: str, project: str = DEFAULT_PROJECT) -> Ref:
    """Read `repo@branch[:path]` or `repo@commit[:path]`. Raises InvalidArgument."""
    ref = parse(text, project)
    if not ref.target:
        raise InvalidArgument(f"address {quoted(text)} is invalid: expected repo@branch:path or repo@commit:path")
    return ref


def parse_pipeline(text: str, project: str = DEFAULT_PROJECT) -> tuple[Pipeline, Ancestry]:
    """Read `[project/]pipeline`, with ancestry for an older version: `edges^`. Raises InvalidArgument."""
    owner, name = _split_project(text, project)
    way = parse_ancestry(name)
    return Pipeline(owner, check_pipeline(way.base, owner)), way


def parse_job(text: str, project: str = DEFAULT_PROJECT) -> Job:
    """Read `[project/]pipeline@id`. Raises InvalidArgument."""
    name, _, job = text.partition("@")
    owner, name = _split_project(name, project)
    if not is_id(job):
        raise InvalidArgument(
            f"job {quoted(text)} is invalid: expected pipeline@id, the id being 32 lower-case hex digits; "
            "`pachctl list job --expand` shows them"
        )
    return Job(Pipeline(owner, check_pipeline(name, owner)), job)


def _split_project(text: str, project: str) -> tuple[str, str]:
    owner, slash, name = text.partition("/")
    return (check_project(owner), name) if slash else (project or DEFAULT_PROJECT, text)


def _check_revision(text: str, revision: str) -> None:
    way = parse_ancestry(revision)
    if not way.base:
        raise InvalidArgument(
            f"address {quoted(text)} is invalid: a branch or a commit id must stand before {revision!r}"
        )
    if not is_id(way.base):
        check_branch(way.base)
