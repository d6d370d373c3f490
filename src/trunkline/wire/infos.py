"""What the versioned file system says about its objects, between `model.infos` and protobuf."""

from __future__ import annotations

from collections.abc import Iterable

from trunkline.model.infos import (
    BranchInfo,
    CommitInfo,
    CommitSetInfo,
    CommitState,
    FileInfo,
    Origin,
    ProjectInfo,
    RepoInfo,
    Trigger,
)
from trunkline.model.names import Branch, Commit
from trunkline.wire import nouns
from trunkline.wire.frames import delimited, number
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.times import timestamp

_ORIGINS = {Origin.USER: pfs.USER, Origin.AUTO: pfs.AUTO, Origin.FSCK: pfs.FSCK}
_STATES = {
    CommitState.STARTED: pfs.STARTED,
    CommitState.READY: pfs.READY,
    CommitState.FINISHING: pfs.FINISHING,
    CommitState.FINISHED: pfs.FINISHED,
}


def project_info(info: ProjectInfo) -> pfs.ProjectInfo:
    """A project for the wire."""
    return pfs.ProjectInfo(
        project=nouns.project(info.name),
        description=info.description,
        created_at=timestamp(info.created_us),
        created_by=info.created_by,
        metadata=info.metadata,
    )


def repo_info(info: RepoInfo) -> pfs.RepoInfo:
    """A repo for the wire. `details` is there once its size is known."""
    details = pfs.RepoInfo.Details(size_bytes=info.size_bytes) if info.size_bytes is not None else None
    return pfs.RepoInfo(
        repo=nouns.repo(info.repo),
        created=timestamp(info.created_us),
        size_bytes_upper_bound=info.size_upper_bytes,
        description=info.description,
        branches=[nouns.branch(Branch(info.repo, name)) for name in info.branches],
        details=details,
        metadata=info.metadata,
    )


def branch_info(info: BranchInfo, *, bare: bool = False) -> pfs.BranchInfo:
    """A branch for the wire. bare: without its name in the head, as one client wants commits."""
    return pfs.BranchInfo(
        branch=nouns.branch(info.branch),
        head=nouns.commit(info.head, "" if bare else info.branch.name),
        direct_provenance=[nouns.branch(other) for other in info.direct_provenance],
        provenance=[nouns.branch(other) for other in info.provenance],
        subvenance=[nouns.branch(other) for other in info.subvenance],
        trigger=_trigger(info.trigger) if info.trigger is not None else None,
        metadata=info.metadata,
        created_by=info.created_by,
        created_at=timestamp(info.created_us),
        updated_at=timestamp(info.updated_us),
    )


def _trigger(trigger: Trigger) -> pfs.Trigger:
    return pfs.Trigger(
        branch=trigger.branch,
        all=trigger.all,
        rate_limit_spec=trigger.rate_limit_spec,
        size=trigger.size,
        commits=trigger.commits,
        cron_spec=trigger.cron_spec,
    )


def trigger_of(trigger: pfs.Trigger) -> Trigger:
    """A trigger from the wire."""
    return Trigger(
        branch=trigger.branch,
        all=trigger.all,
        rate_limit_spec=trigger.rate_limit_spec,
        size=trigger.size,
        commits=trigger.commits,
        cron_spec=trigger.cron_spec,
    )


def commit_info(info: CommitInfo, *, bare: bool = False) -> pfs.CommitInfo:
    """A commit for the wire. bare: without its branch's name, as one client wants it."""
    told = pfs.CommitInfo(
        commit=nouns.commit(info.commit, "" if bare else info.branch),
        origin=pfs.CommitOrigin(kind=_ORIGINS[info.origin]),
        description=info.description,
        parent_commit=nouns.commit(info.parent) if info.parent is not None else None,
        child_commits=[nouns.commit(child) for child in info.children],
        started=timestamp(info.started_us),
        error=info.error,
        size_bytes_upper_bound=info.size_upper_bytes,
        direct_provenance=[nouns.commit(up) for up in info.direct_provenance],
        direct_subvenance=[nouns.commit(down) for down in info.direct_subvenance],
        metadata=info.metadata,
        created_by=info.created_by,
        created_at=timestamp(info.started_us),
        updated_at=timestamp(info.updated_us or info.started_us),
    )
    if info.finishing_us is not None:
        told.finishing.CopyFrom(timestamp(info.finishing_us))
    if info.finished_us is not None:
        told.finished.CopyFrom(timestamp(info.finished_us))
    if info.size_bytes is not None:
        told.details.size_bytes = info.size_bytes
    return told


def commit_set_info(info: CommitSetInfo, *, bare: bool = False) -> pfs.CommitSetInfo:
    """A commit set for the wire."""
    return pfs.CommitSetInfo(
        commit_set=pfs.CommitSet(id=info.id), commits=[commit_info(member, bare=bare) for member in info.commits]
    )


def file_info(info: FileInfo, branch_name: str = "") -> pfs.FileInfo:
    """A file or directory for the wire."""
    return pfs.FileInfo(
        file=pfs.File(commit=nouns.commit(info.commit, branch_name), path=info.path, datum=info.datum),
        file_type=pfs.DIR if info.is_dir else pfs.FILE,
        committed=timestamp(info.committed_us) if info.committed_us is not None else None,
        size_bytes=info.size_bytes,
        hash=info.hash,
    )


class FileMessages:
    """FileInfos of one commit, encoded from columns: what they share is encoded once.

    A message object for each would take five times as long, and a directory may have very many files.
    """

    def __init__(self, commit: Commit, branch_name: str, committed_us: int | None) -> None:
        self._commit = b"".join(delimited(1, nouns.commit(commit, branch_name).SerializeToString()))
        committed = timestamp(committed_us).SerializeToString() if committed_us is not None else None
        when = b"".join(delimited(3, committed)) if committed is not None else b""
        self._after = {is_dir: number(2, pfs.DIR if is_dir else pfs.FILE) + when for is_dir in (False, True)}

    def of(
        self, paths: Iterable[str], datums: Iterable[str], dirs: Iterable[bool], sizes: Iterable[int],
        hashes: Iterable[bytes],
    ) -> list[bytes]:  # fmt: skip
        """A message for each row."""
        return [self._one(*row) for row in zip(paths, datums, dirs, sizes, hashes, strict=True)]

    def _one(self, path: str, datum: str, is_dir: bool, size: int, digest: bytes) -> bytes:
        file = [self._commit, *delimited(2, path.encode())]
        if datum:
            file += delimited(3, datum.encode())
        told = [*delimited(1, *file), self._after[is_dir], number(4, size)]
        if digest:
            told += delimited(5, digest)
        return b"".join(told)


def file_list(encoded: Iterable[bytes]) -> bytes:
    """A `trunkline.v1.FileList` of encoded FileInfos, encoded."""
    return b"".join([part for message in encoded for part in delimited(1, message)])


def origin_of(kind: int) -> Origin | None:
    """An origin from the wire, None if it is not set."""
    return next((ours for ours, theirs in _ORIGINS.items() if theirs == kind), None)


def state_of(state: int) -> CommitState | None:
    """A commit state from the wire, None if it is not set."""
    return next((ours for ours, theirs in _STATES.items() if theirs == state), None)


def state(ours: CommitState) -> pfs.CommitState.ValueType:
    """A commit state for the wire."""
    return _STATES[ours]
