"""The bundle: one repo with its history, as records in a file. docs/formats/bundle.md describes it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from trunkline.errors import InvalidArgument
from trunkline.model.backups.records import Form

REFS, COMMITS, CHUNK, LISTED, FILESET, PART, END = range(2, 9)
"""Kinds of records beside ABOUT. REFS: branches and tags. COMMITS: some commits. CHUNK: a chunk's blob. LISTED: the
name of one that an earlier bundle has. FILESET: a file set, behind all its chunks; its PARTs follow. END: the last."""

FORM = Form(b"TRNKREPO", 1, "bundle", END)

COMMITS_AT_ONCE = 500
TEXT_BYTES = 256 << 20
"""Records of texts, and file sets, are not longer."""


@dataclass(frozen=True, slots=True)
class About:
    """What a bundle is. since: the id of the earlier one that has the chunks which are only listed; "": none are.

    last_seq: the highest number among its commits, by which file sets name them.
    """

    id: str
    created_us: int
    release: str
    since: str
    project: str
    name: str
    description: str
    repo_created_us: int
    metadata: dict[str, str]
    commits: int
    last_seq: int

    def to_bytes(self) -> bytes:
        """As its record holds it."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> About:
        """The reverse. Raises InvalidArgument."""
        found = read_json(data, "the bundle's description")
        try:
            return cls(
                id=str(found["id"]),
                created_us=int(found["created_us"]),
                release=str(found["release"]),
                since=str(found["since"]),
                project=str(found["project"]),
                name=str(found["name"]),
                description=str(found["description"]),
                repo_created_us=int(found["repo_created_us"]),
                metadata={str(key): str(value) for key, value in found["metadata"].items()},
                commits=int(found["commits"]),
                last_seq=int(found["last_seq"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidArgument(f"the bundle's description cannot be used ({error!r})") from error


def lines(documents: Iterable[dict[str, Any]]) -> bytes:
    """JSON documents, a line each."""
    return b"".join(json.dumps(one, sort_keys=True).encode() + b"\n" for one in documents)


def read_lines(data: bytes, what: str) -> Iterator[dict[str, Any]]:
    """The reverse. Raises InvalidArgument."""
    for line in data.splitlines():
        yield read_json(line, what)


def read_json(data: bytes, what: str) -> dict[str, Any]:
    """One JSON object. Raises InvalidArgument."""
    try:
        found = json.loads(data)
    except ValueError as error:
        raise InvalidArgument(f"{what} is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise InvalidArgument(f"{what} is no JSON object")
    return found
