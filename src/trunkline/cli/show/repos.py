"""Projects, repos and branches as rows and details."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from google.protobuf.timestamp_pb2 import Timestamp

from trunkline.cli.show import units
from trunkline.cli.show.tables import Row
from trunkline.wire.gen import auth_v2_pb2 as auth
from trunkline.wire.gen import pfs_v2_pb2 as pfs

When = Callable[[Timestamp], str]
Pairs = Iterator[tuple[str, str]]

PROJECT_HEADER = ("ACTIVE", "PROJECT", "CREATED", "DESCRIPTION")
REPO_HEADER = ("PROJECT", "NAME", "CREATED", "SIZE (MASTER)", "DESCRIPTION")
BRANCH_HEADER = ("BRANCH", "HEAD", "TRIGGER", "CREATOR", "CREATED")


def project_row(info: pfs.ProjectInfo, active: str, when: When) -> Row:
    """A project; the active one is starred."""
    star = "*" if info.project.name == active else ""
    return star, info.project.name, when(info.created_at), info.description


def project_details(info: pfs.ProjectInfo, when: When) -> Pairs:
    """A project in full."""
    yield "Name", info.project.name
    if info.description:
        yield "Description", info.description
    yield "Created", when(info.created_at)
    if info.created_by:
        yield "Created by", info.created_by
    yield from _roles(info.auth_info)
    yield from _metadata(dict(info.metadata))


def repo_row(info: pfs.RepoInfo, when: When) -> Row:
    """A repo; a system repo is shown with its type."""
    return info.repo.project.name, repo_name(info.repo), when(info.created), _repo_size(info), info.description


def repo_details(info: pfs.RepoInfo, when: When) -> Pairs:
    """A repo in full."""
    yield "Name", repo_name(info.repo)
    if info.description:
        yield "Description", info.description
    yield "Created", when(info.created)
    yield "Size of HEAD on master", _repo_size(info)
    yield from _roles(info.auth_info)
    yield from _metadata(dict(info.metadata))


def repo_name(repo: pfs.Repo) -> str:
    """`name`, or `name.type` for a system repo."""
    return repo.name if repo.type in ("", "user") else f"{repo.name}.{repo.type}"


def branch_name(branch: pfs.Branch, project: str = "") -> str:
    """`repo@branch`, with the project in front where it is another than `project`."""
    owner = branch.repo.project.name
    prefix = f"{owner}/" if project and owner and owner != project else ""
    return f"{prefix}{repo_name(branch.repo)}@{branch.name}"


def branch_row(info: pfs.BranchInfo, when: When) -> Row:
    """A branch."""
    head = info.head.id or "-"
    return info.branch.name, head, trigger(info.trigger) or "-", info.created_by or "-", when(info.created_at)


def branch_details(info: pfs.BranchInfo, when: When) -> Pairs:
    """A branch in full."""
    project = info.branch.repo.project.name
    yield "Name", branch_name(info.branch)
    if info.head.id:
        yield "Head Commit", f"{repo_name(info.head.repo) or repo_name(info.branch.repo)}@{info.head.id}"
    if info.direct_provenance:
        yield "Provenance", " ".join(branch_name(one, project) for one in info.direct_provenance)
    if info.HasField("trigger") and info.trigger.branch:
        yield "Trigger", trigger(info.trigger)
    if info.created_by:
        yield "Created by", info.created_by
    if info.HasField("created_at"):
        yield "Created", when(info.created_at)
    yield from _metadata(dict(info.metadata))


def trigger(one: pfs.Trigger) -> str:
    """When a branch follows another: `staging on Size(1MB) or Commits(10)`; empty for none."""
    if not one.branch:
        return ""
    conditions = []
    if one.rate_limit_spec:
        conditions.append(f"Rate Limit({one.rate_limit_spec})")
    if one.size:
        conditions.append(f"Size({one.size})")
    if one.commits:
        conditions.append(f"Commits({one.commits})")
    if one.cron_spec:
        conditions.append(f"Cron({one.cron_spec})")
    return f"{one.branch} on {(' and ' if one.all else ' or ').join(conditions)}" if conditions else one.branch


def _repo_size(info: pfs.RepoInfo) -> str:
    if info.HasField("details"):
        return units.size(info.details.size_bytes)
    return f"≤ {units.size(info.size_bytes_upper_bound)}"


def _roles(info: pfs.AuthInfo) -> Pairs:
    if info.roles:
        yield "Roles", ", ".join(info.roles)
    if info.permissions:
        yield "Permissions", ", ".join(auth.Permission.Name(one) for one in info.permissions)


def _metadata(pairs: dict[str, str]) -> Pairs:
    if pairs:
        yield "Metadata", ", ".join(f"{key}={value}" for key, value in sorted(pairs.items()))
