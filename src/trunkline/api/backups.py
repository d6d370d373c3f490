"""trunkline.v1.Backups: everything as one stream, and back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from trunkline.api.rpc.bridge import Bridge
from trunkline.api.rpc.call import Call
from trunkline.errors import InvalidArgument
from trunkline.pfs.backups.making import Making, Size
from trunkline.pfs.backups.restoring import Restoring
from trunkline.pfs.files import Files
from trunkline.storage.objects import fetch
from trunkline.wire.gen import trunkline_pb2 as own


@dataclass(frozen=True, slots=True)
class BackupDoor:
    """Backups. folder: where copies of the catalog lie while one is made; key_file: the key of all secrets."""

    files: Files
    restoring: Restoring
    bridge: Bridge
    folder: Path
    key_file: Path
    service: str = field(default="trunkline.v1.Backups")

    async def Backup(self, requests: AsyncIterator[own.BackupRequest], call: Call) -> AsyncIterator[own.BackupPiece]:
        """A backup, once the caller has said what it has."""
        start, making = await self._begun(requests)
        if start.url:
            yield await self.bridge.slow(partial(_written, making, start, call))
            return
        async for piece in self.bridge.stream(partial(_pieces, making, start, call)):
            yield piece

    async def _begun(self, requests: AsyncIterator[own.BackupRequest]) -> tuple[own.BackupStart, Making]:
        start: own.BackupStart | None = None
        making: Making | None = None
        try:
            async for request in requests:
                if request.WhichOneof("body") == "start" and making is None:
                    start = request.start
                    making = await self.bridge.slow(partial(Making, self.files, self.folder, self.key_file))
                elif request.WhichOneof("body") == "known" and making is not None and start is not None:
                    await self.bridge.slow(partial(making.since, start.since, list(request.known.names)))
                else:
                    raise InvalidArgument("Backup takes one start, and then names of known blobs")
            if making is None or start is None:
                raise InvalidArgument("the first message of Backup must be start")
        except BaseException:
            if making is not None:
                self.bridge.uploads.submit(making.close)
            raise
        return start, making

    def Restore(self, requests: Iterator[own.RestoreRequest], _call: Call) -> own.RestoreResponse:
        """Fill an empty server. It starts anew afterwards."""
        done = self.restoring.restore(_backups(requests, self.files))
        return own.RestoreResponse(
            blobs=done.blobs,
            blob_bytes=done.blob_bytes,
            catalog_bytes=done.catalog_bytes,
            keys=done.keys,
            unreadable_secrets=done.unreadable,
            key_file=str(self.key_file),
        )


def _written(making: Making, start: own.BackupStart, call: Call) -> own.BackupPiece:
    with closing(making):
        if start.since_url:
            making.since_url(start.since_url)
        making.write(start.url, with_keys=start.with_keys, wanted=call.wanted)
        return own.BackupPiece(figures=_told(making.size()))


def _pieces(making: Making, start: own.BackupStart, call: Call) -> Iterator[own.BackupPiece]:
    with closing(making):
        if start.since_url:
            making.since_url(start.since_url)
        yield own.BackupPiece(figures=_told(making.size()))
        for piece in making.pieces(with_keys=start.with_keys, wanted=call.wanted):
            yield own.BackupPiece(data=piece)


def _told(size: Size) -> own.BackupFigures:
    return own.BackupFigures(id=size.id, blobs=size.blobs, known_blobs=size.known, size_bytes=size.size_bytes)


def _backups(requests: Iterator[own.RestoreRequest], files: Files) -> Iterator[Iterable[bytes]]:
    """The backups in a stream of messages, one after another."""
    over = False

    def data(first: bytes) -> Iterator[bytes]:
        nonlocal over
        yield first
        for request in requests:
            kind = request.WhichOneof("body")
            if kind == "next":
                return
            if kind != "data":
                raise InvalidArgument("a backup of the stream goes on with its bytes, or ends with next")
            yield request.data
        over = True

    while not over:
        request = next(requests, None)
        if request is None:
            return
        match request.WhichOneof("body"):
            case "url":
                yield fetch(request.url, files.ambient)
            case "data":
                pieces = data(request.data)
                yield pieces
                for _ in pieces:  # what stands behind the end of a backup is nobody's
                    pass
            case "next":
                continue
            case _:
                raise InvalidArgument("a message of Restore says nothing: expected data, next or url")
