"""Local images: a folder taken in as content."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from trunkline.client.connection import Client
from trunkline.client.sources import Skipped
from trunkline.errors import InvalidArgument, TrunklineError
from trunkline.wire.gen import trunkline_pb2 as own

_PIECE_BYTES = 4 * 1024 * 1024
_ENTRIES = 1024


def create_image(client: Client, spec: own.ImageSpec, folder: str | None, skipped: Skipped) -> own.ImageInfo:
    """Register `folder` (none: no files of its own) as the image `spec.name`. Raises what the server refuses.

    skipped: told of sockets, pipes and devices, which no image holds.
    """
    upload = _Upload(skipped)
    try:
        return client.images.CreateImage(upload.messages(spec, folder))
    except TrunklineError:
        if upload.broken is not None:
            raise upload.broken from None
        raise


class _Upload:
    def __init__(self, skipped: Skipped) -> None:
        self.skipped = skipped
        self.broken: Exception | None = None
        self._entries: list[own.ImageEntry] = []
        self._data = bytearray()

    def messages(self, spec: own.ImageSpec, folder: str | None) -> Iterator[own.CreateImageRequest]:
        try:
            yield own.CreateImageRequest(image=spec)
            if folder is not None:
                for entry, local in _entries(folder, "", self.skipped):
                    yield from self._add(entry, local)
                yield from self._flush()
        except Exception as error:  # gRPC keeps it to itself
            self.broken = error
            raise

    def _add(self, entry: own.ImageEntry, local: str) -> Iterator[own.CreateImageRequest]:
        self._entries.append(entry)
        if entry.size_bytes:
            left = entry.size_bytes
            with Path(local).open("rb") as file:
                while left:
                    data = file.read(min(left, _PIECE_BYTES))
                    if not data:
                        raise InvalidArgument(f"{local} changed while it was being read; try again")
                    self._data += data
                    left -= len(data)
                    if len(self._data) >= _PIECE_BYTES:
                        yield from self._flush()
        if len(self._entries) >= _ENTRIES:
            yield from self._flush()

    def _flush(self) -> Iterator[own.CreateImageRequest]:
        if self._entries or self._data:
            yield own.CreateImageRequest(files=own.ImageFiles(entries=self._entries, data=bytes(self._data)))
            self._entries, self._data = [], bytearray()


def _entries(folder: str, prefix: str, skipped: Skipped) -> Iterator[tuple[own.ImageEntry, str]]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda one: one.name)
    except OSError as error:
        raise InvalidArgument(f"cannot read {folder}: {error.strerror}") from error
    for entry in entries:
        info = entry.stat(follow_symlinks=False)
        path, mode = f"{prefix}{entry.name}", stat.S_IMODE(info.st_mode)
        if stat.S_ISDIR(info.st_mode):
            yield own.ImageEntry(path=f"{path}/", mode=mode), entry.path
            yield from _entries(entry.path, f"{path}/", skipped)
        elif stat.S_ISLNK(info.st_mode):
            yield own.ImageEntry(path=path, mode=mode, link=os.readlink(entry.path)), entry.path
        elif stat.S_ISREG(info.st_mode):
            yield own.ImageEntry(path=path, mode=mode, size_bytes=info.st_size), entry.path
        else:
            skipped(f"{entry.path} is neither a file, a directory nor a link")
