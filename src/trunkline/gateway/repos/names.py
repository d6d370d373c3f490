"""What a bucket's name means: a branch, or a commit."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.gateway.s3.faults import Fault
from trunkline.model.names import DEFAULT_PROJECT, MASTER, Branch, Repo, is_id


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket. commit: the id it stands for, "" for the branch's head."""

    repo: Repo
    branch: str
    commit: str = ""

    @property
    def ref(self) -> str:
        """What names its commit in the repo."""
        return self.commit or self.branch

    @property
    def head(self) -> Branch:
        """Its branch."""
        return Branch(self.repo, self.branch)


def place_of(bucket: str) -> Place:
    """The place that a bucket means: [COMMIT.]REPO, [COMMIT.]BRANCH.REPO or [COMMIT.]BRANCH.REPO.PROJECT.

    Raises Fault InvalidBucketName.
    """
    parts = bucket.split(".")
    commit = parts.pop(0) if is_id(parts[0]) else ""
    if not 1 <= len(parts) <= 3 or not all(parts):
        raise Fault(
            "InvalidBucketName",
            f'"{bucket[:80]}" names no bucket: expected REPO, BRANCH.REPO or BRANCH.REPO.PROJECT, perhaps after the id '
            "of a commit and a dot",
        )
    if len(parts) == 1:
        return Place(Repo(DEFAULT_PROJECT, parts[0]), MASTER, commit)
    return Place(Repo(parts[2] if len(parts) == 3 else DEFAULT_PROJECT, parts[1]), parts[0], commit)


def bucket_of(branch: Branch) -> str:
    """The name of a branch's bucket."""
    project = branch.repo.project
    return f"{branch.name}.{branch.repo.name}" + ("" if project == DEFAULT_PROJECT else f".{project}")
