"""Names of things: projects, repos, branches, commits, pipelines, jobs; how they are printed and what is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass

from trunkline.errors import InvalidArgument
from trunkline.model.paths import quoted

DEFAULT_PROJECT = "default"
USER_REPO = "user"
META_REPO = "meta"
SPEC_REPO = "spec"
REPO_TYPES = (USER_REPO, META_REPO, SPEC_REPO)
MASTER = "master"
LENT_REPO = "__filesets__"
"""Through a repo of this name clients read file sets, by their ids; none may be made. Source: the public interface."""

PARTS_REPO = "_s3gateway_multipart_"
"""Where the S3 door keeps parts of objects whose upload has not ended. It is not listed. Source: behaviour E.2."""

_NAME = re.compile(r"[A-Za-z0-9_-]+\Z")
_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\Z")
_ID = re.compile(r"[0-9a-f]{32}\Z")


@dataclass(frozen=True, slots=True, order=True)
class Repo:
    """A repo's address. `type` is user, meta or spec."""

    project: str
    name: str
    type: str = USER_REPO

    def __str__(self) -> str:
        suffix = "" if self.type == USER_REPO else f".{self.type}"
        return f"{self.project}/{self.name}{suffix}"

    @property
    def typed(self) -> str:
        """As a person types it to a command: without the project, where that is the default one."""
        return str(self).removeprefix(f"{DEFAULT_PROJECT}/")


@dataclass(frozen=True, slots=True, order=True)
class Branch:
    """A branch's address."""

    repo: Repo
    name: str

    def __str__(self) -> str:
        return f"{self.repo}@{self.name}"


@dataclass(frozen=True, slots=True, order=True)
class Tag:
    """A tag's address: a name that stays with one commit."""

    repo: Repo
    name: str

    def __str__(self) -> str:
        return f"{self.repo}@{self.name}"


@dataclass(frozen=True, slots=True, order=True)
class Commit:
    """A commit's address: repo and id (32 hex digits) together."""

    repo: Repo
    id: str

    def __str__(self) -> str:
        return f"{self.repo}@{self.id}"


@dataclass(frozen=True, slots=True, order=True)
class Pipeline:
    """A pipeline's address; its output repo has the same project and name."""

    project: str
    name: str

    def __str__(self) -> str:
        return f"{self.project}/{self.name}"

    @property
    def output(self) -> Repo:
        """The user repo it writes."""
        return Repo(self.project, self.name, USER_REPO)

    @property
    def meta(self) -> Repo:
        """The system repo of its datum records."""
        return Repo(self.project, self.name, META_REPO)

    @property
    def spec(self) -> Repo:
        """The system repo of its versions."""
        return Repo(self.project, self.name, SPEC_REPO)


@dataclass(frozen=True, slots=True, order=True)
class Job:
    """A job's address: pipeline and the id of the commit set it belongs to."""

    pipeline: Pipeline
    id: str

    def __str__(self) -> str:
        return f"{self.pipeline}@{self.id}"


def is_id(text: str) -> bool:
    """Whether `text` has the form of a commit, job or transaction id."""
    return _ID.match(text) is not None


def check_project(name: str) -> str:
    """`name`, if a project may be called that. Raises InvalidArgument."""
    if not name:
        raise InvalidArgument("a project needs a name")
    if len(name) > 51:
        raise InvalidArgument(f"project name {quoted(name)} has {len(name)} characters; at most 51 are allowed")
    if not _PROJECT.match(name):
        raise InvalidArgument(
            f"project name {quoted(name)} is invalid: only alphanumeric characters, underscores and dashes are "
            "allowed, and the first must be a letter or a digit"
        )
    return name


def check_repo(name: str) -> str:
    """`name`, if a repo may be called that. Raises InvalidArgument."""
    return _check("repo", name, 63)


def check_repo_type(kind: str) -> str:
    """`kind`, if there are repos of that type. Raises InvalidArgument."""
    if kind not in REPO_TYPES:
        raise InvalidArgument(f"repo type {quoted(kind)} does not exist; the types are {', '.join(REPO_TYPES)}")
    return kind


def check_branch(name: str) -> str:
    """`name`, if a branch may be called that. Raises InvalidArgument."""
    _check("branch", name, 255)
    if is_id(name):
        raise InvalidArgument(f"branch name {quoted(name)} is invalid: it looks like a commit id; choose another name")
    return name


def check_tag(name: str) -> str:
    """`name`, if a tag may be called that: as a branch. Raises InvalidArgument."""
    _check("tag", name, 255)
    if is_id(name):
        raise InvalidArgument(f"tag name {quoted(name)} is invalid: it looks like a commit id; choose another name")
    return name


def check_pipeline(name: str, project: str = DEFAULT_PROJECT) -> str:
    """`name`, if a pipeline of `project` may be called that. Raises InvalidArgument.

    Source: behaviour A.1: at most 51 characters, and project, name and version together fit a name of 63.
    """
    _check("pipeline", name, 51)
    if not name[0].isalnum():
        raise InvalidArgument(
            f"pipeline name {quoted(name)} is invalid: the first character must be a letter or a digit"
        )
    if len(project) + len(name) + len("--v99") > 63:
        raise InvalidArgument(
            f'pipeline name {quoted(name)} is too long: with the project "{project}" it must fit 58 characters'
        )
    return name


def _check(noun: str, name: str, limit: int) -> str:
    if not name:
        raise InvalidArgument(f"a {noun} needs a name")
    if len(name) > limit:
        raise InvalidArgument(f"{noun} name {quoted(name)} has {len(name)} characters; at most {limit} are allowed")
    if not _NAME.match(name):
        raise InvalidArgument(
            f"{noun} name {quoted(name)} is invalid: only alphanumeric characters, underscores and dashes are allowed"
        )
    return name
