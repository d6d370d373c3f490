"""The condition of a pipeline, as it is at the moment it is asked for: what the rows say, and what follows from them.

Rows know what people and changes of specs did. That an input is gone, that nothing is to be done, or that no worker can
run, is seen from elsewhere and never stored, so that it is never stale.
"""

from __future__ import annotations

from dataclasses import replace

from trunkline.ambient import Micros
from trunkline.catalog import branches as branch_rows
from trunkline.catalog.engine import Tx
from trunkline.catalog.work.pipelines import PipelineRow
from trunkline.model.infos_pps import PipelineInfo
from trunkline.model.jobs import PipelineState
from trunkline.model.names import Branch
from trunkline.pps import lineage

AT_WORK = (PipelineState.STARTING, PipelineState.RUNNING)


def condition(tx: Tx, row: PipelineRow) -> tuple[PipelineState, str]:
    """How a pipeline is doing, and why. One whose input branch was deleted has failed, whoever deleted that."""
    state = PipelineState(row.state)
    if row.stopped:
        return state, row.reason
    spec = lineage.spec_of(tx, row.key, row.version)
    output = branch_rows.find_branch(tx, Branch(row.pipeline.output, spec.output_branch))
    reads = set(branch_rows.direct_provenance(tx, output.key)) if output else set()
    for leaf in spec.leaves:
        branch = Branch(leaf.source, leaf.branch)
        found = branch_rows.find_branch(tx, branch)
        if found is None or found.key not in reads:
            return PipelineState.FAILURE, f"its input branch {branch} was deleted; update the pipeline to read another"
    if spec.autoscaling and state in AT_WORK and row.up_us is None:
        return PipelineState.STANDBY, "it has nothing to do, and takes no worker until it has"
    return state, row.reason


def with_workers(info: PipelineInfo, crash: str) -> PipelineInfo:
    """A pipeline as it does with the workers that there are. crash: why none can run, "" if that is not so."""
    if not crash or info.up_us is None or info.state not in AT_WORK:
        return info
    return replace(info, state=PipelineState.CRASHING, reason=f"its jobs wait for a worker: {crash}")


def alerts(info: PipelineInfo, now_us: Micros) -> list[str]:
    """What somebody should look at: a pipeline that crashes or has failed, or that is up for longer than expected."""
    found = []
    if info.state in (PipelineState.CRASHING, PipelineState.FAILURE):
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
