"""Calls that change pipelines and jobs, as functions of a change: alone in a door, together in a transaction."""

from __future__ import annotations

from google.protobuf.empty_pb2 import Empty

from trunkline.pfs.graph.changes import Change
from trunkline.pps import jobs as pps_jobs
from trunkline.wire import nouns
from trunkline.wire.gen import pps_v2_pb2 as pps


def stop_job(change: Change, request: pps.StopJobRequest) -> Empty:
    """End a job."""
    pps_jobs.stop_job(change.tx, nouns.job_of(request.job), request.reason)
    return Empty()
