"""A bucket whose content is a view of storage: a commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa

from trunkline.ambient import Micros
from trunkline.errors import InvalidArgument
from trunkline.gateway.s3.faults import Fault
from trunkline.gateway.s3.ports import Listing, Object
from trunkline.model import paths
from trunkline.storage import View


def path_of(key: str) -> str:
    """Where the object of a key lies. Raises Fault InvalidFilePath."""
    try:
        path = paths.clean(key)
    except InvalidArgument as error:
        raise Fault("InvalidFilePath", f"this key cannot be the path of a file: {error}") from None
    if path == paths.ROOT:
        raise Fault("InvalidFilePath", "a key of slashes alone names no file")
    return path


class ViewShelf:
    """Fills `ports.Shelf`. modified_us: when the commit was finished; touch: called for each piece that is read."""

    def __init__(
        self, view: View, modified_us: Micros, version: str = "", touch: Callable[[], object] = lambda: None
    ) -> None:
        self._view = view
        self._modified_us = modified_us
        self._version = version
        self._touch = touch

    @property
    def version(self) -> str:
        """The commit."""
        return self._version

    def find(self, key: str) -> Object | None:
        """One file; a directory is no object."""
        try:
            path = path_of(key)
        except Fault:
            return None
        entry = self._view.find(path)
        if entry is None or entry.is_dir:
            return None
        return Object(entry.path[1:], entry.size_bytes, entry.hash.hex(), self._modified_us)

    def read(self, key: str, offset: int, length: int) -> Iterator[bytes | memoryview]:
        """The bytes of a file."""
        content = self._view.file(path_of(key))
        if content is None:
            raise Fault("NoSuchKey", f"there is no {key}")
        for piece in content.read(offset, length):
            self._touch()
            yield piece

    def list(self, prefix: str, folders: bool, after: str, limit: int) -> Listing:
        """A page of files, by columns."""
        found: list[Object | str] = []
        for page in self._view.stems(f"/{prefix}", folders, f"/{after}" if after else None, limit + 1):
            found += self._entries(page)
        return Listing(tuple(found[:limit]), len(found) > limit)

    def _entries(self, page: pa.Table) -> Iterator[Object | str]:
        columns = (page.column(name).to_pylist() for name in ("path", "is_dir", "size", "hash"))
        for path, is_dir, size, digest in zip(*columns, strict=True):
            yield path[1:] if is_dir else Object(path[1:], size, digest.hex(), self._modified_us)
