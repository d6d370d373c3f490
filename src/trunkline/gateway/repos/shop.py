"""All branches of all repos, as buckets."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from weakref import WeakValueDictionary

from trunkline.ambient import Micros
from trunkline.catalog import branches as branch_rows
from trunkline.catalog import commits as commit_rows
from trunkline.catalog import repos as repo_rows
from trunkline.catalog.engine import Tx
from trunkline.errors import InvalidArgument, NotFound
from trunkline.gateway.repos.names import Place, bucket_of, place_of
from trunkline.gateway.repos.parts import RepoParts
from trunkline.gateway.repos.writes import Writes, opened
from trunkline.gateway.s3.faults import Fault
from trunkline.gateway.s3.ports import Bucket, Parts, Shelf, Written
from trunkline.gateway.s3.shelves import ViewShelf, path_of
from trunkline.model.names import PARTS_REPO, check_branch, check_repo
from trunkline.pfs.edits import Copy, Delete, Edit
from trunkline.pfs.files import Files
from trunkline.pfs.graph.branches import create_branch, delete_branch
from trunkline.pfs.graph.changes import Change
from trunkline.pfs.graph.refs import need_project
from trunkline.pfs.graph.repos import create_repo, delete_repo


class RepoShop:
    """Fills `gateway.s3.ports.Shop`. Whoever reaches the server may do everything, as through every other door."""

    anonymous = True

    def __init__(self, files: Files) -> None:
        self._files = files
        self._writes = Writes(files)
        self._parts = RepoParts(files, self._writes)
        self._lock = threading.Lock()
        self._locks: WeakValueDictionary[str, _Lock] = WeakValueDictionary()

    @property
    def parts(self) -> Parts:
        """Uploads in parts."""
        return self._parts

    def secret(self, access_key: str) -> str | None:
        """Any key will do, if the secret is the same."""
        return access_key or None

    def now_us(self) -> Micros:
        """The time."""
        return self._files.ambient.now_us()

    def buckets(self) -> Sequence[Bucket]:
        """One for each branch."""
        found = self._files.catalog.read(branch_rows.user_branches)
        return sorted(
            (Bucket(bucket_of(branch), created_us) for branch, created_us in found if branch.repo.name != PARTS_REPO),
            key=lambda one: one.name,
        )

    def need(self, bucket: str) -> None:
        """Raise Fault NoSuchBucket where there is none."""
        self._writes.need(bucket)

    def open(self, bucket: str, version: str = "") -> Shelf:
        """A branch's head or a commit. version: a commit's id, or HEAD^ and the like."""
        place = place_of(bucket)
        ref = place.ref if not version else version.replace("HEAD", place.ref, 1)
        try:
            source = opened(self._files, place.repo, ref)
        except (NotFound, InvalidArgument) as error:
            if version:
                self.need(bucket)
                raise Fault("NoSuchVersion", str(error)) from error
            raise Fault("NoSuchBucket", str(error)) from error
        modified_us = source.committed_us or self.now_us()
        return ViewShelf(source.view, modified_us, source.commit.id, source.reading.touch)

    def create(self, bucket: str) -> None:
        """Make a branch, and its repo if that is not there."""
        place = place_of(bucket)
        if place.commit:
            raise Fault("InvalidBucketName", "a bucket of a commit comes with the commit, and cannot be made")
        try:
            check_repo(place.repo.name)
            check_branch(place.branch)
        except InvalidArgument as error:
            raise Fault("InvalidBucketName", str(error)) from error
        if place.repo.name == PARTS_REPO:
            raise Fault("InvalidBucketName", f"the name {PARTS_REPO} is taken: uploads in parts lie there")
        try:
            self._files.change(lambda change: _create(change, place))
        except NotFound as error:  # the project
            raise Fault("NoSuchBucket", str(error)) from error

    def delete(self, bucket: str) -> None:
        """Remove a branch without files, and its repo with the last branch."""
        place = place_of(bucket)
        if place.commit:
            raise Fault("MethodNotAllowed", "a bucket of a commit goes with the commit, and cannot be removed")
        self.need(bucket)
        source = opened(self._files, place.repo, place.branch)
        if source.view.count:
            raise Fault("BucketNotEmpty", f"the bucket {bucket} holds {source.view.count} objects; remove them first")
        self._files.change(lambda change: _delete(change, place, source.commit.id))

    def put(self, bucket: str, key: str, data: Iterator[bytes], fresh: bool = False) -> Written:
        """A commit with one file, or more of an open one."""
        path = path_of(key)
        if not fresh:
            return self._writes.put(bucket, path, data)
        with self._lock:
            lock = self._locks.setdefault(bucket_of(place_of(bucket).head), _Lock())  # two names may mean one
        return self._writes.put(bucket, path, self._guarded(bucket, key, lock, data), lock.release)

    def _guarded(self, bucket: str, key: str, lock: _Lock, data: Iterator[bytes]) -> Iterator[bytes]:
        """The same bytes; at their end a look whether the key is still free, until the write is done."""
        self._refuse_taken(bucket, key)
        yield from data
        lock.acquire()
        self._refuse_taken(bucket, key)

    def _refuse_taken(self, bucket: str, key: str) -> None:
        if self.open(bucket).find(key) is not None:
            raise Fault("PreconditionFailed", f"there is an object {key} in the bucket {bucket} already")

    def copy(self, bucket: str, key: str, source: str, source_key: str, version: str = "") -> Written:
        """By reference."""
        path = path_of(key)
        shelf, place = self.open(source, version), place_of(source)
        if shelf.find(source_key) is None:
            raise Fault("NoSuchKey", f"there is no object {source_key} in the bucket {source}")
        edits: list[Edit] = [Delete(path), Copy(path, place.repo, shelf.version, path_of(source_key))]
        return self._writes.write(bucket, path, iter(edits))

    def remove(self, bucket: str, keys: Sequence[str]) -> None:
        """All in one commit; none where nothing is there."""
        self._writes.remove(bucket, [path_of(key) for key in keys])


class _Lock:
    """One writer of new keys at a time, in a bucket."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0

    def acquire(self) -> None:
        """Wait for it."""
        self._lock.acquire()
        self._owner = threading.get_ident()

    def release(self) -> None:
        """Give it back, if this thread has it."""
        if self._owner == threading.get_ident():
            self._owner = 0
            self._lock.release()


def _create(change: Change, place: Place) -> None:
    tx: Tx = change.tx
    need_project(tx, place.repo.project)
    if repo_rows.find_repo(tx, place.repo) is None:
        create_repo(tx, place.repo)
    elif branch_rows.find_branch(tx, place.head) is not None:
        raise Fault("BucketAlreadyOwnedByYou", f"the bucket {bucket_of(place.head)} is there already")
    create_branch(change, place.head)


def _delete(change: Change, place: Place, head: str) -> None:
    tx: Tx = change.tx
    row = branch_rows.find_branch(tx, place.head)
    if row is None:
        raise Fault("NoSuchBucket", f"the bucket {bucket_of(place.head)} has gone already")
    commit = commit_rows.get_commit(tx, row.head)
    if commit is not None and commit.commit.id != head:
        raise Fault("BucketNotEmpty", f"something was written to {bucket_of(place.head)} meanwhile")
    if len(branch_rows.list_branches(tx, row.repo_key)) == 1:
        delete_repo(change, place.repo)
    else:
        delete_branch(change, place.head)
