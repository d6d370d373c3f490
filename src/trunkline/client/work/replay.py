"""A datum of a past job run on this machine: inputs and image from the server, output into a folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trunkline.client.connection import Client
from trunkline.client.reading.downloads import read_file
from trunkline.errors import NotFound
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own
from trunkline.worker.images import ImageFile
from trunkline.worker.ports import Element, Fetched, Result


@dataclass(frozen=True)
class RemoteContent:
    """Fills `worker.ports.Content` and `worker.images.ImageSource` by the calls that any client makes."""

    client: Client

    def fetch(self, elements: Sequence[Element]) -> Iterator[Fetched]:
        """See the port."""
        for number, element in enumerate(elements):
            for path in self._paths(element):
                if element.lazy and not element.empty_files:
                    yield Fetched(number, path, Later(self.client, file_of(element, path)))
                    continue
                data = b"" if element.empty_files else b"".join(read_file(self.client, file_of(element, path)))
                yield Fetched(number, path, data)

    def _paths(self, element: Element) -> Iterator[str]:
        if not element.is_dir:
            yield element.path
            return
        for info in self.client.pfs.WalkFile(pfs.WalkFileRequest(file=file_of(element, element.path))):
            if info.file_type == pfs.FILE:
                yield info.file.path

    def files(self, digest: str) -> Iterator[ImageFile]:
        """See the port."""
        entry: own.ImageEntry | None = None
        parts: list[bytes] = []
        for message in self.client.images.GetImage(own.InspectImageRequest(name=digest)):
            if message.entries and entry is not None:
                yield ImageFile(entry.path, b"".join(parts), entry.mode, entry.link)
            if message.entries:
                entry, parts = message.entries[0], []
            parts.append(message.data)
        if entry is not None:
            yield ImageFile(entry.path, b"".join(parts), entry.mode, entry.link)


@dataclass(frozen=True)
class Later:
    """A file that is read anew each time somebody iterates it."""

    client: Client
    file: pfs.File

    def __iter__(self) -> Iterator[bytes]:
        return iter(read_file(self.client, self.file))


def file_of(element: Element, path: str) -> pfs.File:
    """A file in the commit that an element lies in."""
    repo = pfs.Repo(name=element.repo, type=element.repo_type, project=pfs.Project(name=element.project))
    return pfs.File(commit=pfs.Commit(repo=repo, id=element.commit), path=path)


@dataclass
class FolderOutput:
    """Fills `worker.ports.Output`: what the datum wrote lies in a folder."""

    client: Client
    folder: Path
    _made: set[Path] = field(default_factory=set)

    def put(self, path: str, data: bytes | Iterable[bytes], datum: str) -> int:
        """See the port."""
        target = self.folder / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        size = 0
        with open(target, "ab" if target in self._made else "wb") as file:
            for piece in (data,) if isinstance(data, bytes) else data:
                size += file.write(piece)
        self._made.add(target)
        return size

    def copy(self, path: str, element: Element, source: str, datum: str) -> int:
        """See the port."""
        return self.put(path, read_file(self.client, file_of(element, source)), datum)

    def discard(self, datum: str) -> None:
        """See the port."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self._made.clear()

    def seal(self, results: Sequence[Result]) -> object:
        """See the port: there is nobody to hand it to."""
        return None


def compare(client: Client, recorded: pfs.File, folder: Path) -> Iterator[tuple[str, str]]:
    """Each file of either side with how they compare: same, differs, missing (only recorded) or extra (only here)."""
    there: dict[str, pfs.FileInfo] = {}
    try:
        for info in client.pfs.WalkFile(pfs.WalkFileRequest(file=recorded)):
            if info.file_type == pfs.FILE:
                there[info.file.path.removeprefix(recorded.path)] = info
    except NotFound:
        pass  # it wrote nothing
    here = {f"/{path.relative_to(folder)}": path for path in folder.rglob("*") if path.is_file()}
    for path in sorted(there.keys() | here.keys()):
        if path not in there:
            yield path, "extra"
        elif path not in here:
            yield path, "missing"
        else:
            yield path, "same" if _same(client, there[path], here[path]) else "differs"


def _same(client: Client, info: pfs.FileInfo, path: Path) -> bool:
    if info.size_bytes != path.stat().st_size:
        return False
    with open(path, "rb") as file:
        return all(file.read(len(piece)) == piece for piece in read_file(client, info.file))
