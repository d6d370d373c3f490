"""Which pipelines are to run in pods, how many pods each, and how they do."""

from __future__ import annotations

from dataclasses import dataclass, field

from trunkline.catalog.engine import Tx
from trunkline.catalog.work import claims as claim_rows
from trunkline.catalog.work import pipelines as pipeline_rows
from trunkline.catalog.work.containers import POD
from trunkline.catalog.work.pipelines import PipelineRow
from trunkline.errors import TrunklineError
from trunkline.model.jobs import PipelineState
from trunkline.model.names import Pipeline
from trunkline.model.specs import PipelineSpec
from trunkline.pps import logs
from trunkline.pps.pipelines import set_state
from trunkline.pps.secrets import Given, Vault, given_to, value_of
from trunkline.pps.states.condition import input_gone

_LOGINS = (".dockerconfigjson", ".dockercfg")


@dataclass(frozen=True)
class PodWish:
    """A version that is to run in `pods` pods. logins: for its image. problem: why its pods cannot have their secrets.

    grows: how many there are never shrinks before it is 0.
    """

    pipeline: Pipeline
    version: int
    kind: str
    spec: PipelineSpec
    pods: int
    grows: bool = False
    given: Given = field(default_factory=Given)
    logins: tuple[bytes, ...] = field(default=(), repr=False)
    problem: str = ""


def pod_wishes(tx: Tx, vault: Vault) -> list[PodWish]:
    """All that is to run in pods now, one that is stopped with none."""
    left: dict[int, int] = {}
    for claim in claim_rows.all_claims(tx):
        left[claim.pipeline] = left.get(claim.pipeline, 0) + claim.left
    found = []
    for row in pipeline_rows.list_pipelines(tx):
        version = pipeline_rows.get_version(tx, row.key, row.version)
        if version is None or version.runner != POD:
            continue
        spec = PipelineSpec.from_json(version.effective_spec)
        given, problem = Given(), ""
        try:
            given = given_to(tx, vault, spec)
        except TrunklineError as error:
            problem = str(error)
        pods = 0 if input_gone(tx, row, spec) is not None else _pods(row, spec, left.get(row.key, 0))
        logins = _logins(tx, vault, spec)
        found.append(PodWish(row.pipeline, row.version, row.kind, spec, pods, spec.autoscaling, given, logins, problem))
    return found


def _pods(row: PipelineRow, spec: PipelineSpec, left: int) -> int:
    """With autoscaling as many as have something to do: none, or one while a job only begins."""
    if row.stopped:
        return 0
    most = spec.parallelism or 1
    if not spec.autoscaling:
        return most
    return 0 if row.up_us is None else max(1, min(most, left))


def _logins(tx: Tx, vault: Vault, spec: PipelineSpec) -> tuple[bytes, ...]:
    found = []
    for name in spec.transform.image_pull_secrets:
        for key in _LOGINS:
            try:
                found.append(value_of(tx, vault, name, key))
            except TrunklineError:  # the pull says what it lacks
                continue
    return tuple(found)


def tell(tx: Tx, pipeline: Pipeline, version: int, reason: str) -> None:
    """A version's pods do not run, and why; "": they do."""
    row = pipeline_rows.find_pipeline(tx, pipeline)
    if row is None or row.stopped or row.version != version:
        return
    state = PipelineState(row.state)
    if reason and state in (PipelineState.STARTING, PipelineState.RUNNING, PipelineState.CRASHING):
        if row.reason != reason:
            logs.say(tx, row.key, None, reason)
        set_state(tx, row, PipelineState.CRASHING, reason)
    elif not reason and state in (PipelineState.STARTING, PipelineState.CRASHING):
        set_state(tx, row, PipelineState.RUNNING)
