"""What the versioned file system says about its objects: plain records, as the doors show them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from trunkline.ambient import Micros
from trunkline.model.names import Branch, Commit, Repo


class Origin(Enum):
    """Why a commit exists."""

    USER = "USER"
    AUTO = "AUTO"
    FSCK = "FSCK"


class CommitState(Enum):
    """How far a commit is; each state includes the ones before it."""

    STARTED = "STARTED"
    READY = "READY"
    FINISHING = "FINISHING"
    FINISHED = "FINISHED"

    @property
    def rank(self) -> int:
        """0 for STARTED to 3 for FINISHED."""
        return _RANK[self]


_RANK = {state: rank for rank, state in enumerate(CommitState)}


@dataclass(frozen=True, slots=True)
class ProjectInfo:
    """A project."""

    name: str
    description: str
    created_us: Micros
    created_by: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RepoInfo:
    """A repo. `size_bytes` is the content of the head of master, None while that is not finished."""

    repo: Repo
    description: str
    created_us: Micros
    branches: tuple[str, ...]
    size_upper_bytes: int
    size_bytes: int | None
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trigger:
    """When a branch follows another of its repo. Empty fields set no condition."""

    branch: str
    all: bool = False
    rate_limit_spec: str = ""
    size: str = ""
    commits: int = 0
    cron_spec: str = ""


@dataclass(frozen=True, slots=True)
class BranchInfo:
    """A branch. `provenance` and `subvenance` are transitive, `direct_provenance` is as it was set."""

    branch: Branch
    head: Commit
    direct_provenance: tuple[Branch, ...]
    provenance: tuple[Branch, ...]
    subvenance: tuple[Branch, ...]
    created_us: Micros
    updated_us: Micros
    trigger: Trigger | None = None
    created_by: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """A commit. `size_bytes` is None until it is finished. `seq` orders all commits of the catalog."""

    commit: Commit
    branch: str
    seq: int
    origin: Origin
    state: CommitState
    parent: Commit | None
    children: tuple[Commit, ...]
    started_us: Micros
    finishing_us: Micros | None
    finished_us: Micros | None
    direct_provenance: tuple[Commit, ...]
    direct_subvenance: tuple[Commit, ...]
    error: str
    description: str
    size_upper_bytes: int
    size_bytes: int | None
    created_by: str = ""
    updated_us: Micros = 0
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CommitSetInfo:
    """All commits of one id, upstream first."""

    id: str
    commits: tuple[CommitInfo, ...]


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file or directory of a commit; a directory's path ends in a slash."""

    commit: Commit
    path: str
    datum: str
    is_dir: bool
    size_bytes: int
    hash: bytes
    committed_us: Micros | None
