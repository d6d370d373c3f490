"""Addresses as they are typed, read by the rules of `model`, with a hint at the command that was meant."""

from __future__ import annotations

from trunkline.errors import InvalidArgument
from trunkline.model import addresses
from trunkline.model.addresses import Ref
from trunkline.model.names import Branch, Job, Pipeline, Repo, is_id


def repo(text: str, project: str) -> Repo:
    """`repo`. Raises InvalidArgument."""
    return addresses.parse_repo(text, project)


def branch(text: str, project: str) -> Branch:
    """`repo@branch`. Raises InvalidArgument."""
    return addresses.parse_branch(text, project)


def anything(text: str, project: str) -> Ref:
    """`repo`, with a branch or commit and a path or without. Raises InvalidArgument."""
    return addresses.parse(text, project)


def commit(text: str, project: str) -> Ref:
    """`repo@ref`. Raises InvalidArgument."""
    if is_id(text):
        raise InvalidArgument(
            f'"{text}" is the id of a commit set; write REPO@{text}; `pachctl list commit {text}` shows its commits'
        )
    return addresses.parse_commit(text, project)


def file(text: str, project: str, *, path_needed: bool = False) -> Ref:
    """`repo@ref[:path]`. Raises InvalidArgument, also where a path that is needed is missing."""
    place = addresses.parse_file(text, project)
    if path_needed and place.path is None:
        raise InvalidArgument(f'"{text}" names no file; write for example {place.repo.name}@{place.target}:/path')
    return place


def pipeline(text: str, project: str) -> Pipeline:
    """`pipeline`, of its newest version. Raises InvalidArgument."""
    found, way = addresses.parse_pipeline(text, project)
    if not way.plain:
        raise InvalidArgument(f'"{text}" is an older version; only `pachctl inspect pipeline` takes one')
    return found


def job(text: str, project: str) -> Job:
    """`pipeline@id`. Raises InvalidArgument."""
    if is_id(text):
        raise InvalidArgument(
            f'"{text}" is the id of a job set; write PIPELINE@{text}; `pachctl list job {text}` shows its jobs'
        )
    return addresses.parse_job(text, project)
