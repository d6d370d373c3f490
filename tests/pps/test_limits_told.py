"""What a spec is told of limits that this machine cannot hold code to."""

from __future__ import annotations

import pytest

from trunkline.model.specs import read_spec
from trunkline.pps.specs.unused import note_on_limits

BOTH = frozenset({"memory", "cpu", "volume"})


@pytest.mark.parametrize(
    ("limits", "able", "told"),
    [
        ({"cpu": 2, "memory": "64Mi", "disk": "1Gi"}, BOTH, []),
        ({"cpu": 2}, frozenset({"memory"}), ["cpu is not held to"]),
        ({"cpu": 2, "memory": "64Mi"}, frozenset(), ["cpu is not held to", "twenty times a second"]),
        ({"gpu": {"type": "nvidia.com/gpu", "number": 2}}, BOTH, []),
        (
            {"gpu": {"type": "nvidia.com/gpu", "number": 3}},
            BOTH,
            ["gpu asks for 3 of nvidia.com/gpu, and this server's machine has 2; ask for fewer"],
        ),
        ({"gpu": {"type": "amd.com/gpu", "number": 1}}, BOTH, ["gpu asks for 1 of amd.com/gpu", "has none"]),
    ],
)
def test_what_is_not_held_to_is_said(limits: dict[str, object], able: frozenset[str], told: list[str]) -> None:
    spec = {
        "pipeline": {"name": "edges"},
        "transform": {"cmd": ["true"]},
        "input": {"pfs": {"repo": "images", "glob": "/*"}},
        "resource_limits": limits,
    }
    note = note_on_limits(read_spec(spec).spec, able, gpus=2)
    assert bool(note) == bool(told)
    assert all(part in note for part in told)
    assert note_on_limits(read_spec(spec).spec, able, contained=True) == ""


def test_a_memory_volume_needs_namespaces() -> None:
    spec = {
        "pipeline": {"name": "edges"},
        "transform": {"cmd": ["true"], "memory_volume": True},
        "input": {"pfs": {"repo": "images", "glob": "/*"}},
    }
    assert note_on_limits(read_spec(spec).spec, BOTH) == ""
    assert "allows its workers no namespaces, and /pfs lies on a disk" in note_on_limits(
        read_spec(spec).spec, frozenset()
    )
