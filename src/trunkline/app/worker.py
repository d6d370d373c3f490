"""`python -m trunkline.app.worker`: one worker process, from its settings to its loop.

The fleet starts it with its settings as JSON in the first argument and keeps its standard input open; when that ends,
so does the worker, at once: nothing that was not reported counts.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import msgspec

from trunkline.ambient import RealAmbient
from trunkline.app.memory import few_arenas
from trunkline.app.worker_storage import WorkerStorage
from trunkline.client.connection import connect
from trunkline.client.work.workers import RemoteServer
from trunkline.errors import TrunklineError
from trunkline.storage import Store
from trunkline.storage.blobs import open_blobs
from trunkline.worker.execute import Bench, open_bench
from trunkline.worker.images import Images
from trunkline.worker.launch import Sandbox, Scratch
from trunkline.worker.loop import Worker
from trunkline.worker.rungs import choose

TOKEN = "TRUNKLINE_WORKER_TOKEN"
"""The variable in which a worker finds what it shows to its server: a command line could be read by everybody."""

READ_CACHE_BYTES = 32 << 20
"""Chunks that a worker keeps in memory; there is one worker for each core."""


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is told. address: of its server; folder: scratch of its own; blobs: folder or URL of the bytes.

    cache, images: folders that all workers of a machine share. masked, expose: host paths that user code must not see,
    and may write.
    """

    name: str
    address: str
    folder: str
    blobs: str
    cache: str
    images: str
    runner: str = "auto"
    masked: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    variables: dict[str, str] = {}

    def to_json(self) -> str:
        """For the command line."""
        return msgspec.json.encode(self).decode()


def main() -> int:
    """Work until told to stop, by SIGTERM or the end of standard input. 1: the worker could not begin."""
    # The loop makes many short system calls beside threads that compute; after each it waits for the interpreter, by
    # default up to 5 ms.
    sys.setswitchinterval(0.0005)
    settings = msgspec.json.decode(sys.argv[1], type=WorkerSettings)
    few_arenas()
    try:
        return _work(settings)
    except (TrunklineError, OSError) as error:
        _tell(f"worker {settings.name}: {error}")
        return 1


def _work(settings: WorkerSettings) -> int:
    # Taken out, so that nothing which is started from here finds it.
    client = connect(settings.address, worker_token=os.environ.pop(TOKEN, ""))
    server = RemoteServer(client, settings.name, RealAmbient())
    store = Store(
        open_blobs(settings.blobs),
        settings.cache,
        RealAmbient(),
        read_cache_bytes=READ_CACHE_BYTES,
        threads=2,
    )
    storage = WorkerStorage(server, store)
    bench = _bench(settings, storage)
    worker = Worker(server, storage, bench, _tell)
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    threading.Thread(target=_end_with_parent, args=(worker, bench), name="parent", daemon=True).start()
    try:
        worker.run()
    finally:
        bench.close()
        client.close()
    return 0


def _bench(settings: WorkerSettings, storage: WorkerStorage) -> Bench:
    ambient = RealAmbient()
    sandbox = Sandbox(masked=settings.masked, exposed=settings.expose)
    folder = Path(settings.folder)
    rung = choose(settings.runner, sandbox, Scratch(folder / "probe").make())
    images = Images(Path(settings.images), storage, ambient)
    return open_bench(rung, folder, images, ambient, settings.variables)


def _end_with_parent(worker: Worker, bench: Bench) -> None:
    """Wait for the end of standard input, which the fleet holds open; then stop, and be gone soon whatever happens."""
    while os.read(0, 4096):
        pass
    worker.stop("the server has ended")
    bench.kill()
    signal.setitimer(signal.ITIMER_REAL, 2.0)  # unhandled, SIGALRM ends the process


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
