"""trunkline.v1.Versions: branches brought together."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from trunkline.api.rpc.call import Call
from trunkline.api.rpc.settling import Settling
from trunkline.errors import InvalidArgument
from trunkline.pfs.files import Files
from trunkline.pfs.merging.merge import Merged, Wish, merge_branch, unfinished_head
from trunkline.pfs.merging.sides import Choice, Deed
from trunkline.wire import nouns
from trunkline.wire.gen import trunkline_pb2 as own

_DEEDS = {
    Deed.ADDED: own.MERGE_ADDED,
    Deed.CHANGED: own.MERGE_CHANGED,
    Deed.DELETED: own.MERGE_DELETED,
    Deed.FILE: own.MERGE_FILE,
    Deed.DIRECTORY: own.MERGE_DIRECTORY,
}


@dataclass(frozen=True, slots=True)
class MergeDoor:
    """Merges."""

    files: Files
    settling: Settling
    service: str = field(default="trunkline.v1.Versions")

    async def MergeBranch(self, request: own.MergeBranchRequest, call: Call) -> own.MergeBranchResponse:
        """Bring what one line of history changed into a branch."""
        source = nouns.commit_of(request.source, "the merge's source")
        target = nouns.branch_of(request.target, "the merge's target")
        try:
            choice = Choice(request.choice)
        except ValueError as error:
            raise InvalidArgument(f"a merge cannot be settled by {request.choice}: theirs, ours or union") from error
        wish = Wish(source.repo, source.ref, target, choice, request.dry_run, request.description)
        await self.settling.until(lambda tx: unfinished_head(tx, wish))
        return _told(await self.settling.bridge.slow(partial(merge_branch, self.files, wish, call.wanted)))


def _told(merged: Merged) -> own.MergeBranchResponse:
    answer = own.MergeBranchResponse(
        up_to_date=merged.up_to_date,
        added=merged.added,
        changed=merged.changed,
        deleted=merged.deleted,
        conflict_count=merged.conflict_count,
        unsettled_count=merged.unsettled_count,
        conflicts=[
            own.MergeConflict(
                path=one.path,
                ours=_DEEDS[one.ours],
                theirs=_DEEDS[one.theirs],
                settled=one.settled,
            )
            for one in merged.conflicts
        ],
    )
    if merged.commit is not None:
        answer.commit.CopyFrom(nouns.commit(merged.commit))
    if merged.base is not None:
        answer.base.CopyFrom(nouns.commit(merged.base))
    return answer
