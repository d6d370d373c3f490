"""pfs_v2.API: commits removed from history."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from google.protobuf.empty_pb2 import Empty

from trunkline.api.files import changes
from trunkline.api.rpc.call import Call
from trunkline.pfs.files import Files
from trunkline.pfs.graph import removal
from trunkline.wire import nouns, pickers
from trunkline.wire.gen import pfs_v2_pb2 as pfs


@dataclass(frozen=True, slots=True)
class RemovalDoor:
    """Commits squashed, dropped, forgotten."""

    files: Files
    service: str = field(default="pfs_v2.API")

    def SquashCommit(self, request: pfs.SquashCommitRequest, _call: Call) -> pfs.SquashCommitResponse:
        """Remove a commit, keeping its data in those that follow."""
        commit, recursive = nouns.commit_of(request.commit), request.recursive
        self.files.change(lambda change: removal.squash_commit(change, commit.repo, commit.ref, recursive=recursive))
        return pfs.SquashCommitResponse()

    def SquashCommitSet(self, request: pfs.SquashCommitSetRequest, _call: Call) -> Empty:
        """Remove a commit set, keeping its data in the commits that follow."""
        return self.files.change(partial(changes.squash_commit_set, request=request))

    def DropCommit(self, request: pfs.DropCommitRequest, _call: Call) -> pfs.DropCommitResponse:
        """Remove a commit with its data."""
        commit, recursive = nouns.commit_of(request.commit), request.recursive
        self.files.change(lambda change: removal.drop_commit(change, commit.repo, commit.ref, recursive=recursive))
        return pfs.DropCommitResponse()

    def DropCommitSet(self, request: pfs.DropCommitSetRequest, _call: Call) -> Empty:
        """Remove a commit set with its data."""
        self.files.change(lambda change: removal.drop_set(change, request.commit_set.id))
        return Empty()

    def ForgetCommit(self, request: pfs.ForgetCommitRequest, _call: Call) -> pfs.ForgetCommitResponse:
        """Give up the files of an output commit, and keep its record."""
        commit = pickers.commit_of(request.commit)
        self.files.change(lambda change: removal.forget_commit(change, commit.repo, commit.ref))
        return pfs.ForgetCommitResponse()
