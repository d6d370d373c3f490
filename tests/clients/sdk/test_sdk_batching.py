"""pachyderm-sdk inside user code: one process that does all datums of a pipeline, one after the other."""

from __future__ import annotations

import sys

from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps
from test_sdk_files import put, read
from test_sdk_pipelines import done

CODE = """
import os
from pathlib import Path
from pachyderm_sdk import batch_all_datums

starts = Path("/tmp/starts")
starts.write_text(starts.read_text() + "x" if starts.exists() else "x")


@batch_all_datums
def each():
    path = Path(os.environ["images"])
    if path.name == "bad":
        raise ValueError("no picture")
    Path("/pfs/out", path.name).write_text(f"{path.read_text()} {os.environ['PACH_DATUM_ID']} {starts.read_text()}")


each()
"""


def batching(client: Client, name: str) -> pps.JobInfo:
    """A pipeline that runs the code above; its job."""
    pipeline = pps.Pipeline(name=name)
    client.pps.create_pipeline(
        pipeline=pipeline,
        transform=pps.Transform(cmd=[sys.executable, "-"], stdin=CODE.splitlines(), datum_batching=True),
        input=pps.Input(pfs=pps.PfsInput(glob="/*", repo="images")),
        parallelism_spec=pps.ParallelismSpec(constant=1),
        datum_tries=1,
    )
    return done(client, pipeline)


def test_one_process_does_all_datums(client: Client) -> None:
    put(client, {"/a": b"1", "/b": b"2", "/c": b"3"})
    job = batching(client, "batch")
    assert (job.state, job.data_processed) == (pps.JobState.JOB_SUCCESS, 3), job.reason
    found = [read(client, f"batch@master:/{name}").decode().split() for name in "abc"]
    assert [each[0] for each in found] == ["1", "2", "3"]
    assert len({each[1] for each in found}) == 3
    assert {each[2] for each in found} == {"x"}


def test_an_exception_fails_its_datum_and_no_other(client: Client) -> None:
    put(client, {"/a": b"1", "/bad": b"2", "/c": b"3"})
    job = batching(client, "batch")
    assert (job.state, job.data_processed, job.data_failed) == (pps.JobState.JOB_FAILURE, 2, 1), job.reason
    assert "no picture" in job.reason


CANCEL = """
import os, time
from pathlib import Path
import grpc
from pachyderm_sdk.api.worker import WorkerStub

worker = WorkerStub(grpc.insecure_channel("127.0.0.1:" + os.environ["PPS_WORKER_GRPC_PORT"]))
job, once = os.environ["PACH_JOB_ID"], Path("/tmp/once")
other = worker.cancel(job_id="0" * 32, data_filters=["/a"]).success or worker.cancel(
    job_id=job, data_filters=["/b"]).success
if not once.exists():
    once.touch()
    Path("/pfs/out/first").touch()
    worker.cancel(job_id=job, data_filters=["/a"])
    time.sleep(60)
Path("/pfs/out/second").write_text(str(other))
"""


def test_a_datum_is_started_over(client: Client) -> None:
    put(client, {"/a": b"1"})
    pipeline = pps.Pipeline(name="over")
    client.pps.create_pipeline(
        pipeline=pipeline,
        transform=pps.Transform(cmd=[sys.executable, "-"], stdin=CANCEL.splitlines()),
        input=pps.Input(pfs=pps.PfsInput(glob="/*", repo="images")),
        datum_tries=1,
    )
    job = done(client, pipeline)
    assert (job.state, job.data_processed) == (pps.JobState.JOB_SUCCESS, 1), job.reason
    assert read(client, "over@master:/second") == b"False"
    assert not client.pfs.path_exists(pfs.File.from_uri("over@master:/first"))
