"""pfs_v2.API: commits removed from history, and history walked and searched."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial

from google.protobuf.empty_pb2 import Empty

from trunkline.api.rpc.call import Call
from trunkline.api.rpc.settling import Settling
from trunkline.errors import InvalidArgument
from trunkline.model.names import Repo
from trunkline.pfs.files import Files
from trunkline.pfs.graph import removal
from trunkline.pfs.graph.changes import Change
from trunkline.pfs.past import tasks as pfs_tasks
from trunkline.pfs.past import walks
from trunkline.pfs.past.diffs import merge_diffs
from trunkline.pfs.past.search import find_commits, start_of
from trunkline.pfs.reads import LONGEST_S
from trunkline.wire import infos, nouns, pickers, tasks
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import taskapi_pb2 as taskapi


@dataclass(frozen=True, slots=True)
class RemovalDoor:
    """Commits squashed, dropped, forgotten."""

    files: Files
    settling: Settling
    service: str = field(default="pfs_v2.API")

    async def SquashCommit(self, request: pfs.SquashCommitRequest, _call: Call) -> pfs.SquashCommitResponse:
        """Remove a commit, keeping its data in those that follow."""
        at, recursive = nouns.commit_of(request.commit), request.recursive
        await self._settled(at)
        await self._squash(lambda change: removal.squash_commit(change, at.repo, at.ref, recursive=recursive))
        return pfs.SquashCommitResponse()

    async def SquashCommitSet(self, request: pfs.SquashCommitSetRequest, _call: Call) -> Empty:
        """Remove a commit set, keeping its data in the commits that follow."""
        set_id = request.commit_set.id
        await self.settling.until(lambda tx: removal.set_settles(tx, set_id), LONGEST_S)
        await self._squash(lambda change: removal.squash_set(change, set_id))
        return Empty()

    async def _settled(self, at: nouns.CommitRef) -> None:
        await self.settling.until(lambda tx: removal.commit_settles(tx, at.repo, at.ref), LONGEST_S)

    async def _squash(self, change: Callable[[Change], list[int]]) -> None:
        await self.settling.bridge.unary(lambda: merge_diffs(self.files, self.files.change(change)))

    def DropCommit(self, request: pfs.DropCommitRequest, _call: Call) -> pfs.DropCommitResponse:
        """Remove a commit with its data."""
        commit, recursive = nouns.commit_of(request.commit), request.recursive
        self.files.change(lambda change: removal.drop_commit(change, commit.repo, commit.ref, recursive=recursive))
        return pfs.DropCommitResponse()

    def DropCommitSet(self, request: pfs.DropCommitSetRequest, _call: Call) -> Empty:
        """Remove a commit set with its data."""
        self.files.change(lambda change: removal.drop_set(change, request.commit_set.id))
        return Empty()

    async def ForgetCommit(self, request: pfs.ForgetCommitRequest, _call: Call) -> pfs.ForgetCommitResponse:
        """Give up the files of an output commit, and keep its record."""
        at = pickers.commit_of(request.commit)
        await self._settled(at)
        forget = partial(self.files.change, lambda change: removal.forget_commit(change, at.repo, at.ref))
        await self.settling.bridge.unary(forget)
        return pfs.ForgetCommitResponse()


@dataclass(frozen=True, slots=True)
class PastDoor:
    """History walked along provenance and searched for a path; work under way."""

    files: Files
    settling: Settling
    service: str = field(default="pfs_v2.API")

    async def FindCommits(
        self, request: pfs.FindCommitsRequest, _call: Call
    ) -> AsyncGenerator[pfs.FindCommitsResponse, None]:
        """Commits that changed a path, newest first; last, how far the search went."""
        named = nouns.commit_of(request.start)
        row = await self.settling.until(lambda tx: start_of(tx, named.repo, named.ref))
        ref = row.commit.id if row is not None else named.ref
        async with aclosing(self.settling.bridge.stream(partial(self._search, request, named.repo, ref))) as found:
            async for one in found:
                yield one

    def _search(self, request: pfs.FindCommitsRequest, repo: Repo, ref: str) -> Iterator[pfs.FindCommitsResponse]:
        for step in find_commits(self.files, repo, ref, request.file_path, limit=request.limit):
            if step.found is not None:
                yield pfs.FindCommitsResponse(found_commit=nouns.commit(step.found), commits_searched=step.searched)
            else:
                last = nouns.commit(step.last)
                yield pfs.FindCommitsResponse(last_searched_commit=last, commits_searched=step.searched)

    def WalkCommitProvenance(self, request: pfs.WalkCommitProvenanceRequest, call: Call) -> Iterator[pfs.CommitInfo]:
        """What commits were made from, nearest first."""
        return self._commits(request, call, up=True)

    def WalkCommitSubvenance(self, request: pfs.WalkCommitSubvenanceRequest, call: Call) -> Iterator[pfs.CommitInfo]:
        """What was made from commits, nearest first."""
        return self._commits(request, call, up=False)

    def _commits(
        self, request: pfs.WalkCommitProvenanceRequest | pfs.WalkCommitSubvenanceRequest, call: Call, *, up: bool
    ) -> Iterator[pfs.CommitInfo]:
        if not request.start:
            raise InvalidArgument("the request names no commit to start from")
        most, depth = request.max_commits, request.max_depth
        for picker in request.start:
            at = pickers.commit_of(picker)
            for info in walks.walk_commits(self.files, at.repo, at.ref, up=up, most=most, depth=depth):
                yield infos.commit_info(info, bare=call.bare_branches)

    def WalkBranchProvenance(self, request: pfs.WalkBranchProvenanceRequest, call: Call) -> Iterator[pfs.BranchInfo]:
        """What branches depend on, nearest first."""
        return self._branches(request, call, up=True)

    def WalkBranchSubvenance(self, request: pfs.WalkBranchSubvenanceRequest, call: Call) -> Iterator[pfs.BranchInfo]:
        """What depends on branches, nearest first."""
        return self._branches(request, call, up=False)

    def _branches(
        self, request: pfs.WalkBranchProvenanceRequest | pfs.WalkBranchSubvenanceRequest, call: Call, *, up: bool
    ) -> Iterator[pfs.BranchInfo]:
        if not request.start:
            raise InvalidArgument("the request names no branch to start from")
        most, depth = request.max_branches, request.max_depth
        for picker in request.start:
            at = pickers.branch_of(picker)
            walk = partial(walks.walk_branches, branch=at, up=up, most=most, depth=depth)
            for info in self.files.catalog.read(walk):
                yield infos.branch_info(info, bare=call.bare_branches)

    def ListTask(self, request: taskapi.ListTaskRequest, _call: Call) -> Iterator[taskapi.TaskInfo]:
        """Commits that are being finished."""
        after = 0
        while page := self.files.catalog.read(partial(pfs_tasks.page, after=after)):
            for after, task in page:  # noqa: B007 - the last one is where to go on
                if tasks.wanted(request, task.namespace, task.group):
                    yield tasks.task_info(
                        task.id, task.namespace, task.group, claimed=task.claimed, what=task.what, data=task.data
                    )
