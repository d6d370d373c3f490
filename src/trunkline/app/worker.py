"""`python -m trunkline.app.worker`: one worker process, from its settings to its loop.

The fleet starts it with its settings as JSON in the first argument and keeps its standard input open; when that ends,
so does the worker, at once: nothing that was not reported counts.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec

from trunkline.ambient import RealAmbient
from trunkline.app.inside.buckets import ServedBuckets
from trunkline.app.inside.door import Door, open_door
from trunkline.app.memory import few_arenas
from trunkline.app.worker_storage import WorkerStorage
from trunkline.client.address import parse
from trunkline.client.connection import connect
from trunkline.client.work.workers import RemoteServer
from trunkline.errors import TrunklineError
from trunkline.fleet.kubernetes.names import TOKEN
from trunkline.model.names import Pipeline
from trunkline.storage import Store
from trunkline.storage.blobs import open_blobs
from trunkline.worker.batching.batches import Batches
from trunkline.worker.batching.desk import Desk
from trunkline.worker.containers.engine import Engine
from trunkline.worker.containers.housing import Containers
from trunkline.worker.containers.pod import Pod
from trunkline.worker.execute import Bench, open_bench
from trunkline.worker.images import Images
from trunkline.worker.launch import Sandbox, Scratch, programs
from trunkline.worker.limits.gpus import Devices
from trunkline.worker.limits.groups import Group, open_group
from trunkline.worker.loop import Worker
from trunkline.worker.ports import Claim, SecretFolder
from trunkline.worker.rungs import Rung, choose
from trunkline.worker.standing.forward import Doorway, Forward
from trunkline.worker.standing.serving import Serving, Tell, telling
from trunkline.worker.standing.spouts import SpoutWorker

PORT_RETRY_S = 5.0

READ_CACHE_BYTES = 32 << 20
"""Chunks that a worker keeps in memory; there is one worker for each core."""
PART_BYTES = 64 << 20
"""Parts of file sets that a worker keeps in memory."""


class Standing(msgspec.Struct, frozen=True):
    """The service or spout that a worker is for. ports: outer and inner, where one leads to the other.

    contained: its code runs in a container.
    """

    project: str
    pipeline: str
    version: int
    kind: str
    host: str
    ports: tuple[int, int] | None = None
    contained: bool = False


class Only(msgspec.Struct, frozen=True):
    """The version of a pipeline that a worker in a pod is for."""

    project: str
    pipeline: str
    version: int


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is told. address: of its server; folder: scratch of its own; blobs: folder or URL of the bytes.

    cache, images: folders that all workers of a machine share, the first up to a limit. masked, expose: host paths
    that user code must not see, and may write. gpus: the devices of this machine; gpu_locks: a folder for
    locks on them, shared by all its workers. containers: URL of the engine, "" for none; server, run: whose its
    containers are. only: it lives in a pod, and its code in the container beside it.
    """

    name: str
    address: str
    folder: str
    blobs: str
    cache: str
    index_cache_bytes: int
    images: str
    runner: str = "auto"
    masked: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()
    gpu_locks: str = ""
    containers: str = ""
    server: str = ""
    run: str = ""
    variables: dict[str, str] = {}
    standing: Standing | None = None
    only: Only | None = None

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
        return work(settings)
    except (TrunklineError, OSError) as error:
        say(f"worker {settings.name}: {error}")
        return 1


def work(settings: WorkerSettings) -> int:
    """Work until told to stop. Raises TrunklineError, OSError where the worker could not begin."""
    # Taken out, so that nothing which is started from here finds it.
    client = connect(settings.address, worker_token=os.environ.pop(TOKEN, ""))
    standing = settings.standing
    mine = settings.only or standing
    pipeline = Pipeline(mine.project, mine.pipeline) if mine else None
    version = settings.only.version if settings.only else 0
    server = RemoteServer(client, settings.name, RealAmbient(), pipeline, version)
    blobs = open_blobs(settings.blobs)
    store = Store(
        blobs,
        settings.cache,
        RealAmbient(),
        cache_bytes=settings.index_cache_bytes,
        part_bytes=PART_BYTES,
        read_cache_bytes=READ_CACHE_BYTES,
        threads=2,
    )
    storage = WorkerStorage(server, store)
    desk = Desk(RealAmbient())
    door = Door(desk, settings.name)
    listening, port = open_door(door)
    group = open_group()
    buckets = ServedBuckets(storage, Path(settings.folder) / "uploads", RealAmbient())
    doorway = Doorway(standing.ports[1]) if standing and standing.contained and standing.ports else None
    bench = _bench(settings, storage, port, group, buckets, doorway)
    worker = _worker(settings, server, storage, bench, desk, doorway)
    if isinstance(worker, Worker):
        door.cancel = worker.cancel
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    if settings.only is None:  # a pod ends as a whole
        threading.Thread(target=_end_with_parent, args=(worker, bench), name="parent", daemon=True).start()
    try:
        worker.run()
    finally:
        bench.close()
        buckets.close()
        group.remove()
        listening.stop(None)
        client.close()
        blobs.close()
    return 0


