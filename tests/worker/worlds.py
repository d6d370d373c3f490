"""A worker with a server and storage in memory, and a real agent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from fakes import FakeServer, MemoryStorage, claim, datum, element

from trunkline.worker.execute import Bench
from trunkline.worker.loop import Worker
from trunkline.worker.ports import Claim, Step

FILES = {f"/{number}.txt": b"%d\n" % number for number in range(10)}


class World:
    """A worker in a thread, its server and its storage."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.storage = MemoryStorage(images=dict(FILES))
        self.told: list[str] = []

    def run(self, *claims: Claim, during: Callable[[FakeServer, Worker], None] | None = None) -> FakeServer:
        """Work until the claims are used up; `during` runs beside it."""
        server = FakeServer(*claims)
        worker = Worker(server, self.storage, self.bench, self.told.append)
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            if during:
                during(server, worker)
            assert server.idle.wait(60), "the worker did not come back for more"
        finally:
            worker.stop()
            server.orders.put(None)
            thread.join(60)
        assert not thread.is_alive()
        return server

    def one(self, script: str, **spec: object) -> FakeServer:
        """One datum, run by a shell."""
        return self.run(claim(Step(("sh", "-c", script), **spec), [datum(0, element("/1.txt"))]))  # type: ignore[arg-type]

    def heard(self, marker: str) -> bool:
        return any(marker in path.name for path in self.bench.scratch.tmp.iterdir())


def wait_for(path: Path) -> None:
    """Until user code has made `path`."""
    wait_until(path.exists)


def wait_until(happened: Callable[[], bool]) -> None:
    """Until something has happened."""
    done = threading.Event()
    for _ in range(1200):
        if happened():
            return
        done.wait(0.05)
    raise AssertionError("it never happened")
