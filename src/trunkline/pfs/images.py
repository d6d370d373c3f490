"""Local images: a folder of files taken in as content under a digest, and names that point to it.

An image stands in for a container image where code runs as a plain process: its files appear at `/`. The content
never changes; a name may move to other content, so a job pins the digest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial

from blake3 import blake3

from trunkline.ambient import Micros
from trunkline.catalog import images as image_rows
from trunkline.catalog.collection import exchange
from trunkline.catalog.engine import Tx
from trunkline.catalog.images import ImageRow
from trunkline.errors import InvalidArgument, NotFound
from trunkline.model import paths
from trunkline.model.image_names import FILES_PATH, INDEX_PATH
from trunkline.pfs.files import Files
from trunkline.pfs.sessions import Session
from trunkline.storage import Sealed

IMAGE_HOLDER = exchange.IMAGE_HOLDER
"""Holds the file sets of an image; the key is its digest."""
PAGE = 500


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """What an image says beside its files. python: a version such as 3.11; requirements: text of such a file."""

    env: dict[str, str] = field(default_factory=dict)
    working_dir: str = ""
    user: str = ""
    python: str = ""
    requirements: str = ""


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """One file, folder or link of an image; the path is relative, a folder's ends in a slash."""

    path: str
    mode: int
    link: str = ""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """An image as it is shown. `name` is empty for content that no name points to."""

    name: str
    digest: str
    spec: ImageSpec
    files: int
    size_bytes: int
    created_us: Micros


def create_image(
    files: Files, name: str, spec: ImageSpec, entries: Iterable[tuple[ImageEntry, Iterator[bytes]]]
) -> ImageInfo:
    """Take in a folder under a name. The same content and spec give the same digest, stored once.

    entries: each with its bytes (none for folders and links), read once and in order. Raises InvalidArgument.
    """
    _check_name(name)
    hasher = blake3(b"trunkline image 1\n" + _dump(asdict(spec)))
    index: list[dict[str, object]] = []
    size = 0
    with files.session("image") as session:
        writer = files.store.writer(session)
        for entry, data in entries:
            path = _check_entry(entry)
            counted = _Counted(data)
            if not entry.link and not entry.path.endswith("/"):
                writer.put(f"{FILES_PATH}/{path}", counted, datum="", append=False)
            size += counted.size
            index.append({"path": path, "mode": entry.mode, "link": entry.link, "dir": entry.path.endswith("/")})
            hasher.update(_dump({**index[-1], "content": counted.hasher.hexdigest()}))
        writer.put(INDEX_PATH, [_dump(index)], datum="", append=False)
        sealed = writer.seal()
        digest = hasher.hexdigest()
        return session.finish(lambda tx: _take(tx, session, name, digest, spec, sealed, len(index), size))


class _Counted:
    """Bytes on their way to the writer, counted and hashed."""

    def __init__(self, data: Iterator[bytes]) -> None:
        self._data = data
        self.size = 0
        self.hasher = blake3()

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._data:
            self.size += len(piece)
            self.hasher.update(piece)
            yield piece


def _dump(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _check_name(name: str) -> None:
    if not name or len(name) > 255 or any(char.isspace() or not char.isprintable() for char in name):
        raise InvalidArgument(
            f'image name "{name}" is invalid: 1 to 255 printable characters without spaces are allowed'
        )


def _check_entry(entry: ImageEntry) -> str:
    cleaned = paths.clean(entry.path).lstrip("/")
    if not cleaned:
        raise InvalidArgument("an entry of an image needs a path below the folder")
    if cleaned.split("/")[0] in ("pfs", "proc", "sys", "dev"):
        raise InvalidArgument(f'an image cannot bring "/{cleaned}": that place belongs to the system')
    return cleaned


def _take(
    tx: Tx, session: Session, name: str, digest: str, spec: ImageSpec, sealed: list[Sealed], count: int, size: int
) -> ImageInfo:
    if image_rows.find_image(tx, digest) is None:
        session.adopt(tx, sealed, IMAGE_HOLDER, digest)
        row = ImageRow(digest, json.dumps(asdict(spec), sort_keys=True), count, size, tx.now_us)
        image_rows.insert_image(tx, row, [one.id for one in sealed])
    image_rows.point(tx, name, digest)
    return inspect_image(tx, name)


def inspect_image(tx: Tx, name: str) -> ImageInfo:
    """An image by name or digest. Raises NotFound with the names there are."""
    digest = image_rows.digest_of(tx, name)
    row = image_rows.find_image(tx, digest or name)
    if row is None:
        names = ", ".join(known for known, _ in image_rows.list_names(tx, 10)) or "none"
        raise NotFound(f'image "{name}" is not registered here (known: {names}); `pachctl create image` takes one in')
    return _info(name if digest else "", row)


def read_image(files: Files, name: str) -> Iterator[tuple[ImageEntry, bytes]]:
    """The entries of an image, by name or digest, with what they hold. Raises NotFound."""

    def work(tx: Tx) -> list[str]:
        return image_rows.filesets_of(tx, inspect_image(tx, name).digest)

    with files.reading.begin():
        view = files.view(files.catalog.read(work))
        index = view.file(INDEX_PATH)
        for told in json.loads(index.bytes()) if index is not None else []:
            entry = ImageEntry(told["path"] + "/" * bool(told["dir"]), told["mode"], told["link"])
            content = None if entry.link or told["dir"] else view.file(f"{FILES_PATH}/{entry.path}")
            yield entry, content.bytes() if content is not None else b""


def find_image(tx: Tx, name: str) -> ImageInfo | None:
    """An image by name; None if the name is not registered."""
    digest = image_rows.digest_of(tx, name)
    row = image_rows.find_image(tx, digest) if digest else None
    return _info(name, row) if row else None


def list_images(files: Files, number: int = 0, marker: str = "", *, reverse: bool = False) -> Iterator[ImageInfo]:
    """Images by name.

    number: at most so many; 0: all. marker: go on behind that name, which need not be there. Raises InvalidArgument.
    """
    if number < 0:
        raise InvalidArgument(f"number must be 0 (all) or more, not {number}")
    left, after = number or None, marker
    while left is None or left > 0:
        limit = PAGE if left is None else min(left, PAGE)
        names = files.catalog.read(partial(image_rows.list_names, limit=limit, after=after, reverse=reverse))
        for name, digest in names:
            row = files.catalog.read(partial(image_rows.find_image, digest=digest))
            if row is not None:
                yield _info(name, row)
        if len(names) < limit:
            return
        after, left = names[-1][0], None if left is None else left - limit


def delete_image(tx: Tx, name: str) -> None:
    """Take a name away. The content stays for the jobs that name its digest. Raises NotFound."""
    if not image_rows.unpoint(tx, name):
        inspect_image(tx, name)


def _info(name: str, row: ImageRow) -> ImageInfo:
    return ImageInfo(name, row.digest, ImageSpec(**json.loads(row.spec)), row.files, row.size_bytes, row.created_us)
