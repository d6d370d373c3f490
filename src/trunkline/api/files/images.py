"""trunkline.v1.Images: local images taken in, shown, listed and deleted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from trunkline.api.rpc.call import Call
from trunkline.errors import InvalidArgument
from trunkline.pfs import images as pfs_images
from trunkline.pfs.files import Files
from trunkline.pfs.images import ImageEntry, ImageInfo, ImageSpec
from trunkline.wire.gen import trunkline_pb2 as own
from trunkline.wire.times import timestamp

PIECE_BYTES = 1 << 20
"""Of a file, in one message."""


@dataclass(frozen=True, slots=True)
class ImageDoor:
    """Local images."""

    files: Files
    service: str = "trunkline.v1.Images"

    def CreateImage(self, messages: Iterator[own.CreateImageRequest], _call: Call) -> own.ImageInfo:
        """Take in a folder under a name."""
        first = next(messages, None)
        if first is None or first.WhichOneof("body") != "image":
            raise InvalidArgument("the first message of CreateImage must be image: it names it")
        spec = ImageSpec(
            env=dict(first.image.env),
            working_dir=first.image.working_dir,
            user=first.image.user,
            python=first.image.python,
            requirements=first.image.requirements,
        )
        return _told(pfs_images.create_image(self.files, first.image.name, spec, iter(_Folder(messages))))

    def InspectImage(self, request: own.InspectImageRequest, _call: Call) -> own.ImageInfo:
        """One image, by name or digest."""
        return _told(self.files.catalog.read(lambda tx: pfs_images.inspect_image(tx, request.name)))

    def GetImage(self, request: own.InspectImageRequest, _call: Call) -> Iterator[own.ImageFiles]:
        """The entries of an image with their contents, as CreateImage takes them."""
        for entry, data in pfs_images.read_image(self.files, request.name):
            told = own.ImageEntry(path=entry.path, mode=entry.mode, link=entry.link, size_bytes=len(data))
            yield own.ImageFiles(entries=[told], data=data[:PIECE_BYTES])
            for start in range(PIECE_BYTES, len(data), PIECE_BYTES):
                yield own.ImageFiles(data=data[start : start + PIECE_BYTES])

    def ListImage(self, request: own.ListImageRequest, _call: Call) -> Iterator[own.ImageInfo]:
        """Images by name."""
        return map(_told, pfs_images.list_images(self.files, request.number, request.marker, reverse=request.reverse))

    def DeleteImage(self, request: own.DeleteImageRequest, _call: Call) -> own.DeleteImageResponse:
        """Take a name away."""
        self.files.catalog.transact(lambda tx: pfs_images.delete_image(tx, request.name))
        return own.DeleteImageResponse()


def _told(info: ImageInfo) -> own.ImageInfo:
    spec = own.ImageSpec(
        name=info.name,
        env=info.spec.env,
        working_dir=info.spec.working_dir,
        user=info.spec.user,
        python=info.spec.python,
        requirements=info.spec.requirements,
    )
    return own.ImageInfo(
        spec=spec,
        digest=info.digest,
        created=timestamp(info.created_us),
        files=info.files,
        size_bytes=info.size_bytes,
    )


class _Folder:
    """Entries and their bytes out of a stream in which both come in pieces, bytes after their entry."""

    def __init__(self, messages: Iterator[own.CreateImageRequest]) -> None:
        self._messages = messages
        self._entries: list[own.ImageEntry] = []
        self._data = memoryview(b"")

    def __iter__(self) -> Iterator[tuple[ImageEntry, Iterator[bytes]]]:
        while self._entries or self._more():
            if not self._entries:
                continue
            told = self._entries.pop(0)
            content = self._take(told.size_bytes, told.path)
            yield ImageEntry(told.path, told.mode, told.link), content
            for _ in content:  # whatever was not read must not be taken for the next file's
                pass
        if self._data:
            raise InvalidArgument(f"{len(self._data)} bytes of the image belong to no entry")

    def _take(self, size: int, path: str) -> Iterator[bytes]:
        while size > 0:
            if not self._data and not self._more():
                raise InvalidArgument(f"the image ends within {path}: {size} bytes are missing")
            piece, self._data = self._data[:size], self._data[size:]
            size -= len(piece)
            if piece:
                yield bytes(piece)

    def _more(self) -> bool:
        """Read one message; whether there was one."""
        message = next(self._messages, None)
        if message is None:
            return False
        if message.WhichOneof("body") != "files":
            raise InvalidArgument("a message of CreateImage says nothing: expected files")
        if self._data and message.files.data:
            self._data = memoryview(bytes(self._data) + message.files.data)
        elif message.files.data:
            self._data = memoryview(message.files.data)
        self._entries.extend(message.files.entries)
        return True
