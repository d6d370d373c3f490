"""How a service or spout does, as its worker tells."""

from __future__ import annotations

from trunkline.catalog.engine import Tx
from trunkline.catalog.work import pipelines as pipeline_rows
from trunkline.model.jobs import PipelineState
from trunkline.model.names import Pipeline
from trunkline.pps import logs
from trunkline.pps.pipelines import set_state
from trunkline.pps.standing.wishes import close_open_commit


def tell(tx: Tx, pipeline: Pipeline, version: int, *, running: bool, reason: str) -> None:
    """The code runs, or it ended and is started again soon. reason: how it ended, with its last lines."""
    row = pipeline_rows.find_pipeline(tx, pipeline)
    if row is None or row.stopped or (version and row.version != version):
        return
    state = PipelineState(row.state)
    if not running:
        close_open_commit(tx, row, f"the code ended before it finished this commit: {reason}")
    if running and state in (PipelineState.CRASHING, PipelineState.STARTING):
        set_state(tx, row, PipelineState.RUNNING)
        logs.say(tx, row.key, None, "the code runs")
    elif not running and state in (PipelineState.RUNNING, PipelineState.CRASHING):
        set_state(tx, row, PipelineState.CRASHING, reason)
        logs.say(tx, row.key, None, f"the code ended and is started again: {reason}")
