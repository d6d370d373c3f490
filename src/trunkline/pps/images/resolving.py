"""Where the code of a pipeline runs: decided once, when a version of it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from trunkline.catalog.engine import Tx
from trunkline.errors import FailedPrecondition
from trunkline.model.image_names import parse_image
from trunkline.model.specs import PipelineSpec
from trunkline.model.specs.spec import DEFAULT_IMAGE
from trunkline.pfs.images import find_image

HOST, IMAGE, CONTAINER, POD = "host", "image", "container", "pod"


@dataclass(frozen=True, slots=True)
class Where:
    """Where a pipeline's code runs: on the host's own files, in a registered image, in a container, or in pods."""

    runner: str
    digest: str = ""
    note: str = ""


LOOKED_FOR = "its image is being looked for"

CAN_LIMIT = frozenset({"memory", "cpu", "volume"})
"""What control groups can hold code to."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the server allows. engine: the container engine of its workers, "" where there is none.

    strict_images: never run on the host's own files. given: fields that the fleet gives every spec, below all defaults.
    can_limit: of "memory" and "cpu", what its workers' machine can hold code to; "volume": /pfs can lie in memory.
    gpus: devices that processes share; None: nobody counts them.
    cluster: where all code runs in pods, as "Kubernetes v1.20.2"; "": nowhere. admit: raises for a spec of which no
    pods can be made.
    """

    engine: str = ""
    strict_images: bool = False
    given: Mapping[str, Any] = field(default_factory=dict)
    can_limit: frozenset[str] = CAN_LIMIT
    gpus: int | None = None
    cluster: str = ""
    admit: Callable[[PipelineSpec], None] = lambda spec: None


def resolve(tx: Tx, image: str, rules: Rules, runner: str = "") -> Where:
    """Where code that names this image runs here; decided once, when a version is made.

    Which content a container's name stands for is found out later (`images.keeper`). runner: "process" or "container"
    where the spec insists. Raises FailedPrecondition if it would be the host's own files and that is not allowed.
    """
    if rules.cluster:
        return _in_pods(image, rules, runner)
    if runner == CONTAINER and not rules.engine:
        raise FailedPrecondition(
            "the spec says that its code runs in a container (trunkline.runner), and no container engine answers here; "
            "start Docker or Podman, and then pachd again"
        )
    found = find_image(tx, image)
    if found is not None and runner != CONTAINER:
        return Where(IMAGE, found.digest, f'runs in the local image "{image}" ({found.digest[:12]})')
    if runner == CONTAINER or (rules.engine and image != DEFAULT_IMAGE and not runner):
        return Where(CONTAINER, "", f'runs in a container of image "{image}" ({rules.engine})')
    advice = f"register one with `pachctl create image {image} FOLDER`"
    if rules.strict_images:
        raise FailedPrecondition(f'image "{image}" is not registered here, and no container engine has it; {advice}')
    if image == DEFAULT_IMAGE:  # most specs that say so name no image at all
        return Where(HOST, "", "the code runs on this machine's own files")
    return Where(
        HOST, "", f'image "{image}" is not registered here: the code runs on this machine\'s own files; {advice}'
    )


def _in_pods(image: str, rules: Rules, runner: str) -> Where:
    if runner not in ("", CONTAINER):
        raise FailedPrecondition(
            f"the spec says that its code runs as a {runner} (trunkline.runner), and the workers of this server are "
            f"pods of {rules.cluster}; leave that out"
        )
    return Where(POD, "", f'runs in pods of image "{image}" ({rules.cluster})')


def note_on_tag(spec: PipelineSpec, runner: str) -> str:
    """What is to be said of an image whose tag may stand for other code tomorrow; "" for nothing."""
    image = spec.transform.image
    name = parse_image(image)
    if runner != CONTAINER or not name.floats:
        return ""
    tag = f'the tag "{name.tag}"' if name.tag else "a name without a tag"
    return (
        f'pipeline {spec.pipeline}: image "{image}": {tag} moves with every build. This version keeps what it finds '
        "now, but the spec does not say which code that is, and a later update may find other code; give each build a "
        "tag of its own, as --push-images does"
    )
