"""What objects are called and labelled, so that they are found again and nobody else's are touched."""

from __future__ import annotations

import hashlib
import re

from trunkline.model.names import Pipeline

OWNER = "trunkline/server"
"""The label of every object of ours; its value says of which server."""
KEY = "trunkline/pipeline"
"""The label by which a pipeline's objects are found whatever its name: a digest of its address."""
RENDERED = "trunkline/rendered"
"""The annotation with a digest of the object as we wanted it, by which we see that it is out of date."""
ADDRESS = "trunkline/address"
"""The annotation with the pipeline's address, project/name."""
VERSION = "pipelineVersion"
SETTINGS = "TRUNKLINE_POD"
"""The variable with the settings of a worker in a pod, as JSON."""
TOKEN = "TRUNKLINE_WORKER_TOKEN"
"""The variable in which a worker finds what it shows to its server: a command line could be read by everybody."""

_LONGEST = 50
_HASHED = 8
_UNFIT = re.compile(r"[^a-z0-9-]+")
_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?\Z")


def object_name(pipeline: Pipeline, version: int) -> str:
    """Of the version's ReplicaSet, and what names of its other objects begin with: default-edges-v3.

    Two pipelines never share a name: what is lost of an address, its own digest makes up for.
    """
    told = f"{pipeline.project}-{pipeline.name}"
    fit = _UNFIT.sub("-", told.lower()).strip("-")
    if fit != told or len(fit) > _LONGEST or "-" in pipeline.project:
        fit = f"{fit[: _LONGEST - _HASHED - 1].rstrip('-')}-{key_of(pipeline)[:_HASHED]}"
    return f"{fit}-v{version}"


def key_of(pipeline: Pipeline) -> str:
    """The value of the label KEY."""
    return hashlib.sha256(f"{pipeline.project}/{pipeline.name}".encode()).hexdigest()[:40]


def label_value(text: str) -> str:
    """A text as the value of a label, shortened and cleaned where Kubernetes would refuse it."""
    if _VALUE.fullmatch(text):
        return text
    return re.sub(r"[^A-Za-z0-9_.-]", "-", text)[:63].strip("-_.")


def labels_of(server: str, pipeline: Pipeline, version: int) -> dict[str, str]:
    """Labels of every object of a version; those that people know from Pachyderm, and ours."""
    return {
        "app": object_name(pipeline, version),
        "suite": "pachyderm",
        "component": "worker",
        "pipelineName": label_value(pipeline.name),
        "pipelineProject": label_value(pipeline.project),
        VERSION: str(version),
        OWNER: server,
        KEY: key_of(pipeline),
    }