def _worker(
    settings: WorkerSettings,
    server: RemoteServer,
    storage: WorkerStorage,
    bench: Bench,
    desk: Desk,
    doorway: Doorway | None,
) -> Worker | SpoutWorker:
    standing = settings.standing
    if standing is None:
        batches = Batches(desk)
        return Worker(server, storage, bench, say, batches.execution, batches.end)
    tell = telling(lambda running, reason: server.tell(standing.version, running, reason), say)
    _forward(standing, tell, doorway)
    if standing.kind == "SPOUT":
        home = SpoutHome(server, client_settings(_address(settings.address, standing.contained), standing.project))
        return SpoutWorker(home, bench, storage.write_segment, tell, say)
    return Worker(server, storage, bench, say, partial(Serving, tell=tell))


def _address(address: str, contained: bool) -> str:
    """The server's, for code: in a container a relay leads to it."""
    place = parse(address)
    return address.replace(place.host, "127.0.0.1", 1) if contained else address


def _forward(standing: Standing, tell: Tell, doorway: Doorway | None) -> None:
    """Open the outer port; while it is taken, say so and try again."""
    ambient = RealAmbient()
    while standing.ports is not None:
        outer, inner = standing.ports
        try:
            if doorway is not None:
                doorway.open(standing.host, outer)
            else:
                Forward(standing.host, outer, inner)
            return
        except OSError as error:
            tell(False, f"port {outer} cannot be opened on this machine: {error.strerror or error}")
            ambient.sleep(PORT_RETRY_S)


def client_settings(address: str, project: str) -> SecretFolder:
    """What clients read in a container of the original: where the server is, and the project they work in."""
    context = {"pachd_address": address, "project": project, "source": "IMPORTED"}
    document = {"v2": {"active_context": "spout", "contexts": {"spout": context}}}
    return SecretFolder("/pachctl", (("config.json", msgspec.json.encode(document)),))


class SpoutHome:
    """`worker.standing.spouts.Home`: what the server says, and the way back to it for clients in user code."""

    def __init__(self, server: RemoteServer, settings: SecretFolder) -> None:
        self._server = server
        self._settings = settings

    def stand(self) -> Claim | None:
        """What to run."""
        claim = self._server.stand()
        if claim is None:
            return None
        step = replace(claim.step, secrets=(*claim.step.secrets, self._settings))
        return replace(claim, step=step)


def _bench(
    settings: WorkerSettings,
    storage: WorkerStorage,
    port: int,
    group: Group,
    buckets: ServedBuckets,
    doorway: Doorway | None,
) -> Bench:
    ambient = RealAmbient()
    sandbox = Sandbox(masked=settings.masked, exposed=settings.expose, shown=programs(), group=group)
    folder = Path(settings.folder)
    if settings.only is not None:
        return _pod_bench(settings, storage, port, buckets)
    rung = choose(settings.runner, sandbox, Scratch(folder / "probe").make())
    images = Images(Path(settings.images), storage, ambient)
    variables = settings.variables | {"PPS_WORKER_GRPC_PORT": str(port)}
    containers = _containers(settings, (port, buckets.port), doorway)
    bench = open_bench(rung, folder, images, ambient, variables, buckets, containers)
    bench.devices = Devices(settings.gpus, Path(settings.gpu_locks), ambient)
    return bench


def _pod_bench(settings: WorkerSettings, storage: WorkerStorage, port: int, buckets: ServedBuckets) -> Bench:
    """What runs code in the container beside us, once that is there."""
    ambient, folder = RealAmbient(), Path(settings.folder)
    rung = Rung("pod", Sandbox(), 1, "user code runs in a container of the worker's own pod")
    images = Images(Path(settings.images), storage, ambient)
    variables = settings.variables | {"PPS_WORKER_GRPC_PORT": str(port)}
    pod = Pod(Scratch(folder).make(), ambient, say)
    pod.wait()
    return open_bench(rung, folder, images, ambient, variables, buckets, lambda scratch: pod, completed=True)


def _containers(
    settings: WorkerSettings, own: Sequence[int], doorway: Doorway | None
) -> Callable[[Scratch], Containers] | None:
    """What opens containers, if there is an engine. Code in them reaches the server and this worker on 127.0.0.1."""
    if not settings.containers:
        return None
    outer = parse(settings.address)
    ports = {outer.port: (outer.host, outer.port)} | {port: ("127.0.0.1", port) for port in own}

    def begin(scratch: Scratch) -> Containers:
        engine = Engine(settings.containers)
        return Containers(
            engine, scratch, settings.server, settings.name, RealAmbient(), ports, doorway, run=settings.run
        )

    return begin


def _end_with_parent(worker: Worker | SpoutWorker, bench: Bench) -> None:
    """Wait for the end of standard input, which the fleet holds open; then stop, and be gone soon whatever happens."""
    while os.read(0, 4096):
        pass
    worker.stop("the server has ended")
    bench.kill()
    signal.setitimer(signal.ITIMER_REAL, 2.0)  # unhandled, SIGALRM ends the process


def say(text: str) -> None:
    """A line of the worker's log."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
