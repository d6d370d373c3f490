"""Files of a commit sent to an object store, each under its path below the URL."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from trunkline.ambient import Ambient
from trunkline.errors import Aborted
from trunkline.pfs.content import EVERYWHERE, Bounds, get_tree
from trunkline.pfs.outside.fetching import always
from trunkline.pfs.reads import Source
from trunkline.storage import Content
from trunkline.storage.objects import Place, open_place, write

SMALL_BYTES = 4 << 20
AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Sent:
    """What was written."""

    files: int
    size_bytes: int


def send(
    source: Source,
    path: str,
    url: str,
    ambient: Ambient,
    bounds: Bounds = EVERYWHERE,
    wanted: Callable[[], bool] = always,
) -> Sent:
    """Write what a path or glob means, and all below it, to an object store: `url`, then the file's whole path.

    What is there under those names is replaced; other objects stay. Each object is tried again with growing pauses;
    then Unavailable is raised, and calling again is safe. Raises NotFound, InvalidArgument, PermissionDenied, and
    Aborted once `wanted` says no. Memory: AT_ONCE small files, or a few parts of a large one.
    """
    top = open_place(url)
    files = size_bytes = 0
    running: deque[Future[None]] = deque()
    with ThreadPoolExecutor(AT_ONCE, "send") as pool:
        try:
            for content in _contents(source, path, bounds):
                if not wanted():
                    raise Aborted(f"writing to {top.shown} is not wanted any more; {files} files are there")
                place = top.below(content.path)
                files, size_bytes = files + 1, size_bytes + content.size_bytes
                if content.size_bytes > SMALL_BYTES:
                    write(place, partial(content.read, 0), ambient)
                    continue
                running.append(pool.submit(_write_small, place, content.bytes(), ambient))
                if len(running) >= AT_ONCE:
                    running.popleft().result()
            while running:
                running.popleft().result()
        finally:
            for future in running:
                future.cancel()
    return Sent(files, size_bytes)


def _contents(source: Source, path: str, bounds: Bounds) -> Iterator[Content]:
    for member in get_tree(source, path, bounds):
        if member.content is not None:
            yield member.content


def _write_small(place: Place, data: bytes, ambient: Ambient) -> None:
    write(place, lambda: data, ambient)
