"""What a spec says that this server's fleet does not act on."""

from __future__ import annotations

from trunkline.model.specs import PipelineSpec
from trunkline.model.specs.reference.fields import unused


def note_on_unused(spec: PipelineSpec) -> str:
    """A sentence that names what only a Kubernetes cluster would act on; empty if there is no such thing."""
    named = unused(spec.to_dict())
    if not named:
        return ""
    verb = "is" if len(named) == 1 else "are"
    return (
        f"pipeline {spec.pipeline}: {', '.join(named)} {verb} kept and shown, but not used: "
        "this server's workers are no Kubernetes pods"
    )


def note_on_limits(spec: PipelineSpec, able: frozenset[str]) -> str:
    """What code is not held to of its `resource_limits`, as a sentence; empty if there is no such thing.

    able: of "memory" and "cpu", what control groups do on the machine of the workers.
    """
    limits = spec.resource_limits
    if limits is None:
        return ""
    said = []
    if limits.cpu and "cpu" not in able:
        said.append("cpu is not held to, since this machine allows its workers no control group")
    if limits.memory and "memory" not in able:
        said.append(
            "memory is looked at twenty times a second in place of a control group, so that code may go beyond it "
            "for a moment"
        )
    if limits.gpu is not None:
        said.append("gpu is not held to: code sees all devices of this machine")
    if not said:
        return ""
    return f"pipeline {spec.pipeline}: of resource_limits, {'; '.join(said)}"
