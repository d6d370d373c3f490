"""Pipeline specs: read from what people write, checked with every complaint at once, and held as typed values."""

from __future__ import annotations

from trunkline.model.specs.spec import (
    Combination,
    CronInput,
    DatumSetSpec,
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
from trunkline.model.specs.writing import Written, merged, read_spec, read_specs, warnings

__all__ = [
    "Combination",
    "CronInput",
    "DatumSetSpec",
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
    "Written",
    "leaves_of",
    "merged",
    "read_spec",
    "read_specs",
    "warnings",
]
