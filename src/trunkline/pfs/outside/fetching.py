"""Files fetched from a URL while a stream of edits is written."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from trunkline.ambient import Ambient
from trunkline.errors import Aborted, InvalidArgument, TrunklineError
from trunkline.model import paths
from trunkline.storage import Writer
from trunkline.storage.objects import Found, Place, fetch, listed

SMALL_BYTES = 4 << 20
"""Objects up to this size are fetched ahead, several at once; larger ones one after the other, as streams."""
AHEAD_BYTES = 64 << 20
"""What is fetched ahead is never more than this."""
CONCURRENCY = 16
MAX_CONCURRENCY = 100


def always() -> bool:
    """For work that nobody calls off."""
    return True


@dataclass(frozen=True, slots=True)
class Fetcher:
    """How bytes come here. wanted: whether somebody still waits for them."""

    ambient: Ambient
    wanted: Callable[[], bool] = always

    def pieces(self, place: str | Place) -> Iterator[bytes]:
        """The bytes at a place. Raises what `storage.objects.fetch` does, and Aborted when they are not wanted."""
        for piece in fetch(place, self.ambient):
            if not self.wanted():
                raise Aborted(f"{place if isinstance(place, str) else place.shown} is not wanted any more")
            yield piece

    def whole(self, place: Place) -> bytes:
        """All of them, in memory."""
        return b"".join(self.pieces(place))


def fetch_file(writer: Writer, url: str, path: str, datum: str, fetcher: Fetcher) -> None:
    """Add what lies at a URL to the file at `path`. Raises what `Fetcher.pieces` does."""
    writer.put(path, fetcher.pieces(url), datum=datum, append=True)


def fetch_tree(writer: Writer, url: str, path: str, datum: str, concurrency: int, fetcher: Fetcher) -> None:
    """Put every object below a URL under `path`, each in the place of what is there.

    An object at the URL itself goes to `path`. concurrency: how many small ones are fetched at once; 0: the usual.
    Raises what `Fetcher.pieces` and `listed` do.
    """
    if concurrency > MAX_CONCURRENCY:
        raise InvalidArgument(f"at most {MAX_CONCURRENCY} files are fetched at once, not {concurrency}")
    for found, data in _ahead(listed(url), concurrency or CONCURRENCY, fetcher):
        try:
            target = paths.join(path, found.path)
        except TrunklineError as error:
            raise InvalidArgument(f"{found.place.shown} cannot be put: {error}") from error
        if target == paths.ROOT:
            raise InvalidArgument(f"{found.place.shown} is one file and needs a name; put it to a path")
        writer.put(target, data, datum=datum, append=False)


def _ahead(found: Iterator[Found], count: int, fetcher: Fetcher) -> Iterator[tuple[Found, bytes | Iterable[bytes]]]:
    """Each object with its bytes, in order; small ones are read by threads before it is their turn."""
    small_bytes = min(SMALL_BYTES, AHEAD_BYTES // count)
    waiting: deque[tuple[Found, Future[bytes] | None]] = deque()
    with ThreadPoolExecutor(count, "fetch") as pool:
        try:
            for one in found:
                small = one.size_bytes <= small_bytes
                waiting.append((one, pool.submit(fetcher.whole, one.place) if small else None))
                if len(waiting) > count:
                    yield _ready(waiting.popleft(), fetcher)
            while waiting:
                yield _ready(waiting.popleft(), fetcher)
        finally:
            for _, future in waiting:
                if future is not None:
                    future.cancel()


def _ready(item: tuple[Found, Future[bytes] | None], fetcher: Fetcher) -> tuple[Found, bytes | Iterable[bytes]]:
    one, future = item
    return one, fetcher.pieces(one.place) if future is None else future.result()
