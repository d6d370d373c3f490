"""A pipeline through the wire, on a real server with real workers: made, run, looked at, changed, deleted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import BytesValue

from trunkline.testing.serving import PachdProcess
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pfs_v2_pb2_grpc, pps_v2_pb2_grpc
from trunkline.wire.gen import pps_v2_pb2 as pps

COUNT = "for f in /pfs/in/*; do echo saw $f; wc -c < $f > /pfs/out/$(basename $f); done"


@dataclass
class Client:
    """The stubs, and the steps that tests share."""

    files: Any
    pipelines: Any

    def repo(self, name: str) -> pfs.Repo:
        repo = pfs.Repo(name=name, type="user", project=pfs.Project(name="default"))
        self.files.CreateRepo(pfs.CreateRepoRequest(repo=repo))
        return repo

    def put(self, repo: pfs.Repo, **files: str) -> str:
        commit = pfs.Commit(branch=pfs.Branch(repo=repo, name="master"))
        edits = [pfs.ModifyFileRequest(set_commit=commit)]
        for name, text in files.items():
            edits.append(pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=name)))
            raw = BytesValue(value=text.encode())
            edits.append(pfs.ModifyFileRequest(add_file=pfs.AddFile(path=name, raw=raw)))
        self.files.ModifyFile(iter(edits))
        return str(self.files.InspectCommit(pfs.InspectCommitRequest(commit=commit)).commit.id)

    def job(self, name: str, job_id: str, *, wait: bool = True) -> pps.JobInfo:
        job = pps.Job(pipeline=pps.Pipeline(name=name), id=job_id)
        return self.pipelines.InspectJob(pps.InspectJobRequest(job=job, wait=wait, details=True), timeout=100)

    def read(self, name: str, path: str) -> str:
        repo = pfs.Repo(name=name, type="user", project=pfs.Project(name="default"))
        file = pfs.File(commit=pfs.Commit(branch=pfs.Branch(repo=repo, name="master")), path=path)
        return b"".join(piece.value for piece in self.files.GetFile(pfs.GetFileRequest(file=file))).decode()

    def jobs(self, name: str, **given: Any) -> list[pps.JobInfo]:
        return list(self.pipelines.ListJob(pps.ListJobRequest(pipeline=pps.Pipeline(name=name), **given)))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    server = PachdProcess(tmp_path_factory.mktemp("pachd"), ["--workers", "1"])
    with server, grpc.insecure_channel(server.address) as channel:
        yield Client(pfs_v2_pb2_grpc.APIStub(channel), pps_v2_pb2_grpc.APIStub(channel))


def request(name: str, repo: str, script: str = COUNT, **given: Any) -> pps.CreatePipelineRequest:
    return pps.CreatePipelineRequest(
        pipeline=pps.Pipeline(name=name),
        transform=pps.Transform(cmd=["sh"], stdin=[script]),
        input=pps.Input(pfs=pps.PFSInput(repo=repo, glob="/*", name="in")),
        **given,
    )


def test_only_what_is_new_is_processed(client: Client) -> None:
    repo = client.repo("data")
    client.put(repo, a="1", b="22")
    client.pipelines.CreatePipeline(request("count", "data"))
    first = client.job("count", client.jobs("count")[0].job.id)
    assert (first.state, first.data_processed, first.data_total) == (pps.JOB_SUCCESS, 2, 2)
    assert client.read("count", "/b").strip() == "2"
    second = client.job("count", client.put(repo, c="333"))
    assert (second.state, second.data_processed, second.data_skipped) == (pps.JOB_SUCCESS, 1, 2)
    assert client.read("count", "/c").strip() == "3"
    assert [one.job.id for one in client.jobs("count")] == [second.job.id, first.job.id]
    assert [one.job.id for one in client.jobs("count", number=1)] == [second.job.id]
    assert second.details.input.pfs.commit == second.job.id
    members = client.pipelines.InspectJobSet(pps.InspectJobSetRequest(job_set=pps.JobSet(id=second.job.id), wait=True))
    assert [one.job.pipeline.name for one in members] == ["count"]
    sets = [one.job_set.id for one in client.pipelines.ListJobSet(pps.ListJobSetRequest())]
    assert sets == [second.job.id, first.job.id]


def test_datums_and_logs_of_a_job(client: Client) -> None:
    repo = client.repo("logged")
    client.put(repo, x="1", y="2")
    client.pipelines.CreatePipeline(request("logger", "logged"))
    info = client.job("logger", client.jobs("logger")[0].job.id)
    datums = list(client.pipelines.ListDatum(pps.ListDatumRequest(job=info.job)))
    assert [one.state for one in datums] == [pps.SUCCESS, pps.SUCCESS]
    assert sorted(one.data[0].file.path for one in datums) == ["/x", "/y"]
    one = client.pipelines.InspectDatum(pps.InspectDatumRequest(datum=datums[0].datum))
    assert one == datums[0]
    after = pps.ListDatumRequest(job=info.job, paginationMarker=datums[0].datum.id)
    assert list(client.pipelines.ListDatum(after)) == datums[1:]

    def lines(**given: Any) -> list[str]:
        answers = client.pipelines.GetLogs(pps.GetLogsRequest(**given), timeout=60)
        return sorted(line.message for line in answers if line.user)

    assert lines(job=info.job) == ["saw /pfs/in/x", "saw /pfs/in/y"]
    assert lines(pipeline=pps.Pipeline(name="logger"), tail=1000) == ["saw /pfs/in/x", "saw /pfs/in/y"]
    assert lines(job=info.job, follow=True) == ["saw /pfs/in/x", "saw /pfs/in/y"]  # ends, since the job has ended
    assert lines(job=info.job, data_filters=["/y"]) == ["saw /pfs/in/y"]
    of_all = pps.Pipeline(name="logger")
    assert lines(pipeline=of_all, data_filters=["/y"]) == ["saw /pfs/in/y"]
    hashed = one.data[0].hash.hex()
    assert lines(pipeline=of_all, data_filters=[hashed]) == [f"saw /pfs/in{one.data[0].file.path}"]
    assert lines(pipeline=of_all, datum=pps.Datum(id=one.datum.id)) == [f"saw /pfs/in{one.data[0].file.path}"]
    told = client.pipelines.GetLogs(pps.GetLogsRequest(datum=one.datum))
    assert [(each.path, each.hash) for line in told for each in line.data] == [
        (one.data[0].file.path, one.data[0].hash)
    ]
    assert lines(job=info.job, datum=one.datum) == [f"saw /pfs/in{one.data[0].file.path}"]
    wanted = pps.Input(pfs=pps.PFSInput(repo="logged", glob="/*", name="in"))
    preview = list(client.pipelines.ListDatum(pps.ListDatumRequest(input=wanted)))
    assert [one.data[0].file.path for one in preview] == ["/x", "/y"]
    after = pps.ListDatumRequest(input=wanted, paginationMarker=preview[0].datum.id)
    assert list(client.pipelines.ListDatum(after)) == preview[1:]
    back = pps.ListDatumRequest(input=wanted, paginationMarker=preview[1].datum.id, reverse=True)
    assert list(client.pipelines.ListDatum(back)) == preview[:1]


def test_what_cannot_be_asked_of_datums_and_logs_is_refused(client: Client) -> None:
    for wanted in (pps.Input(), pps.Input(pfs=pps.PFSInput(repo="x")), pps.Input(cross=[pps.Input()])):
        with pytest.raises(grpc.RpcError) as caught:
            list(client.pipelines.ListDatum(pps.ListDatumRequest(input=wanted)))
        assert (caught.value.code(), "input" in caught.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    with pytest.raises(grpc.RpcError) as caught:
        list(client.pipelines.GetLogs(pps.GetLogsRequest(tail=-1)))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_spec_as_json_comes_back_with_its_defaults(client: Client) -> None:
    client.repo("json")
    spec = {
        "pipeline": {"name": "viaJson"},
        "transform": {"cmd": ["true"]},
        "input": {"pfs": {"repo": "json", "glob": "/"}},
        "datumTimeout": "3.000s",
        "datumTries": "2",
    }
    answer = client.pipelines.CreatePipelineV2(
        pps.CreatePipelineV2Request(create_pipeline_request_json=json.dumps(spec))
    )
    effective = json.loads(answer.effective_create_pipeline_request_json)
    assert effective["datum_tries"] == 2
    info = client.pipelines.InspectPipeline(
        pps.InspectPipelineRequest(pipeline=pps.Pipeline(name="viaJson"), details=True)
    )
    assert (info.version, info.details.datum_timeout.seconds, info.details.input.pfs.branch) == (1, 3, "master")
    assert json.loads(info.user_spec_json)["transform"] == {"cmd": ["true"]}


def test_complaints_about_a_spec_come_all_at_once(client: Client) -> None:
    spec = {"pipeline": {"name": "bad name"}, "transfrom": {}, "input": {"pfs": {"repo": "r", "glob": "/["}}}
    with pytest.raises(grpc.RpcError) as raised:
        client.pipelines.CreatePipelineV2(pps.CreatePipelineV2Request(create_pipeline_request_json=json.dumps(spec)))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    details = raised.value.details()
    assert "transfrom" in details
    assert "transform" in details
    assert "bad name" in details


def test_a_failed_job_says_why(client: Client) -> None:
    repo = client.repo("broken")
    client.put(repo, a="1")
    client.pipelines.CreatePipeline(request("breaks", "broken", "echo oh no; exit 7", datum_tries=1))
    info = client.job("breaks", client.jobs("breaks")[0].job.id)
    assert info.state == pps.JOB_FAILURE
    assert info.data_failed == 1
    assert "7" in info.reason


def test_a_running_job_is_stopped(client: Client) -> None:
    repo = client.repo("long")
    client.put(repo, a="1")
    client.pipelines.CreatePipeline(request("sleeper", "long", "sleep 1000"))
    job = client.jobs("sleeper")[0].job
    client.pipelines.StopJob(pps.StopJobRequest(job=job, reason="enough"))
    info = client.job("sleeper", job.id)
    assert info.state == pps.JOB_KILLED
    assert "enough" in info.reason


def test_a_pipeline_stops_starts_and_goes(client: Client) -> None:
    repo = client.repo("source")
    client.put(repo, a="1")
    client.pipelines.CreatePipeline(request("comes", "source"))
    pipeline = pps.Pipeline(name="comes")
    client.job("comes", client.jobs("comes")[0].job.id)
    client.pipelines.StopPipeline(pps.StopPipelineRequest(pipeline=pipeline))
    info = client.pipelines.InspectPipeline(pps.InspectPipelineRequest(pipeline=pipeline))
    assert info.stopped
    client.put(repo, b="22")
    client.pipelines.StartPipeline(pps.StartPipelineRequest(pipeline=pipeline))
    assert client.job("comes", client.jobs("comes")[0].job.id).state == pps.JOB_SUCCESS
    assert client.read("comes", "/b").strip() == "2"
    client.pipelines.CreatePipeline(request("comes", "source", update=True, reprocess=True, description="again"))
    assert client.job("comes", client.jobs("comes")[0].job.id).data_processed == 2
    client.pipelines.RerunPipeline(pps.RerunPipelineRequest(pipeline=pipeline))
    again = client.job("comes", client.jobs("comes")[0].job.id)
    assert (again.data_processed, again.data_skipped) == (0, 2)
    client.pipelines.RerunPipeline(pps.RerunPipelineRequest(pipeline=pipeline, reprocess=True))
    assert client.job("comes", client.jobs("comes")[0].job.id).data_processed == 2
    listed = client.pipelines.ListPipeline(pps.ListPipelineRequest(pipeline=pipeline, history=-1))
    assert [one.version for one in listed] == [4, 3, 2, 1]
    client.pipelines.DeletePipeline(pps.DeletePipelineRequest(pipeline=pipeline))
    client.pipelines.DeletePipeline(pps.DeletePipelineRequest(pipeline=pipeline))  # of what is gone: nothing to do
    with pytest.raises(grpc.RpcError) as raised:
        client.pipelines.InspectPipeline(pps.InspectPipelineRequest(pipeline=pipeline))
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


def test_code_is_told_where_it_is(client: Client) -> None:
    repo = client.repo("told")
    client.put(repo, x="1")
    script = 'echo "$PACHD_PEER_SERVICE_HOST:$PACHD_PEER_SERVICE_PORT $PPS_POD_NAME $PACH_NAMESPACE" > /pfs/out/told'
    client.pipelines.CreatePipeline(request("teller", "told", script))
    assert client.job("teller", client.jobs("teller")[0].job.id).state == pps.JOB_SUCCESS
    address, worker, namespace = client.read("teller", "/told").split()
    assert re.fullmatch(r"127\.0\.0\.1:\d+", address)
    assert worker.startswith("worker-0-")
    assert namespace == "default"


def test_code_does_not_find_the_token_of_its_worker(client: Client) -> None:
    client.put(client.repo("looked"), a="1")
    script = "env > /pfs/out/env; cat /proc/[0-9]*/environ > /pfs/out/all 2>/dev/null; true"
    client.pipelines.CreatePipeline(request("looks", "looked", script))
    assert client.job("looks", client.jobs("looks")[0].job.id).state == pps.JOB_SUCCESS
    assert "PACH_JOB_ID" in client.read("looks", "/env")
    assert "TRUNKLINE_WORKER_TOKEN" not in client.read("looks", "/env") + client.read("looks", "/all")
