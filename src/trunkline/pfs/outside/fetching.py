"""Files fetched from a URL while a stream of edits is written."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from trunkline.ambient import Ambient
from trunkline.errors import InvalidArgument, TrunklineError
from trunkline.model import paths
from trunkline.storage import Writer
from trunkline.storage.objects import Found, fetch, listed

SMALL_BYTES = 4 << 20
"""Objects up to this size are fetched ahead, several at once; larger ones one after the other, as streams."""
CONCURRENCY = 16
MAX_CONCURRENCY = 100


def fetch_file(writer: Writer, url: str, path: str, datum: str, ambient: Ambient) -> None:
    """Add what lies at a URL to the file at `path`. Raises what `storage.objects.fetch` does."""
    writer.put(path, fetch(url, ambient), datum=datum, append=True)


def fetch_tree(writer: Writer, url: str, path: str, datum: str, concurrency: int, ambient: Ambient) -> None:
    """Put every object below a URL under `path`, each in the place of what is there.

    An object at the URL itself goes to `path`. concurrency: how many small ones are fetched at once; 0: the usual.
    Memory: SMALL_BYTES for each. Raises what `fetch` and `listed` do.
    """
    if concurrency > MAX_CONCURRENCY:
        raise InvalidArgument(f"at most {MAX_CONCURRENCY} files are fetched at once, not {concurrency}")
    for found, data in _ahead(listed(url), concurrency or CONCURRENCY, ambient):
        try:
            target = paths.join(path, found.path)
        except TrunklineError as error:
            raise InvalidArgument(f"{found.place.shown} cannot be put: {error}") from error
        if target == paths.ROOT:
            raise InvalidArgument(f"{found.place.shown} is one file and needs a name; put it to a path")
        writer.put(target, data, datum=datum, append=False)


def _ahead(found: Iterator[Found], count: int, ambient: Ambient) -> Iterator[tuple[Found, bytes | Iterable[bytes]]]:
    """Each object with its bytes, in order; small ones are read by threads before it is their turn."""
    waiting: deque[tuple[Found, Future[bytes] | None]] = deque()
    with ThreadPoolExecutor(count, "fetch") as pool:
        try:
            for one in found:
                small = one.size_bytes <= SMALL_BYTES
                waiting.append((one, pool.submit(_whole, one, ambient) if small else None))
                if len(waiting) > count:
                    yield _ready(waiting.popleft(), ambient)
            while waiting:
                yield _ready(waiting.popleft(), ambient)
        finally:
            for _, future in waiting:
                if future is not None:
                    future.cancel()


def _ready(item: tuple[Found, Future[bytes] | None], ambient: Ambient) -> tuple[Found, bytes | Iterable[bytes]]:
    one, future = item
    return one, fetch(one.place, ambient) if future is None else future.result()


def _whole(one: Found, ambient: Ambient) -> bytes:
    return b"".join(fetch(one.place, ambient))
