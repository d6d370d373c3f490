"""Load tests, as three services have them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from google.protobuf.empty_pb2 import Empty

from trunkline.api.rpc.bridge import Bridge
from trunkline.api.rpc.call import Call
from trunkline.errors import InvalidArgument
from trunkline.pfs.files import Files
from trunkline.pps.images.resolving import Rules
from trunkline.wire import nouns
from trunkline.wire.gen import debug_v2_pb2 as debug
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.times import duration

Answer = TypeVar("Answer", pfs.RunLoadTestResponse, debug.RunPFSLoadTestResponse)


@dataclass(frozen=True, slots=True)
class FileLoadDoor:
    """Of files, for older clients."""

    files: Files
    bridge: Bridge
    service: str = field(default="pfs_v2.API")

    async def RunLoadTest(self, request: pfs.RunLoadTestRequest, call: Call) -> pfs.RunLoadTestResponse:
        """Write what a seed draws, read it back, compare. What is wrong is in the answer's `error`."""
        work = partial(_loaded, self.files, pfs.RunLoadTestResponse, request, call.wanted)
        return await self.bridge.slow(work)

    async def RunLoadTestDefault(self, _request: Empty, call: Call) -> pfs.RunLoadTestResponse:
        """The usual one, with a seed that nobody chose."""
        return await self.RunLoadTest(pfs.RunLoadTestRequest(), call)


@dataclass(frozen=True, slots=True)
class DebugLoadDoor:
    """The same, for newer ones."""

    files: Files
    bridge: Bridge
    service: str = field(default="debug_v2.Debug")

    async def RunPFSLoadTest(self, request: debug.RunPFSLoadTestRequest, call: Call) -> debug.RunPFSLoadTestResponse:
        """As `pfs_v2.API/RunLoadTest`."""
        work = partial(_loaded, self.files, debug.RunPFSLoadTestResponse, request, call.wanted)
        return await self.bridge.slow(work)

    async def RunPFSLoadTestDefault(self, _request: Empty, call: Call) -> debug.RunPFSLoadTestResponse:
        """As `pfs_v2.API/RunLoadTestDefault`."""
        return await self.RunPFSLoadTest(debug.RunPFSLoadTestRequest(), call)


@dataclass(frozen=True, slots=True)
class PipelineLoadDoor:
    """Of pipelines."""

    files: Files
    rules: Rules
    bridge: Bridge
    service: str = field(default="pps_v2.API")

    async def RunLoadTest(self, request: pps.RunLoadTestRequest, call: Call) -> pps.RunLoadTestResponse:
        """Write below pipelines that copy what they read, and compare what comes out."""
        return await self.bridge.slow(partial(self._run, request, call.wanted))

    async def RunLoadTestDefault(self, _request: Empty, call: Call) -> pps.RunLoadTestResponse:
        """The usual one."""
        return await self.RunLoadTest(pps.RunLoadTestRequest(), call)

    def _run(self, request: pps.RunLoadTestRequest, wanted: Callable[[], bool]) -> pps.RunLoadTestResponse:
        if request.state_id:
            raise InvalidArgument("a load test of pipelines begins with pipelines of its own; leave state_id out")
        if request.parallelism < 0:
            raise InvalidArgument(f"parallelism is a number of workers, not {request.parallelism}")
        from trunkline.pfs.loading import read_load  # which hardly any server ever needs
        from trunkline.pps.loading import read_dag, run_dag

        error, state = run_dag(
            self.files,
            self.rules,
            read_dag(request.dag_spec),
            read_load(request.load_spec),
            seed=request.seed or self.files.ambient.seed(),
            parallelism=request.parallelism,
            pod_patch=request.pod_patch,
            wanted=wanted,
        )
        return pps.RunLoadTestResponse(error=error, state_id=state)


def _loaded(
    files: Files,
    answer: type[Answer],
    request: pfs.RunLoadTestRequest | debug.RunPFSLoadTestRequest,
    wanted: Callable[[], bool],
) -> Answer:
    from trunkline.pfs.loading import read_load, run_load

    spec = read_load(request.spec)
    branch = nouns.branch_of(request.branch, "the load test") if request.HasField("branch") else None
    if request.state_id and branch is None:
        raise InvalidArgument("state_id says from which commit to go on; name its branch as well")
    seed = request.seed or files.ambient.seed()
    begun = files.ambient.ticks_s()
    found = run_load(files, spec, branch, seed, request.state_id, wanted)
    return answer(
        spec=spec.as_yaml(),
        branch=nouns.branch(found.branch),
        seed=seed,
        error=found.error,
        duration=duration(round((files.ambient.ticks_s() - begun) * 1e6)),
        state_id=found.commit,
    )
