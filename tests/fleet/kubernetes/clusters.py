"""Versions and servers for tests of manifests and of the fleet."""

from __future__ import annotations

from typing import Any

from trunkline.fleet.kubernetes.wanted import House, Wanted
from trunkline.model.names import Pipeline
from trunkline.model.specs import PipelineSpec

SERVER = "0123456789abcdef0123456789abcdef"
HOUSE = House(SERVER, "data", "trunkline:1.0", "pachd.data:30650", "s3://bucket/cluster", {"AWS_ACCESS_KEY_ID": "k"})


def wanted(name: str = "edges", version: int = 1, project: str = "default", **fields: Any) -> Wanted:
    """A version of a pipeline; `fields` are those of a spec, and of `Wanted` where it has them."""
    transform = {"image": "edges:1.2", "cmd": ["python3", "/edges.py"], **fields.pop("transform", {})}
    outer = {
        each: fields.pop(each) for each in ("kind", "replicas", "env", "folders", "logins", "token") if each in fields
    }
    spec = {
        "pipeline": {"name": name, "project": {"name": project}},
        "transform": transform,
        "input": {"pfs": {"repo": "images", "name": "images", "glob": "/*", "project": project, "branch": "master"}},
    }
    return Wanted(Pipeline(project, name), version, PipelineSpec.from_dict({**spec, **fields}), **outer)
