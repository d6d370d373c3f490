"""Which services and spouts are to run, how they do, and what is left when one ends."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.catalog import branches as branch_rows
from trunkline.catalog import commits as commit_rows
from trunkline.catalog.engine import Tx
from trunkline.catalog.work import pipelines as pipeline_rows
from trunkline.catalog.work.pipelines import PipelineRow, VersionRow
from trunkline.errors import Aborted, AlreadyExists, InvalidArgument
from trunkline.model.names import Branch, Pipeline
from trunkline.model.specs import PipelineSpec
from trunkline.model.specs.spec import Service
from trunkline.pfs.graph import commits
from trunkline.pfs.images import ImageInfo
from trunkline.pps import lineage
from trunkline.pps.images.resolving import CONTAINER
from trunkline.pps.images.where import image_of
from trunkline.pps.machine import SERVICE, SPOUT, TRANSFORM
from trunkline.pps.states.condition import input_gone


@dataclass(frozen=True, slots=True)
class Wish:
    """A service or spout that is to run, as one version of its pipeline says. ports: outer to inner, or none.

    contained: in a container, whose ports are its own.
    """

    pipeline: Pipeline
    version: int
    kind: str
    ports: tuple[int, int] | None
    contained: bool = False


@dataclass(frozen=True, slots=True)
class Stand:
    """What the worker of a spout runs."""

    key: int
    pipeline: Pipeline
    spec: PipelineSpec
    version: VersionRow
    image: ImageInfo | None


def kind_of(spec: PipelineSpec) -> str:
    """SERVICE, SPOUT or TRANSFORM."""
    return SPOUT if spec.spout is not None else SERVICE if spec.service is not None else TRANSFORM


def service_of(spec: PipelineSpec) -> Service | None:
    """The port that a service or spout has, if it has one."""
    return spec.spout.service if spec.spout is not None else spec.service


def wishes(tx: Tx) -> list[Wish]:
    """All services and spouts that are to run now."""
    found = []
    for row in pipeline_rows.standing(tx):
        spec = lineage.spec_of(tx, row.key, row.version)
        if row.stopped or input_gone(tx, row, spec) is not None:
            continue
        service = service_of(spec)
        contained = _contained(tx, row)
        inner = service.internal_port if service else 0
        outer = (service.external_port if service else 0) or inner
        ports = (outer, inner) if outer and (contained or outer != inner) else None
        found.append(Wish(row.pipeline, row.version, row.kind, ports, contained))
    return found


def _contained(tx: Tx, row: PipelineRow) -> bool:
    version = pipeline_rows.get_version(tx, row.key, row.version)
    return version is not None and version.runner == CONTAINER


def _ports(service: Service, contained: bool) -> set[int]:
    """Those of this machine that it takes."""
    if contained:
        return {service.external_port or service.internal_port}
    return {service.internal_port, service.external_port} - {0}


def check_ports(tx: Tx, spec: PipelineSpec, contained: bool) -> None:
    """Raise AlreadyExists where another pipeline has a port of this one: all code shares this machine's ports."""
    service = service_of(spec)
    if service is None:
        return
    mine = _ports(service, contained)
    for row in pipeline_rows.standing(tx):
        other = service_of(lineage.spec_of(tx, row.key, row.version)) if row.pipeline != spec.pipeline else None
        taken = mine & _ports(other, _contained(tx, row)) if other is not None else set()
        if taken:
            raise AlreadyExists(
                f"port {min(taken)} belongs to pipeline {row.pipeline} already, and pipelines share the ports of this "
                "machine; choose another"
            )


def check_kind(known: PipelineRow, spec: PipelineSpec) -> None:
    """Raise InvalidArgument for an update that would make something else of a pipeline."""
    if known.version and known.kind != kind_of(spec):
        raise InvalidArgument(
            f"pipeline {spec.pipeline} is a {known.kind.lower()} and cannot become a {kind_of(spec).lower()}; "
            "delete it first (`--keep-repo` keeps its output), or choose another name"
        )


def stand(tx: Tx, pipeline: Pipeline) -> Stand | None:
    """What the code of a spout is to run; None: nothing now. Raises Aborted when the pipeline is gone."""
    row = pipeline_rows.find_pipeline(tx, pipeline)
    version = pipeline_rows.get_version(tx, row.key, row.version) if row else None
    if row is None or version is None:
        raise Aborted(f"pipeline {pipeline} was deleted")
    if row.stopped or row.kind != SPOUT or (version.runner == CONTAINER and not version.image_digest):
        return None
    spec = PipelineSpec.from_json(version.effective_spec)
    image = image_of(tx, version)
    return Stand(row.key, pipeline, spec, version, image)


def close_open_commit(tx: Tx, known: PipelineRow, why: str) -> None:
    """A commit that the code of a spout left open is closed with an error, so that nothing waits for it for ever."""
    if known.kind != SPOUT or not known.version:
        return
    spec = lineage.spec_of(tx, known.key, known.version)
    branch = branch_rows.find_branch(tx, Branch(known.pipeline.output, spec.output_branch))
    commit = commit_rows.get_commit(tx, branch.head) if branch else None
    if commit is not None and commit.open:
        commits.close(tx, commit.seq, error=why)
