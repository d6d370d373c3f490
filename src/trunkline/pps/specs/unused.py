"""What a spec says that this server's fleet does not act on."""

from __future__ import annotations

from trunkline.model.specs import PipelineSpec, Resources
from trunkline.model.specs.reference.fields import unused
from trunkline.pps.specs.devices import lack_of_gpus


def note_on_unused(spec: PipelineSpec) -> str:
    """A sentence that names what only a Kubernetes cluster would act on; empty if there is no such thing."""
    named = unused(spec.to_dict()) + _unused_balancer(spec)
    if not named:
        return ""
    verb = "is" if len(named) == 1 else "are"
    return (
        f"pipeline {spec.pipeline}: {', '.join(named)} {verb} kept and shown, but not used: "
        "this server's workers are no Kubernetes pods"
    )


def _unused_balancer(spec: PipelineSpec) -> list[str]:
    """A load balancer that is asked for. The other types only say how far a port is seen, and this machine shows it."""
    service = spec.spout.service if spec.spout is not None else spec.service
    if service is None or service.type != "LoadBalancer":
        return []
    return ["spout.service.type" if spec.spout is not None else "service.type"]


def note_on_limits(spec: PipelineSpec, able: frozenset[str], contained: bool = False, gpus: int | None = None) -> str:
    """What this machine cannot do of what a spec asks for, as a sentence; empty if there is no such thing.

    able: of "memory" and "cpu", what control groups do on the machine of the workers; "volume": /pfs in memory.
    contained: the code runs in a container, whose engine limits all it is asked to. gpus: devices of that
    machine; None: nobody counts them.
    """
    if contained:
        return ""
    said = _loose_limits(spec.resource_limits, able, gpus) if spec.resource_limits is not None else []
    told = [f"of resource_limits, {'; '.join(said)}"] if said else []
    if spec.transform.memory_volume and "volume" not in able:
        told.append("memory_volume is not used: this machine allows its workers no namespaces, and /pfs lies on a disk")
    return f"pipeline {spec.pipeline}: {'; '.join(told)}" if told else ""


def _loose_limits(limits: Resources, able: frozenset[str], gpus: int | None) -> list[str]:
    said = []
    if limits.cpu and "cpu" not in able:
        said.append("cpu is not held to, since this machine allows its workers no control group")
    if limits.memory and "memory" not in able:
        said.append(
            "memory is looked at twenty times a second in place of a control group, so that code may go beyond it "
            "for a moment"
        )
    if limits.gpu is not None and gpus is not None:
        said.append(lack_of_gpus(limits.gpu.number, limits.gpu.type, gpus).removeprefix("resource_limits."))
    return [one for one in said if one]
