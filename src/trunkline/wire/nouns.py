"""Addresses between protobuf and `model.names`.

What clients send is not what they mean: the newer one fills every repo that its user left unset with a type and a
project but no name, so a repo without a name counts as absent; and an absent project is the default one.
"""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.errors import InvalidArgument
from trunkline.model.names import DEFAULT_PROJECT, USER_REPO, Branch, Commit, Job, Pipeline, Repo, is_id
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps


@dataclass(frozen=True, slots=True)
class CommitRef:
    """A commit as somebody wrote it: `branch` and `id` as they came, either may be empty.

    The id need not be one: it may hold a branch, or ancestry such as `master^2` or `<id>^`.
    """

    repo: Repo
    branch: str = ""
    id: str = ""

    @property
    def ref(self) -> str:
        """What to look up in the repo."""
        return self.id or self.branch

    @property
    def plain_branch(self) -> str:
        """The branch that is meant, if it is only a branch; else empty."""
        if not self.id:
            return self.branch
        return "" if is_id(self.id) or any(mark in self.id for mark in "^~.") else self.id


def project_of(project: pfs.Project) -> str:
    """A project's name; an empty one is the default."""
    return project.name or DEFAULT_PROJECT


def find_repo(repo: pfs.Repo) -> Repo | None:
    """A repo, None if it has no name."""
    if not repo.name:
        return None
    return Repo(project_of(repo.project), repo.name, repo.type or USER_REPO)


def repo_of(repo: pfs.Repo, what: str = "the request") -> Repo:
    """A repo. Raises InvalidArgument if it has no name; `what` should have had one."""
    found = find_repo(repo)
    if found is None:
        raise InvalidArgument(f"{what} names no repo")
    return found


def branch_of(branch: pfs.Branch, what: str = "the request") -> Branch:
    """A branch. Raises InvalidArgument if repo or name are missing."""
    repo = repo_of(branch.repo, f"the branch of {what}")
    if not branch.name:
        raise InvalidArgument(f"{what} names no branch of {repo}")
    return Branch(repo, branch.name)


def find_commit(commit: pfs.Commit) -> CommitRef | None:
    """A commit, None if it names no repo. The repo stands in the commit, in its branch, or in both."""
    repo = find_repo(commit.repo) or find_repo(commit.branch.repo)
    return CommitRef(repo, commit.branch.name, commit.id) if repo is not None else None


def commit_of(commit: pfs.Commit, what: str = "the request") -> CommitRef:
    """A commit. Raises InvalidArgument where neither branch nor id, or no repo is named."""
    found = find_commit(commit)
    if found is None:
        raise InvalidArgument(f"the commit of {what} names no repo")
    if not found.ref:
        raise InvalidArgument(f"{what} names no commit of {found.repo}: give a branch or a commit id")
    return found


def pipeline_of(pipeline: pps.Pipeline, what: str = "the request") -> Pipeline:
    """A pipeline. Raises InvalidArgument if it has no name."""
    if not pipeline.name:
        raise InvalidArgument(f"{what} names no pipeline")
    return Pipeline(project_of(pipeline.project), pipeline.name)


def job_of(job: pps.Job, what: str = "the request") -> Job:
    """A job. Raises InvalidArgument if pipeline or id are missing."""
    if not job.id:
        raise InvalidArgument(f"the job of {what} has no id")
    return Job(pipeline_of(job.pipeline, what), job.id)


def project(name: str) -> pfs.Project:
    """A project for the wire."""
    return pfs.Project(name=name)


def repo(noun: Repo) -> pfs.Repo:
    """A repo for the wire."""
    return pfs.Repo(name=noun.name, type=noun.type, project=project(noun.project))


def branch(noun: Branch) -> pfs.Branch:
    """A branch for the wire."""
    return pfs.Branch(repo=repo(noun.repo), name=noun.name)


def commit(noun: Commit, branch_name: str = "") -> pfs.Commit:
    """A commit for the wire. Repo, branch.repo and id are always there: each client reads another of them."""
    where = repo(noun.repo)
    return pfs.Commit(repo=where, id=noun.id, branch=pfs.Branch(repo=where, name=branch_name))


def pipeline(noun: Pipeline) -> pps.Pipeline:
    """A pipeline for the wire."""
    return pps.Pipeline(project=project(noun.project), name=noun.name)


def job(noun: Job) -> pps.Job:
    """A job for the wire."""
    return pps.Job(pipeline=pipeline(noun.pipeline), id=noun.id)
