"""What containers ask for and may have, in the words of Kubernetes."""

from __future__ import annotations

from typing import Any

from trunkline.model.specs import Resources


def cpu_text(cpu: float) -> str:
    """Processors as a quantity: 0.5 is 500m."""
    milli = max(1, round(cpu * 1000))
    return str(milli // 1000) if milli % 1000 == 0 else f"{milli}m"


def quantities(told: Resources) -> dict[str, str]:
    """Each resource with its quantity."""
    found = {}
    if told.cpu:
        found["cpu"] = cpu_text(told.cpu)
    if told.memory and told.memory_bytes:
        found["memory"] = told.memory
    if told.disk and told.disk_bytes:
        found["ephemeral-storage"] = told.disk
    if told.gpu is not None:
        found[told.gpu.type] = str(told.gpu.number)
    return found


def resources(requests: Resources | None, limits: Resources | None, otherwise: Resources) -> dict[str, Any]:
    """A container's `resources`. otherwise: its requests where the spec gives neither requests nor limits."""
    if requests is None and limits is None:
        requests = otherwise
    wanted = quantities(requests) if requests is not None else {}
    most = quantities(limits) if limits is not None else {}
    if requests is not None and requests.gpu is not None:  # Kubernetes wants devices in both places, alike
        most.setdefault(requests.gpu.type, str(requests.gpu.number))
    return {name: each for name, each in (("requests", wanted), ("limits", most)) if each}
