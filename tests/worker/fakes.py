"""Storage and a server in memory, for tests of the worker's own rooms; stricter than the real ones."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from trunkline.ambient import RealAmbient
from trunkline.errors import Aborted, NotFound, TrunklineError, Unavailable
from trunkline.model.names import Job, Pipeline
from trunkline.worker.execute import Bench, open_bench
from trunkline.worker.images import ImageFile, Images
from trunkline.worker.launch import Sandbox
from trunkline.worker.ports import Claim, Datum, Element, Fetched, LogSegment, Order, Output, Result, Step
from trunkline.worker.rungs import Rung

JOB = Job(Pipeline("default", "edges"), "0" * 31 + "1")


class MemoryOutput:
    """Rows as they are put: {path: (bytes or reference, datum)}. Refuses a second seal and use after it."""

    def __init__(self, storage: MemoryStorage) -> None:
        self._storage = storage
        self._rows: list[tuple[str, object, str]] = []
        self._sealed = False

    def put(self, path: str, data: bytes | Iterable[bytes], datum: str) -> int:
        assert not self._sealed
        assert path.startswith("/")
        whole = data if isinstance(data, bytes) else b"".join(data)
        self._rows.append((path, whole, datum))
        return len(whole)

    def copy(self, path: str, element: Element, source: str, datum: str) -> int:
        assert not self._sealed
        self._rows.append((path, (element.repo, element.commit, source), datum))
        return len(self._storage.trees[element.repo][source])

    def discard(self, datum: str) -> None:
        self._rows = [row for row in self._rows if row[2] != datum]

    def seal(self, results: Sequence[Result]) -> object:
        assert not self._sealed
        assert len({row.id for row in results}) == len(results)
        self._sealed = True
        return list(self._rows)


class Later:
    """A file of a lazy input. Pieces as large as real ones, which no pipe holds at once."""

    def __init__(self, storage: MemoryStorage, path: str, data: bytes) -> None:
        self._storage, self._path, self._data = storage, path, data

    def __iter__(self) -> Iterator[bytes]:
        self._storage.opened.append(self._path)
        for start in range(0, len(self._data), 3 << 20):
            if self._storage.lost is not None and start >= self._storage.lost_at:
                raise self._storage.lost
            yield self._data[start : start + (3 << 20)]


class MemoryStorage:
    """Repos as {path: bytes}. `fetched` lists every element asked for; `fail` is raised once by the next fetch.

    opened: files of lazy inputs, each time one is read; `lost` is raised at byte `lost_at` of such a one.
    """

    def __init__(self, **trees: dict[str, bytes]) -> None:
        self.trees = trees
        self.fetched: list[Element] = []
        self.segments: list[LogSegment] = []
        self.fail: Exception | None = None
        self.opened: list[str] = []
        self.lost: Exception | None = None
        self.lost_at = 0

    def fetch(self, elements: Sequence[Element]) -> Iterator[Fetched]:
        if self.fail:
            error, self.fail = self.fail, None
            raise error
        self.fetched += elements
        for number, element in enumerate(elements):
            top = element.path.rstrip("/")
            files = {
                path: data
                for path, data in self.trees[element.repo].items()
                if path == top or path.startswith(top + "/")
            }
            if not files:
                raise NotFound(f"{element.path} is not in {element.repo}")
            for path, data in files.items():
                if element.lazy and not element.empty_files:
                    yield Fetched(number, path, Later(self, path, data))
                else:
                    yield Fetched(number, path, b"" if element.empty_files else iter([data[:3], data[3:]]))

    def output(self, claim: Claim) -> Output:
        return MemoryOutput(self)

    def write_segment(self, segment: LogSegment) -> None:
        self.segments.append(segment)

    def log(self) -> str:
        """All lines so far."""
        return b"".join(segment.data for segment in self.segments).decode()


class FakeServer:
    """One claim after the other; checks fences, order and that no row counts twice. `orders` feeds `watch`."""

    def __init__(self, *claims: Claim) -> None:
        self.waiting = list(claims)
        self.results: dict[str, dict[int, Result]] = {}
        self.rows: list[tuple[str, object, str]] = []
        self.reports: list[tuple[str, int]] = []
        self.renewed: list[int] = []
        self.with_renewal: list[Order] = []
        self.orders: queue.Queue[Order | None] = queue.Queue()
        self.last: dict[str, int] = {}
        self.refuse: dict[str, TrunklineError] = {}
        self.given_back: list[tuple[str, str]] = []
        self.refuse_back: list[TrunklineError] = []
        self.idle = threading.Event()
        self.on_report: Callable[[], None] = lambda: None

    def claim(self) -> Claim | None:
        if not self.waiting:
            self.idle.set()
            return None
        claim = self.waiting.pop(0)
        self.last[claim.id] = claim.last
        return claim

    def renew(self, claim: Claim, row: int) -> Sequence[Order]:
        orders, self.with_renewal = self.with_renewal, []
        self.renewed.append(row)
        return orders

    def report(self, claim: Claim, done: int, sealed: object, results: Sequence[Result]) -> tuple[int, int]:
        refusal = self.refuse.pop(claim.id, None)
        if refusal:
            raise refusal
        if done > self.last[claim.id]:
            raise Aborted("past the end of the range")
        counted = self.results.setdefault(claim.id, {})
        assert [result.row for result in results] == list(range(claim.first + len(counted), done))
        counted |= {result.row: result for result in results}
        assert isinstance(sealed, list)
        self.rows += sealed
        self.reports.append((claim.id, done))
        self.on_report()
        return claim.first, self.last[claim.id]

    def give_back(self, claim: Claim, reason: str) -> None:
        refusal = self.refuse_back.pop() if self.refuse_back else None
        if refusal:
            raise refusal
        self.given_back.append((claim.id, reason))

    def watch(self) -> Iterator[Order]:
        while (order := self.orders.get()) is not None:
            yield order
        raise Unavailable("the stream ended")

    def all_results(self) -> list[Result]:
        """Of all claims, by row."""
        return [result for rows in self.results.values() for _, result in sorted(rows.items())]


class MemoryImages:
    """Registered images as {digest: files}."""

    def __init__(self, **images: list[ImageFile]) -> None:
        self.images = images
        self.read = 0

    def files(self, digest: str) -> Iterator[ImageFile]:
        if digest not in self.images:
            raise NotFound(f"no image {digest}")
        self.read += 1
        yield from self.images[digest]


def element(path: str, repo: str = "images", name: str = "", **more: object) -> Element:
    """An element of `repo`, shown under its name."""
    return Element(name or repo, "default", repo, "master", "c" * 32, path, **more)  # type: ignore[arg-type]


def datum(row: int, *elements: Element, **more: object) -> Datum:
    """A datum with an id made of its row."""
    return Datum(row, f"{row:064x}", elements, **more)  # type: ignore[arg-type]


def claim(step: Step, datums: Sequence[Datum], **more: object) -> Claim:
    """A claim of all these datums."""
    whole = Claim("claim-1", 1, JOB, step, datums, datums[0].row, datums[-1].row + 1, 30_000_000)
    return replace(whole, **more)  # type: ignore[arg-type]


def bench_for(sandbox: Sandbox, folder: Path, images: MemoryImages | None = None) -> Bench:
    """A bench in `folder`, on the rung of namespaces."""
    rung = Rung("process", sandbox, 0, "")
    ambient = RealAmbient()
    return open_bench(rung, folder / "scratch", Images(folder / "images", images or MemoryImages(), ambient), ambient)
