"""What a spec may say that this release cannot run yet. Whoever builds one of these takes its line out here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from trunkline.errors import Unimplemented
from trunkline.model.specs import Leaf, PfsInput, PipelineSpec

UNBUILT: Mapping[str, Callable[[PipelineSpec], bool]] = {
    "s3_out": lambda spec: spec.s3_out,
    "input.pfs.s3": lambda spec: _has(spec, lambda leaf: isinstance(leaf, PfsInput) and leaf.s3),
}
"""Fields of a spec, each with whether a spec uses it."""


def refuse_unbuilt(spec: PipelineSpec) -> None:
    """Raise Unimplemented for what is not built yet, with all such fields named."""
    named = [name for name, uses in UNBUILT.items() if uses(spec)]
    if named:
        verb, what = ("is", "it") if len(named) == 1 else ("are", "them")
        raise Unimplemented(f"{spec.pipeline}: {', '.join(named)} {verb} not built yet; leave {what} out of the spec")


def _has(spec: PipelineSpec, asked: Callable[[Leaf], bool]) -> bool:
    return any(asked(leaf) for leaf in spec.leaves)
