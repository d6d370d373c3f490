"""Uploads in parts: each is an open commit on a branch of its own in a repo for the purpose, with a file a part.

So parts outlive the server, and go with the upload: completing it refers to their bytes, and takes the commit away.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from trunkline.catalog import branches as branch_rows
from trunkline.catalog import commits as commit_rows
from trunkline.catalog import repos as repo_rows
from trunkline.catalog.commits import CommitRow
from trunkline.catalog.engine import Tx
from trunkline.gateway.repos.writes import Writes
from trunkline.gateway.s3.faults import Fault
from trunkline.gateway.s3.ports import Part, Upload, Written
from trunkline.gateway.s3.shelves import path_of
from trunkline.model.names import DEFAULT_PROJECT, PARTS_REPO, Branch, Commit, Repo, is_id
from trunkline.pfs.edits import Add, Copy, Delete, Edit, Target, modify
from trunkline.pfs.files import Files
from trunkline.pfs.graph.changes import Change
from trunkline.pfs.graph.commits import start_commit
from trunkline.pfs.graph.history import drop_commits
from trunkline.pfs.graph.repos import create_repo
from trunkline.pfs.reads import Source, need_source
from trunkline.storage import entries

REPO = Repo(DEFAULT_PROJECT, PARTS_REPO)
PREFIX = "upload-"


class RepoParts:
    """Fills `gateway.s3.ports.Parts`."""

    def __init__(self, files: Files, writes: Writes) -> None:
        self._files = files
        self._writes = writes

    def begin(self, bucket: str, key: str) -> str:
        """A new one's id: the end of its branch's name."""
        path = path_of(key)
        self._writes.writable(bucket)
        upload = self._files.ambient.new_id()
        self._files.change(lambda change: _begin(change, upload, bucket, path))
        return upload

    def put_part(self, bucket: str, key: str, upload: str, number: int, data: Iterator[bytes]) -> Written:
        """Keep a part, in the place of one of the same number."""
        commit, path = self._need(bucket, key, upload), _path(number)

        def edits() -> Iterator[Edit]:
            yield Delete(path)
            yield Add(path, b"")
            for piece in data:
                yield Add(path, piece)

        modify(self._files, Target(REPO, ref=commit.id), edits())
        entry = self._source(commit).view.find(path)
        if entry is None:
            raise Fault("NoSuchUpload", f"upload {upload} has ended")
        return Written(entry.hash.hex(), self._files.ambient.now_us())

    def list_parts(self, bucket: str, key: str, upload: str) -> Sequence[Part]:
        """Those that are kept."""
        commit = self._need(bucket, key, upload)
        now_us = self._files.ambient.now_us()
        return [
            Part(int(one.path[1:]), one.size_bytes, one.hash.hex(), now_us)
            for one in entries(self._source(commit).view.list("/"))
        ]

    def complete(self, bucket: str, key: str, upload: str, numbers: Sequence[int]) -> Written:
        """The object refers to the bytes of its parts, one behind the other."""
        commit, path = self._need(bucket, key, upload), path_of(key)
        edits: list[Edit] = [Delete(path)]
        edits += [Copy(path, REPO, commit.id, _path(number), append=True) for number in numbers]
        written = self._writes.write(bucket, path, iter(edits))
        self._files.change(lambda change: _end(change, upload))
        return written

    def abort(self, bucket: str, key: str, upload: str) -> None:
        """Forget it."""
        self._need(bucket, key, upload)
        self._files.change(lambda change: _end(change, upload))

    def uploads(self, bucket: str) -> Sequence[Upload]:
        """Those that have begun, by key."""
        self._writes.need(bucket)
        rows = self._files.catalog.read(_all)
        found = [(upload, row, _about(row)) for upload, row in rows]
        kept = [Upload(upload, key[1:], row.started_us) for upload, row, (of, key) in found if of == bucket]
        return sorted(kept, key=lambda one: (one.key, one.id))

    def _need(self, bucket: str, key: str, upload: str) -> Commit:
        row = self._files.catalog.read(lambda tx: _find(tx, upload)) if is_id(upload) else None
        if row is None or _about(row) != (bucket, path_of(key)):
            raise Fault("NoSuchUpload", f"no upload {upload[:64]} of {key} to {bucket} has begun, or it has ended")
        return row.commit

    def _source(self, commit: Commit) -> Source:
        return need_source(self._files, REPO, commit.id)


def _path(number: int) -> str:
    return f"/{number:05d}"


def _about(row: CommitRow) -> tuple[str, str]:
    """The bucket and the path of an upload; two empty texts for a commit that is something else."""
    try:
        found = json.loads(row.description)
        return str(found["bucket"]), str(found["path"])
    except (ValueError, KeyError, TypeError):
        return "", ""


def _begin(change: Change, upload: str, bucket: str, path: str) -> None:
    if repo_rows.find_repo(change.tx, REPO) is None:
        create_repo(change.tx, REPO, "parts of objects whose upload has not ended")
    about = json.dumps({"bucket": bucket, "path": path}, ensure_ascii=False)
    start_commit(change, Branch(REPO, PREFIX + upload), description=about)


def _find(tx: Tx, upload: str) -> CommitRow | None:
    branch = branch_rows.find_branch(tx, Branch(REPO, PREFIX + upload))
    return commit_rows.get_commit(tx, branch.head) if branch is not None else None


def _all(tx: Tx) -> list[tuple[str, CommitRow]]:
    repo = repo_rows.find_repo(tx, REPO)
    rows = branch_rows.list_branches(tx, repo.key) if repo is not None else []
    heads = commit_rows.get_commits(tx, [row.head for row in rows])
    return [(row.branch.name.removeprefix(PREFIX), heads[row.head]) for row in rows if row.head in heads]


def _end(change: Change, upload: str) -> None:
    """Take the branch and its commit away."""
    branch = branch_rows.find_branch(change.tx, Branch(REPO, PREFIX + upload))
    if branch is not None:
        branch_rows.delete_branch(change.tx, branch.key)
        drop_commits(change.tx, [branch.head])
