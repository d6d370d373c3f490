"""trunkline.v1.Purges: files taken out of all history."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial

from trunkline.api.rpc.call import Call
from trunkline.api.rpc.settling import Settling
from trunkline.catalog.purging import purges as purge_rows
from trunkline.catalog.purging.purges import PurgeRow, TollRow
from trunkline.errors import Aborted, InvalidArgument
from trunkline.model.names import Commit
from trunkline.pfs.purging.asking import PurgeInfo, Purging
from trunkline.pfs.purging.purger import PURGE_TOPIC
from trunkline.pfs.purging.survey import PATIENCE_S, Survey, Wish, settles
from trunkline.wire import nouns
from trunkline.wire.gen import trunkline_pb2 as own
from trunkline.wire.times import timestamp

TRIES = 5

_STAGES = {
    purge_rows.REWRITING: own.PURGE_REWRITING,
    purge_rows.RELEASING: own.PURGE_RELEASING,
    purge_rows.COLLECTING: own.PURGE_COLLECTING,
    purge_rows.GONE: own.PURGE_GONE,
    purge_rows.STOPPED: own.PURGE_STOPPED,
}


@dataclass(frozen=True, slots=True)
class PurgeDoor:
    """Purges."""

    purging: Purging
    settling: Settling
    service: str = field(default="trunkline.v1.Purges")

    async def PurgePath(self, request: own.PurgePathRequest, call: Call) -> AsyncGenerator[own.PurgePathResponse, None]:
        """Begin a purge, or say what one would take."""
        repo = nouns.repo_of(request.repo, "the purge")
        wish = Wish(repo, request.path, request.glob, request.tagged, request.reason)
        work = partial(self._look, wish)
        if not request.dry_run:
            work = partial(self._begun, await self._begin(wish, call))
        else:
            await self._settled(wish)
        async with aclosing(self.settling.bridge.stream(work)) as answers:
            async for answer in answers:
                yield answer

    async def _settled(self, wish: Wish) -> None:
        await self.settling.until(lambda tx: settles(tx, wish), PATIENCE_S)

    async def _begin(self, wish: Wish, call: Call) -> str:
        """The id of a purge that has begun. Where history changed while it was looked through, it is done again."""
        for _ in range(TRIES - 1):
            await self._settled(wish)
            try:
                return await self.settling.bridge.unary(partial(self.purging.begin, wish))
            except Aborted:
                if not call.wanted():
                    raise
        await self._settled(wish)
        return await self.settling.bridge.unary(partial(self.purging.begin, wish))

    def _look(self, wish: Wish) -> Iterator[own.PurgePathResponse]:
        found = self.purging.look(wish)
        yield own.PurgePathResponse(purge=_planned(found))
        for toll in sorted(found.tolls, key=lambda one: one.seq):
            yield own.PurgePathResponse(commit=_commit(toll))

    def _begun(self, id: str) -> Iterator[own.PurgePathResponse]:
        info = self.purging.inspect(id)
        yield own.PurgePathResponse(purge=_told(info))
        for toll in self.purging.tolls(id):
            yield own.PurgePathResponse(commit=_commit(toll, info.row))

    async def InspectPurge(self, request: own.InspectPurgeRequest, _call: Call) -> own.PurgeInfo:
        """One purge, at once or when it has come to an end."""
        events = self.settling.events
        while True:
            seq = events.seq
            info = await self.settling.bridge.unary(partial(self.purging.inspect, request.id))
            if not request.wait or info.row.stage in (purge_rows.GONE, purge_rows.STOPPED) or info.row.trouble:
                return _told(info)
            await events.after(seq, PURGE_TOPIC)

    def StopPurge(self, request: own.StopPurgeRequest, _call: Call) -> own.StopPurgeResponse:
        """End one before its time."""
        self.purging.stop(request.id)
        return own.StopPurgeResponse()

    def ListPurge(self, request: own.ListPurgeRequest, _call: Call) -> Iterator[own.PurgeInfo]:
        """Purges, newest first."""
        repo = nouns.find_repo(request.repo)
        return map(_told, self.purging.list_(repo, request.number, request.marker, reverse=request.reverse))

    def ListPurgedCommit(self, request: own.ListPurgedCommitRequest, _call: Call) -> Iterator[own.PurgedCommit]:
        """What commits lost."""
        named = nouns.find_commit(request.commit)
        if (named is None) == (not request.purge):
            raise InvalidArgument("name a purge, to see what each commit lost by it, or a commit, and not both")
        number, reverse, marker = request.number, request.reverse, request.marker
        if named is not None:
            for info, toll in self.purging.marks(named.repo, named.ref, number, marker.purge, reverse=reverse):
                yield _commit(toll, info.row)
            return
        row = self.purging.inspect(request.purge).row
        after = nouns.find_commit(marker.commit)
        behind = Commit(after.repo, after.ref) if after is not None else None
        for toll in self.purging.tolls(request.purge, number, behind, reverse=reverse):
            yield _commit(toll, row)


def _planned(found: Survey) -> own.PurgeInfo:
    return own.PurgeInfo(
        repo=nouns.repo(found.wish.repo),
        path=found.wish.path,
        reason=found.wish.reason,
        commits=len(found.tolls),
        files=len(found.names),
        size_bytes=found.size_bytes,
        datums=found.datums,
    )


def _told(info: PurgeInfo) -> own.PurgeInfo:
    row = info.row
    return own.PurgeInfo(
        id=row.id,
        repo=nouns.repo(row.repo),
        path=row.shown,
        reason=row.reason,
        stage=_STAGES[row.stage],
        trouble=row.trouble,
        started=timestamp(row.started_us),
        gone=timestamp(row.gone_us) if row.gone_us is not None else None,
        commits=row.commits,
        files=row.files,
        size_bytes=row.size_bytes,
        datums=row.datums,
        left=info.left,
        kept_files=row.kept_files,
        kept=row.kept,
        ended_filesets=row.ended_leases,
    )


def _commit(toll: TollRow, purge: PurgeRow | None = None) -> own.PurgedCommit:
    answer = own.PurgedCommit(
        commit=nouns.commit(toll.commit),
        files=toll.files,
        size_bytes=toll.size_bytes,
        datums=toll.datums,
        paths=toll.paths,
    )
    if purge is not None:
        answer.purge, answer.purged_path = purge.id, f"{purge.repo}:{purge.shown}"
        answer.purged.CopyFrom(timestamp(purge.started_us))
    return answer
