"""Changes of a bucket: commits of a branch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from trunkline.catalog import branches as branch_rows
from trunkline.catalog import commits as commit_rows
from trunkline.catalog.engine import Tx
from trunkline.errors import Aborted, InvalidArgument, NotFound
from trunkline.gateway.repos.names import Place, place_of
from trunkline.gateway.s3.faults import Fault
from trunkline.gateway.s3.ports import Written
from trunkline.model import paths
from trunkline.model.names import Commit, Repo
from trunkline.pfs.edits import Add, Delete, Edit, Target, modify
from trunkline.pfs.files import Files
from trunkline.pfs.graph.changes import unfinished_output
from trunkline.pfs.graph.refs import need_commit
from trunkline.pfs.reads import Source, need_source

PATIENCE_S = 15.0
"""How long a request waits for a commit that is being finished: it holds a thread, and clients of S3 ask again."""


def opened(files: Files, repo: Repo, ref: str) -> Source:
    """A commit's content; one that is being finished is waited for. Raises Fault ServiceUnavailable after a while."""
    until_s = files.ambient.ticks_s() + PATIENCE_S
    try:
        return need_source(files, repo, ref, lambda: files.ambient.ticks_s() < until_s)
    except Aborted as error:
        raise Fault(
            "ServiceUnavailable",
            f"{repo}@{ref} is being finished, or stands on a commit that is open still; ask again once it is, or "
            f"finish that commit (`pachctl list commit {repo}` shows them)",
        ) from error


class Writes:
    """What every change has in common."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def need(self, bucket: str) -> Place:
        """The place of a bucket. Raises Fault NoSuchBucket."""
        place = place_of(bucket)
        try:
            self._files.catalog.read(lambda tx: need_commit(tx, place.repo, place.ref))
        except (NotFound, InvalidArgument) as error:
            raise Fault("NoSuchBucket", str(error)) from error
        return place

    def writable(self, bucket: str) -> Place:
        """The place of a bucket that takes objects. Raises Fault NoSuchBucket, WriteToOutputBranch, InvalidRequest."""
        place = self.need(bucket)
        self._files.catalog.read(lambda tx: _refuse_closed(tx, place))
        return place

    def put(self, bucket: str, path: str, data: Iterator[bytes], over: Callable[[], object] = lambda: None) -> Written:
        """Have a file hold some bytes. over: called once that is so, or not to be."""

        def edits() -> Iterator[Edit]:
            yield Delete(path)
            yield Add(path, b"")
            for piece in data:
                yield Add(path, piece)

        try:
            return self.write(bucket, path, edits())
        finally:
            over()

    def write(self, bucket: str, path: str, edits: Iterator[Edit]) -> Written:
        """Make a change after which a file lies at `path`; what it is."""
        place = self.writable(bucket)
        _refuse_both(opened(self._files, place.repo, place.ref), path)
        commit = modify(self._files, _target(place), edits)
        return self._written(commit, path)

    def _written(self, commit: Commit, path: str) -> Written:
        source = opened(self._files, commit.repo, commit.id)
        entry = source.view.find(path)
        if entry is None or entry.is_dir:
            row = self._files.catalog.read(lambda tx: need_commit(tx, commit.repo, commit.id))
            raise Fault("OperationAborted", row.error or f"{path} was removed again while it was being written")
        return Written(entry.hash.hex(), source.committed_us or self._files.ambient.now_us(), commit.id)

    def remove(self, bucket: str, found: Sequence[str]) -> None:
        """Remove files; without a commit where there are none."""
        place = self.writable(bucket)
        wanted = pa.array(sorted(set(found), key=str.encode), pa.string())
        there = opened(self._files, place.repo, place.ref).view.at(wanted).column("path").to_pylist()
        if there:
            modify(self._files, _target(place), (Delete(path) for path in there))


def _target(place: Place) -> Target:
    return Target(place.repo, ref=place.commit) if place.commit else Target(place.repo, branch=place.branch)


def _refuse_closed(tx: Tx, place: Place) -> None:
    if place.commit:
        row = need_commit(tx, place.repo, place.commit)
        if commit_rows.upstream_of(tx, [row.seq]):
            raise Fault(
                "WriteToOutputBranch", f"commit {row.commit} is the output of a pipeline, and only that writes it"
            )
        if not row.open:
            raise Fault("InvalidRequest", f"commit {row.commit} is finished and never changes; write to its branch")
        return
    branch = branch_rows.find_branch(tx, place.head)
    if branch is not None and branch_rows.depends(tx, branch.key):
        raise Fault("WriteToOutputBranch", str(unfinished_output(place.head)))


def _refuse_both(source: Source, path: str) -> None:
    """Raise Fault where a path would be a file and a directory."""
    above = [one.rstrip("/") for one in paths.parents(path)[1:]]
    names = pa.array([*above, path], pa.string())
    entries = source.view.at(names).column("path").to_pylist() if above else []
    file = next((one for one in entries if one in above), "")
    found = source.view.find(path)
    if file or (found is not None and found.is_dir):
        raise Fault("InvalidRequest", f"{file or path} is a {'file' if file else 'directory'}, and cannot be both")
