"""Names as messages: what the calls take where the model has a repo, a branch, a commit."""

from __future__ import annotations

from trunkline.model.names import Branch, Job, Pipeline, Repo, is_id
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps


def project(name: str) -> pfs.Project:
    """A project."""
    return pfs.Project(name=name)


def repo(name: Repo) -> pfs.Repo:
    """A repo."""
    return pfs.Repo(name=name.name, type=name.type, project=project(name.project))


def branch(name: Branch) -> pfs.Branch:
    """A branch."""
    return pfs.Branch(repo=repo(name.repo), name=name.name)


def commit(owner: Repo, reference: str) -> pfs.Commit:
    """What `reference` means in `owner`: an id, or a branch; either may go on as ancestry (`master^2`, `<id>^`)."""
    place = repo(owner)
    stem = reference
    for mark in "^~.":
        stem = stem.partition(mark)[0]
    if is_id(stem):
        return pfs.Commit(repo=place, branch=pfs.Branch(repo=place), id=reference)
    tail = reference[len(stem) :]
    # Ancestry travels in the id, as every client sends it: the branch's name and an id "^2" would be two references.
    if tail:
        return pfs.Commit(repo=place, branch=pfs.Branch(repo=place), id=reference)
    return pfs.Commit(repo=place, branch=pfs.Branch(repo=place, name=reference))


def file(owner: Repo, reference: str, path: str) -> pfs.File:
    """A file of a commit."""
    return pfs.File(commit=commit(owner, reference), path=path)


def pipeline(name: Pipeline) -> pps.Pipeline:
    """A pipeline."""
    return pps.Pipeline(name=name.name, project=project(name.project))


def job(name: Job) -> pps.Job:
    """A job."""
    return pps.Job(pipeline=pipeline(name.pipeline), id=name.id)
