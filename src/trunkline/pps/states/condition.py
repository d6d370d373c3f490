"""The condition of a pipeline, as it is at the moment it is asked for: what the rows say, and what follows from them.

Rows know what people and changes of specs did. That an input is gone, that an error of ours is to be tried again, that
nothing is to be done, or that no worker can run, is seen from elsewhere and never stored, so that it is never stale.
"""

from __future__ import annotations

from dataclasses import replace

from trunkline.ambient import Micros
from trunkline.catalog import branches as branch_rows
from trunkline.catalog.engine import Tx
from trunkline.catalog.work import instructions as instruction_rows
from trunkline.catalog.work import jobs as job_rows
from trunkline.catalog.work.pipelines import PipelineRow
from trunkline.model.infos_pps import PipelineInfo
from trunkline.model.jobs import PipelineState
from trunkline.model.names import Branch
from trunkline.model.specs import PipelineSpec
from trunkline.pps import lineage
from trunkline.pps.decide import AGAIN
from trunkline.pps.events import Work
from trunkline.pps.specs.devices import lack_of_gpus

AT_WORK = (PipelineState.STARTING, PipelineState.RUNNING)


def condition(tx: Tx, row: PipelineRow) -> tuple[PipelineState, str]:
    """How a pipeline is doing, and why. One whose input branch was deleted has failed, whoever deleted that."""
    state = PipelineState(row.state)
    if row.stopped:
        return state, row.reason
    spec = lineage.spec_of(tx, row.key, row.version)
    if (gone := input_gone(tx, row, spec)) is not None:
        return PipelineState.FAILURE, f"its input branch {gone} was deleted; update the pipeline to read another"
    if state in AT_WORK and (again := _tried_again(tx, row)):
        return PipelineState.RESTARTING, again
    if spec.autoscaling and state in AT_WORK and row.up_us is None:
        return PipelineState.STANDBY, "it has nothing to do, and takes no worker until it has"
    return state, row.reason


def input_gone(tx: Tx, row: PipelineRow, spec: PipelineSpec) -> Branch | None:
    """A branch that a pipeline reads and that was deleted, so that it has failed; None where all are there."""
    output = branch_rows.find_branch(tx, Branch(row.pipeline.output, spec.output_branch))
    reads = set(branch_rows.direct_provenance(tx, output.key)) if output else set()
    for leaf in spec.leaves:
        branch = Branch(leaf.source, leaf.branch)
        found = branch_rows.find_branch(tx, branch)
        if found is None or found.key not in reads:
            return branch
    return None


def _tried_again(tx: Tx, row: PipelineRow) -> str:
    """Which of its jobs waits for another try of what is no matter of its code, and why; "" if none does."""
    if row.up_us is not None and (held := job_rows.held(tx, row.key)) is not None:
        return f"its job {held.job.id} waits: {held.core['reason']}"
    waits = {one.job for one in instruction_rows.of_pipeline(tx, row.key) if one.work != Work.EGRESS.value}
    for job in job_rows.get_jobs(tx, waits).values() if waits else ():
        reason = str(job.core["reason"])
        if AGAIN in reason:
            return f"its job {job.job.id} {reason}"
    return ""


def with_workers(info: PipelineInfo, crash: str, gpus: int | None = None) -> PipelineInfo:
    """A pipeline as it does with the workers that there are. crash: why none can run, "" if that is not so.

    gpus: devices of their machine; None: nobody counts them.
    """
    if gpus is not None and info.state in AT_WORK and (lack := lack_of_gpus(info.gpus, info.gpu_type, gpus)):
        return replace(info, state=PipelineState.CRASHING, reason=f"its code cannot run: {lack}")
    if not crash or info.up_us is None or info.state not in AT_WORK:
        return info
    return replace(info, state=PipelineState.CRASHING, reason=f"its jobs wait for a worker: {crash}")


def alerts(info: PipelineInfo, now_us: Micros) -> list[str]:
    """What somebody should look at: one that crashes, tries again, has failed, or is up for longer than expected."""
    found = []
    if info.state in (PipelineState.CRASHING, PipelineState.RESTARTING, PipelineState.FAILURE):
        found.append(f"{info.state.value.lower()}: {info.reason}" if info.reason else info.state.value.lower())
    up_us = now_us - info.up_us if info.up_us is not None else 0
    if not info.stopped and 0 < info.maximum_uptime_us < up_us:
        found.append(f"up for {_span(up_us)}, and {_span(info.maximum_uptime_us)} is the most that its spec expects")
    return found


def _span(us: Micros) -> str:
    """A span in hours, minutes and seconds: `1h5m`, `20s`."""
    minutes, seconds = divmod(us // 1_000_000, 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{count}{unit}" for count, unit in ((hours, "h"), (minutes, "m"), (seconds, "s")) if count]
    return "".join(parts) or "less than 1s"
