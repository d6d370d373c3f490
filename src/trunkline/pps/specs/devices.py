"""The GPUs that a spec asks for, and what is to be said where there are fewer."""

from __future__ import annotations

from trunkline.catalog.work.containers import CONTAINER, POD
from trunkline.model.specs import PipelineSpec

NVIDIA = "nvidia.com/gpu"
"""The type of the devices that workers which are processes can hold."""


def devices_of(spec: PipelineSpec, runner: str) -> int:
    """How many devices a worker holds for the code of a pipeline; 0 where an engine or a cluster gives them."""
    gpu = spec.resource_limits.gpu if spec.resource_limits is not None else None
    return gpu.number if gpu is not None and runner not in (CONTAINER, POD) else 0


def lack_of_gpus(count: int, kind: str, there: int) -> str:
    """Why code that asks for `count` devices of a type cannot run where `there` are; "" if it can."""
    there = there if kind == NVIDIA else 0
    if count <= there:
        return ""
    return (
        f"resource_limits.gpu asks for {count} of {kind}, and this server's machine has {there or 'none'}; ask for "
        "fewer, or name its devices with pachd --gpus"
    )
