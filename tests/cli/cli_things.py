"""Objects that the tests of commands show, and moments before the instant at which their clock stands."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps

NOW_US = 1_800_000_000_000_000
ID = "0123456789abcdef0123456789abcdef"
OTHER = "f" * 32


def before(**length: float) -> Timestamp:
    """The moment that long ago."""
    moment = Timestamp()
    moment.FromMicroseconds(NOW_US - int(timedelta(**length).total_seconds() * 1e6))
    return moment


def repo(name: str = "images", kind: str = "user", project: str = "default") -> pfs.Repo:
    return pfs.Repo(name=name, type=kind, project=pfs.Project(name=project))


def commit(name: str = "images", id: str = ID) -> pfs.Commit:
    return pfs.Commit(repo=repo(name), branch=pfs.Branch(repo=repo(name), name="master"), id=id)


def info(**more: Any) -> pfs.CommitInfo:
    fields = {"commit": commit(), "origin": pfs.CommitOrigin(kind=pfs.USER), "started": before(minutes=5), **more}
    return pfs.CommitInfo(**fields)


def reads(repo: str, glob: str = "/*", project: str = "") -> pps.Input:
    return pps.Input(pfs=pps.PFSInput(repo=repo, glob=glob, project=project))


def pipeline(name: str = "edges", input: pps.Input | None = None, **more: Any) -> pps.PipelineInfo:
    fields: dict[str, Any] = {
        "pipeline": pps.Pipeline(name=name, project=pfs.Project(name="default")), "version": 1,
        "state": pps.PIPELINE_RUNNING, "last_job_state": pps.JOB_SUCCESS,
        "details": pps.PipelineInfo.Details(
            input=input or reads("images"), created_at=before(minutes=2), description="finds edges",
            transform=pps.Transform(image="opencv", cmd=["python3", "/edges.py"]),
        ),
        **more,
    }  # fmt: skip
    return pps.PipelineInfo(**fields)


def job(id: str = ID, **more: Any) -> pps.JobInfo:
    fields: dict[str, Any] = {
        "job": pps.Job(pipeline=pps.Pipeline(name="edges", project=pfs.Project(name="default")), id=id),
        "created": before(minutes=10), "started": before(minutes=9), "finished": before(minutes=4),
        "state": pps.JOB_SUCCESS, "data_processed": 3, "data_skipped": 5, "data_total": 8,
        "stats": pps.ProcessStats(download_bytes=2048, upload_bytes=10, process_time=Duration(seconds=75)),
        **more,
    }  # fmt: skip
    return pps.JobInfo(**fields)


SPEC = {
    "pipeline": {"name": "edges"},
    "transform": {"image": "x", "cmd": ["true"]},
    "input": {"pfs": {"repo": "a", "glob": "/*"}},
}
