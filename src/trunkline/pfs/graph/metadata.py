"""Texts that people attach to things: pairs of key and value, changed one by one or all at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from trunkline.catalog import metadata as rows
from trunkline.catalog.engine import Tx
from trunkline.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from trunkline.model.names import Branch, Repo
from trunkline.pfs.graph.refs import need_branch, need_commit, need_repo
from trunkline.pfs.graph.repos import inspect_project

MOST_BYTES = 64 << 10
"""How long the keys and values of one thing may be together: they travel with it in every list."""


@dataclass(frozen=True, slots=True)
class AddKey:
    """A pair whose key is not there yet."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class SetKey:
    """A pair, in place of one with its key if there is one."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class DeleteKey:
    """The pair with this key goes, if it is there."""

    key: str


@dataclass(frozen=True, slots=True)
class Replace:
    """These pairs and no others."""

    texts: Mapping[str, str] = field(default_factory=dict)


Operation = AddKey | SetKey | DeleteKey | Replace


def applied(texts: Mapping[str, str], operation: Operation, what: str) -> dict[str, str]:
    """The pairs after an operation. what: whose they are, for errors.

    Raises AlreadyExists for a key that is to be new, InvalidArgument for an empty key, FailedPrecondition: too long.
    """
    after = dict(texts)
    match operation:
        case AddKey(key, value):
            if key in after:
                raise AlreadyExists(f'the metadata of {what} has the key "{key}" already; edit it instead of adding it')
            after[key] = value
        case SetKey(key, value):
            after[key] = value
        case DeleteKey(key):
            after.pop(key, None)
        case Replace(wanted):
            after = dict(wanted)
    if "" in after or getattr(operation, "key", "-") == "":
        raise InvalidArgument(f"the metadata of {what} cannot have an empty key; name it")
    if sum(len(text.encode()) for pair in after.items() for text in pair) > MOST_BYTES:
        raise FailedPrecondition(
            f"the metadata of {what} would be longer than {MOST_BYTES >> 10} KiB; put long texts into a file of a repo"
        )
    return after


def edit_cluster(tx: Tx, operation: Operation) -> None:
    """Change what is attached to the cluster."""
    rows.set_of_cluster(tx, applied(rows.cluster_metadata(tx), operation, "the cluster"))


def edit_project(tx: Tx, name: str, operation: Operation) -> None:
    """Change what is attached to a project. Raises NotFound."""
    info = inspect_project(tx, name)
    rows.set_of_project(tx, name, applied(info.metadata, operation, f'project "{name}"'))


def edit_repo(tx: Tx, repo: Repo, operation: Operation) -> None:
    """Change what is attached to a repo. Raises NotFound."""
    row = need_repo(tx, repo)
    rows.set_of_repo(tx, row.key, applied(row.metadata, operation, f"repo {repo}"))


def edit_branch(tx: Tx, branch: Branch, operation: Operation) -> None:
    """Change what is attached to a branch. Raises NotFound."""
    row = need_branch(tx, branch)
    rows.set_of_branch(tx, row.key, applied(row.metadata, operation, f"branch {branch}"))


def edit_commit(tx: Tx, repo: Repo, ref: str, operation: Operation) -> None:
    """Change what is attached to a commit, open or finished. Raises NotFound."""
    row = need_commit(tx, repo, ref)
    rows.set_of_commit(tx, row.seq, applied(row.metadata, operation, f"commit {row.commit}"))
