"""pachyderm.worker.Worker on a port of the worker's own: code asks for its next datum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import grpc
from google.protobuf.empty_pb2 import Empty

from trunkline.errors import TrunklineError
from trunkline.wire.gen import pachyderm_worker_pb2 as wire
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.gen.pachyderm_worker_pb2_grpc import WorkerServicer, add_WorkerServicer_to_server
from trunkline.worker.batching.desk import Desk

HANDS = 8


class Door(WorkerServicer):
    """The calls."""

    def __init__(self, desk: Desk, worker: str) -> None:
        self._desk = desk
        self._worker = worker
        self.cancel: Callable[[str, Sequence[str]], bool] = lambda job, filters: False

    def NextDatum(self, request: wire.NextDatumRequest, context: grpc.ServicerContext) -> wire.NextDatumResponse:
        """The last datum is done, or failed with an error; the next one's variables, once there is one."""
        try:
            env = self._desk.next(request.error)
        except TrunklineError as error:
            _refuse(context, error)
        return wire.NextDatumResponse(env=[f"{name}={value}" for name, value in env.items()])

    def Cancel(self, request: wire.CancelRequest, context: grpc.ServicerContext) -> wire.CancelResponse:
        """End the datum in progress, if it is of that job and has these inputs; it is run again."""
        return wire.CancelResponse(success=self.cancel(request.job_id, list(request.data_filters)))

    def Status(self, request: Empty, context: grpc.ServicerContext) -> pps.WorkerStatus:
        """Which worker this is."""
        return pps.WorkerStatus(worker_id=self._worker)


def _refuse(context: grpc.ServicerContext, error: TrunklineError) -> NoReturn:
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
    raise error  # not reached: abort raises


def open_door(door: Door) -> tuple[grpc.Server, int]:
    """Serve on a free port of this machine; the server and its port."""
    server = grpc.server(ThreadPoolExecutor(HANDS, "door"))
    add_WorkerServicer_to_server(door, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port
