"""Calls that change pipelines and jobs, as functions of a change: alone in a door, together in a transaction."""

from __future__ import annotations

from google.protobuf.empty_pb2 import Empty

from trunkline.pfs.graph.changes import Change
from trunkline.pps import jobs as pps_jobs
from trunkline.wire import infos_pps, nouns
from trunkline.wire.gen import pps_v2_pb2 as pps


def stop_job(change: Change, request: pps.StopJobRequest) -> Empty:
    """End a job."""
    pps_jobs.stop_job(change.tx, nouns.job_of(request.job), request.reason)
    return Empty()


def update_job_state(change: Change, request: pps.UpdateJobStateRequest) -> Empty:
    """End a job in a certain state. What the request says of datums is not taken: the server counts them itself."""
    state = infos_pps.job_state_of(request.state)
    pps_jobs.set_state(change.tx, nouns.job_of(request.job), state, request.reason)
    return Empty()
