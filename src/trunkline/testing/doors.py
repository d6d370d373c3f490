"""A gRPC server on a unix socket, in a thread of the test's process, answering with the doors a test brings."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import grpc
import uvloop

from trunkline.ambient import SimulatedAmbient
from trunkline.api.rpc.bridge import Bridge
from trunkline.api.rpc.doors import Door, Recorder, Rooms
from trunkline.app.grpc import GrpcServer

MakeDoors = Callable[[asyncio.AbstractEventLoop, Bridge], Sequence[Door]]


@contextmanager
def serving(
    folder: Path, make: MakeDoors, recorder: Recorder | None = None, bridge: Bridge | None = None
) -> Iterator[grpc.Channel]:
    """A channel to a server with these doors. recorder: keeps calls that are made in a transaction. bridge: where
    calls run, on threads of its own if None."""
    bridge = bridge or Bridge()
    started, stopped = threading.Event(), asyncio.Event()
    loop = uvloop.new_event_loop()

    async def run() -> None:
        server = GrpcServer(folder / "s", make(loop, bridge), Rooms(bridge, SimulatedAmbient(), recorder))
        await server.start()
        started.set()
        await stopped.wait()
        await server.stop(0)

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    if not started.wait(30):
        raise TimeoutError("the server did not start")
    options = [("grpc.max_receive_message_length", 20 << 20), ("grpc.primary_user_agent", "pachyderm-sdk")]
    try:
        with grpc.insecure_channel(f"unix:{folder / 's'}", options=options) as channel:
            yield channel
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join(30)
        bridge.close()
        loop.close()
