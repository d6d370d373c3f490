"""The gRPC server behind the front: every service, health, reflection, limits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from trunkline.api.rpc.doors import Door, Rooms, handlers
from trunkline.api.rpc.services import SERVICES

RECEIVE_BYTES = 64 << 20
"""Clients send pieces of 19 MiB; our own stay below 4."""

SEND_BYTES = 20 << 20
"""Clients refuse more."""

OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", RECEIVE_BYTES),
    ("grpc.max_send_message_length", SEND_BYTES),
    ("grpc.max_metadata_size", 64 << 10),
    # Dead peers are found and their streams end; peers that only follow events may be silent for as long as they like.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 30_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 0),
)


class GrpcServer:
    """Listens on a unix socket. Serving begins with `start`."""

    def __init__(self, socket: Path, doors: Sequence[Door], rooms: Rooms) -> None:
        self._server = grpc.aio.server(options=OPTIONS)
        self._server.add_generic_rpc_handlers(handlers(SERVICES, doors, rooms))
        self._health = HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._names = [service.full_name for service in SERVICES] + [health.SERVICE_NAME]
        reflection.enable_server_reflection([*self._names, reflection.SERVICE_NAME], self._server)
        self._server.add_insecure_port(f"unix:{socket}")

    async def start(self) -> None:
        """Answer calls, and say so to whoever asks for health."""
        await self._server.start()
        for name in ["", *self._names]:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self, grace_s: float) -> None:
        """Take no more calls; those that run have `grace_s` to end, then they are cancelled."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)
