"""Pipeline specs: read from what people write, checked with every complaint at once, and held as typed values."""

from __future__ import annotations

from trunkline.model.specs.spec import (
    Combination,
    CronInput,
    Egress,
    Input,
    Leaf,
    PfsInput,
    PipelineSpec,
    Resources,
    Service,
    Spout,
    SqlEgress,
    Transform,
    leaves_of,
)

__all__ = [
    "Combination",
    "CronInput",
    "Egress",
    "Input",
    "Leaf",
    "PfsInput",
    "PipelineSpec",
    "Resources",
    "Service",
    "Spout",
    "SqlEgress",
    "Transform",
    "leaves_of",
]
