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
