"""trunkline.v1.Moving: repos that come or go with their history."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from trunkline.api.files.writes import Bulk
from trunkline.api.rpc.bridge import Bridge
from trunkline.api.rpc.call import Call
from trunkline.errors import InvalidArgument
from trunkline.model.infos import Origin
from trunkline.model.names import Commit, Repo
from trunkline.pfs.files import Files
from trunkline.pfs.moving.adopting import Adopted, adopt_commit
from trunkline.pfs.moving.exporting import Exporting
from trunkline.pfs.moving.importing import import_bundle
from trunkline.wire import nouns
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own
from trunkline.wire.times import micros

ORIGINS = {pfs.USER: Origin.USER, pfs.AUTO: Origin.AUTO, pfs.FSCK: Origin.FSCK}


@dataclass(frozen=True, slots=True)
class MovingDoor:
    """Bundles. folder: where rows lie while one is made or taken in."""

    files: Files
    bridge: Bridge
    folder: Path
    service: str = field(default="trunkline.v1.Moving")

    async def ExportRepo(
        self, requests: AsyncIterator[own.ExportRepoRequest], call: Call
    ) -> AsyncIterator[own.ExportRepoPiece]:
        """A bundle, once the caller has said what it has."""
        exporting: Exporting | None = None
        since = ""
        try:
            async for request in requests:
                if request.WhichOneof("body") == "start" and exporting is None:
                    repo, since = nouns.repo_of(request.start.repo), request.start.since
                    exporting = await self.bridge.slow(partial(Exporting, self.files, repo, self.folder))
                elif request.WhichOneof("body") == "known" and exporting is not None:
                    await self.bridge.slow(partial(exporting.since, since, list(request.known.names)))
                else:
                    raise InvalidArgument("ExportRepo takes one start, and then names of known chunks")
            if exporting is None:
                raise InvalidArgument("the first message of ExportRepo must be start: it names the repo")
        except BaseException:
            if exporting is not None:
                self.bridge.uploads.submit(exporting.close)
            raise
        async for piece in self.bridge.stream(partial(_pieces, exporting, call)):
            yield piece

    def ImportRepo(self, requests: Iterator[own.ImportRepoRequest], _call: Call) -> own.ImportRepoResponse:
        """A repo, made of a bundle: all of it, or nothing."""
        first = next(requests, None)
        if first is None or first.WhichOneof("body") != "start":
            raise InvalidArgument("the first message of ImportRepo must be start: it names the repo")
        wanted = first.start.repo
        repo = Repo(wanted.project.name, wanted.name)
        done = import_bundle(self.files, self.folder, repo, _bundles(requests), first.start.earlier)
        return own.ImportRepoResponse(
            repo=nouns.repo(done.repo),
            commits=done.commits,
            branches=done.branches,
            tags=done.tags,
            chunks=done.chunks,
            chunk_bytes=done.chunk_bytes,
            known_chunks=done.known_chunks,
            notes=done.notes,
        )

    def AdoptCommit(self, requests: Iterator[own.AdoptCommitRequest], _call: Call) -> own.AdoptCommitResponse:
        """A commit as it is elsewhere, whole or not at all."""
        first = next(requests, None)
        if first is None or first.WhichOneof("body") != "commit":
            raise InvalidArgument("the first message of AdoptCommit must be commit: it says which")
        edits = Bulk(map(_edit, requests), None)
        done = adopt_commit(self.files, _adopted(first.commit), iter(edits))
        return own.AdoptCommitResponse(adopted=done, files=edits.files, size_bytes=edits.size_bytes)


def _edit(request: own.AdoptCommitRequest) -> own.BulkPutRequest:
    if request.WhichOneof("body") != "edit":
        raise InvalidArgument("a message of AdoptCommit says nothing: expected an edit")
    return request.edit


def _adopted(told: own.AdoptedCommit) -> Adopted:
    repo = nouns.repo_of(told.commit.repo or told.commit.branch.repo, "the commit")
    return Adopted(
        commit=Commit(repo, told.commit.id),
        branch=told.commit.branch.name,
        parent=told.parent.id,
        origin=ORIGINS.get(told.origin, Origin.USER),
        started_us=micros(told.started),
        finished_us=micros(told.finished),
        description=told.description,
        error=told.error,
        metadata=dict(told.metadata),
    )


def _pieces(exporting: Exporting, call: Call) -> Iterator[own.ExportRepoPiece]:
    with closing(exporting):
        outline = exporting.figures()
        figures = own.ExportFigures(
            id=outline.id,
            commits=outline.commits,
            branches=outline.branches,
            tags=outline.tags,
            chunks=outline.chunks,
            known_chunks=outline.known_chunks,
            size_bytes=outline.size_bytes,
            notes=outline.notes,
        )
        yield own.ExportRepoPiece(figures=figures)
        for data in exporting.pieces(call.wanted):
            yield own.ExportRepoPiece(data=data)


def _bundles(requests: Iterator[own.ImportRepoRequest]) -> Iterator[Iterable[bytes]]:
    """The bundles in a stream of messages, one after another."""
    over = False

    def data() -> Iterator[bytes]:
        nonlocal over
        for request in requests:
            kind = request.WhichOneof("body")
            if kind == "next":
                return
            if kind != "data":
                raise InvalidArgument("a bundle goes on with its bytes, or ends with next")
            yield request.data
        over = True

    while not over:
        pieces = data()
        yield pieces
        for _ in pieces:  # what stands behind the end of a bundle is nobody's
            pass
