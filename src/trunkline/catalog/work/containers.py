"""Queries on container images: which versions wait for one, what an image says of its code, and what pods run in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import and_, delete, insert, select, text, update
from sqlalchemy.sql import ColumnElement

from trunkline.catalog.engine.fixed import Fixed, given
from trunkline.catalog.engine.tx import Tx
from trunkline.catalog.tables_pps import container_images, pipeline_versions, pipelines, pod_images
from trunkline.model.names import Pipeline

CONTAINER = "container"
"""The runner of versions whose code runs in containers."""
POD = "pod"
"""The runner of versions whose code runs in pods; what their image is, only the cluster knows."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The current version of a pipeline, whose image is not known yet. spec: as JSON."""

    key: int
    pipeline: Pipeline
    version: int
    spec: str


@dataclass(frozen=True, slots=True)
class ContainerImage:
    """What an image says of its code."""

    digest: str
    env: dict[str, str]
    working_dir: str


def waiting(tx: Tx) -> list[Waiting]:
    """All current versions without their image, of pipelines that are not stopped."""
    columns = (
        *(pipelines.c.key, pipelines.c.project, pipelines.c.name),
        *(pipeline_versions.c.version, pipeline_versions.c.effective_spec),
    )
    query = select(*columns).join(pipelines, _current()).where(_without_image(), ~pipelines.c.stopped)
    return [
        Waiting(row.key, Pipeline(row.project, row.name), row.version, row.effective_spec)
        for row in tx.execute(query.order_by(pipelines.c.key)).all()
    ]


def pipelines_waiting(tx: Tx) -> set[int]:
    """Keys of pipelines whose current version has no image yet."""
    return {row.key for row in tx.execute(_WAITING).all()}


def set_image(tx: Tx, waiting: Waiting, image: ContainerImage) -> bool:
    """Say which image a version runs in, for good; False: it is known already, or the pipeline is gone."""
    if find_image(tx, image.digest) is None:
        values = {"digest": image.digest, "env": json.dumps(image.env), "working_dir": image.working_dir}
        tx.execute(container_images.insert().values(**values))
    mine = and_(pipeline_versions.c.pipeline == waiting.key, pipeline_versions.c.version == waiting.version)
    changed = update(pipeline_versions).where(mine, _without_image()).values(image_digest=image.digest)
    return bool(tx.execute(changed).rowcount)


def find_image(tx: Tx, digest: str) -> ContainerImage | None:
    """An image by digest."""
    row = tx.execute(select(container_images).where(container_images.c.digest == digest)).first()
    return ContainerImage(row.digest, json.loads(row.env), row.working_dir) if row else None


def pod_image(tx: Tx, worker: str) -> str:
    """The digest of the image in which the code of a pod runs; "": it is not known yet."""
    found = tx.execute(_POD_IMAGE, {"of": worker}).first()
    return str(found.digest) if found else ""


def set_pod_images(tx: Tx, images: Mapping[str, str]) -> None:
    """All pods that run, each with the digest of its image; nothing is known of any other."""
    before = {row.worker: row.digest for row in tx.execute(select(pod_images)).all()}
    changed = [name for name, digest in images.items() if before.get(name, digest) != digest]
    for name in (*(name for name in before if name not in images), *changed):
        tx.execute(delete(pod_images).where(pod_images.c.worker == name))
    for name, digest in images.items():
        if before.get(name) != digest:
            tx.execute(insert(pod_images).values(worker=name, digest=digest))


def _current() -> ColumnElement[bool]:
    return and_(pipelines.c.key == pipeline_versions.c.pipeline, pipelines.c.version == pipeline_versions.c.version)


def _without_image() -> ColumnElement[bool]:
    return and_(pipeline_versions.c.runner == CONTAINER, pipeline_versions.c.image_digest == "")


# Spelled out, or SQLite would not see that the index of those without an image holds all it needs.
_WAITS = text("pipeline_versions.runner = 'container' AND pipeline_versions.image_digest = ''")
_WAITING = Fixed(select(pipelines.c.key).join(pipeline_versions, _current()).where(_WAITS))
_POD_IMAGE = Fixed(select(pod_images.c.digest).where(pod_images.c.worker == given("of")))
