"""A worker's storage: inputs read from the object store, outputs written to it, images unpacked from it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from trunkline.client.sessions import RemoteSession
from trunkline.client.work.workers import RemoteServer
from trunkline.errors import Internal, NotFound
from trunkline.model.image_names import FILES_PATH, INDEX_PATH
from trunkline.storage import Content, Sealed, Store, View
from trunkline.worker.images import ImageFile
from trunkline.worker.ports import Claim, Element, Fetched, LogSegment, Result

SMALL_BYTES = 1 << 20
"""Files up to this size are handed over whole."""


class WorkerStorage:
    """Fills `worker.ports.Storage` and `worker.images.ImageSource` over the shared object store."""

    def __init__(self, server: RemoteServer, store: Store) -> None:
        self._server = server
        self._store = store
        self._views: dict[tuple[int, tuple[str, ...]], View] = {}

    @property
    def _session(self) -> RemoteSession:
        return self._server.session

    def fetch(self, elements: Sequence[Element]) -> Iterator[Fetched]:
        """Every regular file of every element; those of one input come in path order: neighbours share reads."""
        groups: dict[tuple[str, str, str, str, bool, bool], list[int]] = {}
        for number, one in enumerate(elements):
            # Members of a union may share a name and lie in different repos.
            groups.setdefault((*_place(one), one.empty_files, one.lazy), []).append(number)
        for numbers in groups.values():
            view = self._view_of(elements[numbers[0]])
            if elements[numbers[0]].empty_files:
                yield from _names(view, elements, numbers)
            elif elements[numbers[0]].lazy:
                for file in _names(view, elements, numbers):
                    yield Fetched(file.element, file.path, _Later(view, file.path, elements[file.element]))
            else:
                yield from _fetch(self._store, view, elements, numbers)

    def _view_of(self, element: Element) -> View:
        for step in self._server.steps.values():
            for source in step.inputs:
                named = (source.name, source.project, source.repo, source.commit)
                if named == (element.input, element.project, element.repo, element.commit):
                    return self._view(source.filesets)
        raise Internal(f"input {element.input} of commit {element.commit} is not in the claim")

    def _view(self, filesets: tuple[str, ...]) -> View:
        """A view of held file sets, opened once a session."""
        key = (self._session.gen, filesets)
        if key not in self._views:
            if len(self._views) > 16:
                self._views.clear()
            self._views[key] = self._store.view(self._session.hold(filesets))
        return self._views[key]

    def output(self, claim: Claim) -> WorkerOutput:
        """A fresh one for the next part of `claim`."""
        return WorkerOutput(self, self._store, self._session)

    def view_of(self, element: Element) -> View:
        """The commit that an element lies in."""
        return self._view_of(element)

    def write_segment(self, segment: LogSegment) -> None:
        """Hand log lines to the server."""
        self._server.send_logs(segment)

    def files(self, digest: str) -> Iterator[ImageFile]:
        """Everything in an image."""
        step = next((one for one in self._server.steps.values() if one.image.digest == digest), None)
        if step is None:
            raise NotFound(f"image {digest} is not that of the claim")
        view = self._view(step.image.filesets)
        index = view.file(INDEX_PATH)
        if index is None:
            raise NotFound(f"image {digest} has no list of files")
        modes = {entry["path"]: entry for entry in json.loads(index.bytes())}
        for content in view.contents(FILES_PATH + "/"):
            path = content.path.removeprefix(FILES_PATH + "/")
            entry = modes.pop(path)
            yield ImageFile(path, content.bytes(), entry["mode"])
        for path, entry in modes.items():
            if entry["link"]:
                yield ImageFile(path, b"", entry["mode"], entry["link"])


def _fetch(store: Store, view: View, elements: Sequence[Element], numbers: Sequence[int]) -> Iterator[Fetched]:
    """Files of some elements of one input. Elements that are files are looked up together, by columns."""
    single = {elements[number].path: number for number in numbers if not elements[number].is_dir}
    if single:
        rows = view.at(pa.array(sorted(single, key=str.encode)))
        gone = single.keys() - set(rows.column("path").to_pylist())
        if gone:
            raise _missing(elements[single[min(gone)]])
        for content in store.contents(rows):
            yield Fetched(single[content.path], content.path, _data(content))
    for number in numbers:
        element = elements[number]
        if element.is_dir:
            for content in view.contents(element.path.rstrip("/") + "/"):
                yield Fetched(number, content.path, _data(content))


def _place(element: Element) -> tuple[str, str, str, str]:
    return (element.input, element.project, element.repo, element.commit)


class _Later:
    """A file of an element that is read anew each time somebody iterates it."""

    __slots__ = ("_element", "_path", "_view")

    def __init__(self, view: View, path: str, element: Element) -> None:
        self._view, self._path, self._element = view, path, element

    def __iter__(self) -> Iterator[bytes]:
        found = self._view.file(self._path)
        if found is None:
            raise _missing(self._element)
        return (bytes(piece) for piece in found.read())


def _missing(element: Element) -> NotFound:
    return NotFound(f"{element.path} is not in commit {element.commit} of {element.repo}")


def _names(view: View, elements: Sequence[Element], numbers: Sequence[int]) -> Iterator[Fetched]:
    """Files of some elements of one input without what is in them."""
    for number in numbers:
        element = elements[number]
        if not element.is_dir:
            yield Fetched(number, element.path, b"")
            continue
        for page in view.files(element.path.rstrip("/") + "/"):
            for path in dict.fromkeys(page["path"].to_pylist()):
                yield Fetched(number, path, b"")


def _data(content: Content) -> bytes | Iterable[bytes]:
    if content.size_bytes <= SMALL_BYTES:
        return content.bytes()
    return (bytes(piece) for piece in content.read())


class WorkerOutput:
    """Fills `worker.ports.Output`: one part of a claim's output, tagged by datum."""

    def __init__(self, storage: WorkerStorage, store: Store, session: RemoteSession) -> None:
        self._storage = storage
        self._writer = store.writer(session)

    def put(self, path: str, data: bytes | Iterable[bytes], datum: str) -> int:
        """Add a file; its size in bytes."""
        if isinstance(data, bytes):
            self._writer.put(path, data, datum=datum, append=True)
            return len(data)
        counted = _Counted(data)
        self._writer.put(path, counted, datum=datum, append=True)
        return counted.size

    def copy(self, path: str, element: Element, source: str, datum: str) -> int:
        """Add an input file by reference; its size in bytes."""
        view = self._storage.view_of(element)
        found = view.find(source)
        if found is None:
            raise NotFound(f"{source} is not in commit {element.commit} of {element.repo}")
        self._writer.copy(view, source, path, datum=datum, append=True)
        return found.size_bytes

    def discard(self, datum: str) -> None:
        """Forget what was put for `datum`."""
        self._writer.delete("/", datum)

    def seal(self, results: Sequence[Result]) -> list[Sealed]:
        """Write it out durably."""
        return list(self._writer.seal())


class _Counted:
    def __init__(self, data: Iterable[bytes]) -> None:
        self._data = data
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._data:
            self.size += len(piece)
            yield piece
