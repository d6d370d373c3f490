"""python-pachyderm's pipeline functions."""

from __future__ import annotations

import json
from collections.abc import Iterable

import python_pachyderm
from python_pachyderm import Client
from python_pachyderm.service import pfs_proto, pps_proto
from test_pp_files import put, read

FINISHED = pfs_proto.CommitState.FINISHED


def copying(client: Client, name: str = "copy", source: str = "images", **more: object) -> None:
    """A pipeline that copies each file of `source`."""
    client.create_pipeline(
        name,
        transform=pps_proto.Transform(cmd=["sh"], stdin=[f"cp -r /pfs/{source}/* /pfs/out/"]),
        input=pps_proto.Input(pfs=pps_proto.PFSInput(glob="/*", repo=source)),
        **more,
    )


def done(client: Client, name: str = "copy") -> pps_proto.JobInfo:
    """The newest job of a pipeline, when it has ended."""
    newest = next(iter(client.list_job(name)))
    return next(iter(client.inspect_job(newest.job.id, name, wait=True, details=True)))


def test_a_pipeline_runs(client: Client) -> None:
    put(client, "images", {"/a": b"1", "/b": b"2"})
    copying(client, description="copies")
    job = done(client)
    assert job.state == pps_proto.JobState.JOB_SUCCESS
    assert (job.data_processed, job.data_skipped, job.data_total) == (2, 0, 2)
    assert read(client, ("copy", "master"), "/b") == b"2"
    put(client, "images", {"/c": b"3"})
    job = done(client)
    assert (job.data_processed, job.data_skipped) == (1, 2)


def test_pipelines_are_inspected_listed_and_updated(client: Client) -> None:
    put(client, "images", {"/a": b"1"})
    copying(client)
    info = next(iter(client.inspect_pipeline("copy", details=True)))
    assert (info.pipeline.name, info.version, info.details.description) == ("copy", 1, "")
    assert info.details.input.pfs.repo == "images"
    assert info.details.datum_tries == 3
    done(client)
    copying(client, description="again", update=True)
    assert [each.version for each in client.inspect_pipeline("copy", history=-1)] == [2, 1]
    assert [each.pipeline.name for each in client.list_pipeline()] == ["copy"]
    assert [each.version for each in client.list_pipeline(history=-1)] == [2, 1]
    request = pps_proto.CreatePipelineRequest(
        pipeline=pps_proto.Pipeline(name="other"),
        transform=pps_proto.Transform(cmd=["true"]),
        input=pps_proto.Input(pfs=pps_proto.PFSInput(glob="/", repo="images")),
    )
    client.create_pipeline_from_request(request)
    assert {each.pipeline.name for each in client.list_pipeline()} == {"copy", "other"}
    client.delete_pipeline("other")
    spec = {
        "pipeline": {"name": "third"},
        "transform": {"cmd": ["true"]},
        "input": {"pfs": {"repo": "images", "glob": "/"}},
    }
    read = python_pachyderm.parse_dict_pipeline_spec(spec)
    assert read == python_pachyderm.parse_json_pipeline_spec(json.dumps(spec))
    client.create_pipeline_from_request(read)
    assert {each.pipeline.name for each in client.list_pipeline()} == {"copy", "third"}
    client.delete_all_pipelines()
    assert list(client.list_pipeline()) == []
    assert [each.repo.name for each in client.list_repo()] == ["images"]


def test_a_pipeline_is_stopped_and_started(client: Client) -> None:
    put(client, "images", {"/a": b"1"})
    copying(client)
    done(client)
    client.stop_pipeline("copy")
    assert next(iter(client.inspect_pipeline("copy"))).stopped
    client.start_pipeline("copy")
    assert not next(iter(client.inspect_pipeline("copy"))).stopped


def test_jobs_and_datums(client: Client) -> None:
    commit = put(client, "images", {"/a": b"1", "/b": b"2"})
    copying(client)
    job = done(client).job
    sets = list(client.inspect_job(job.id, wait=True))
    assert [each.job.pipeline.name for each in sets] == ["copy"]
    of_input = client.list_job("copy", input_commit=("images", commit.id))
    assert [each.job.id for each in of_input] == [job.id]
    datums = list(client.list_datum("copy", job.id))
    assert len(datums) == 2
    assert {each.state for each in datums} == {pps_proto.DatumState.SUCCESS}
    one = client.inspect_datum("copy", job.id, datums[0].datum.id)
    assert one.datum.id == datums[0].datum.id
    assert [each.file.path for each in one.data]
    source = pps_proto.Input(pfs=pps_proto.PFSInput(glob="/*", repo="images", branch="master", project="default"))
    assert len(list(client.list_datum(input=source))) == 2
    client.delete_job(job.id, "copy")
    assert list(client.list_job("copy")) == []


def test_a_job_is_stopped_and_its_datum_restarted(client: Client) -> None:
    put(client, "images", {"/a": b"1"})
    client.create_pipeline(
        "slow",
        transform=pps_proto.Transform(cmd=["sleep", "600"]),
        input=pps_proto.Input(pfs=pps_proto.PFSInput(glob="/*", repo="images")),
    )
    job = next(iter(client.list_job("slow"))).job
    while next(iter(client.inspect_job(job.id, "slow"))).state != pps_proto.JobState.JOB_RUNNING:
        pass
    client.restart_datum("slow", job.id, ["/a"])
    client.stop_job(job.id, "slow", reason="enough")
    stopped = next(iter(client.inspect_job(job.id, "slow", wait=True)))
    assert stopped.state == pps_proto.JobState.JOB_KILLED
    assert "enough" in stopped.reason


def test_logs(client: Client) -> None:
    put(client, "images", {"/a": b"1"})
    client.create_pipeline(
        "talk",
        transform=pps_proto.Transform(cmd=["sh"], stdin=["echo hello"]),
        input=pps_proto.Input(pfs=pps_proto.PFSInput(glob="/*", repo="images")),
    )
    job = done(client, "talk").job

    def lines(found: Iterable[pps_proto.LogMessage]) -> list[str]:
        return [each.message.strip() for each in found if each.user]

    assert lines(client.get_job_logs("talk", job.id)) == ["hello"]
    assert lines(client.get_pipeline_logs("talk")) == ["hello"]
    assert list(client.get_pipeline_logs("talk", master=True)) is not None


def test_cron(client: Client) -> None:
    client.create_pipeline(
        "tick",
        transform=pps_proto.Transform(cmd=["sh"], stdin=["ls /pfs/time > /pfs/out/seen"]),
        input=pps_proto.Input(cron=pps_proto.CronInput(name="time", spec="@every 10h")),
    )
    before = len(list(client.list_commit("tick_time")))
    client.run_cron("tick")
    assert len(list(client.list_commit("tick_time"))) == before + 1


def test_secrets(client: Client) -> None:
    client.create_secret("login", {"user": "me", "password": b"deep"}, labels={"of": "tests"})
    assert [each.secret.name for each in client.list_secret()] == ["login"]
    info = client.inspect_secret("login")
    assert info.secret.name == "login"
    assert info.creation_timestamp.seconds > 0
    put(client, "images", {"/a": b"1"})
    client.create_pipeline(
        "use",
        transform=pps_proto.Transform(
            cmd=["sh"],
            stdin=['printf %s "$PASS" > /pfs/out/by-env', "cp /login/user /pfs/out/by-file"],
            secrets=[
                pps_proto.SecretMount(name="login", key="password", env_var="PASS"),
                pps_proto.SecretMount(name="login", key="user", mount_path="/login"),
            ],
        ),
        input=pps_proto.Input(pfs=pps_proto.PFSInput(glob="/*", repo="images")),
    )
    assert done(client, "use").state == pps_proto.JobState.JOB_SUCCESS
    assert read(client, ("use", "master"), "/by-env") == b"deep"
    assert read(client, ("use", "master"), "/by-file") == b"me"
    client.delete_pipeline("use")
    client.delete_secret("login")
    assert list(client.list_secret()) == []


def test_a_service_and_a_spout(client: Client) -> None:
    put(client, "images", {"/a": b"1"})
    client.create_pipeline(
        "serve",
        transform=pps_proto.Transform(cmd=["sleep", "600"]),
        input=pps_proto.Input(pfs=pps_proto.PFSInput(glob="/", repo="images")),
        service=pps_proto.Service(internal_port=18080, external_port=31800),
    )
    client.create_pipeline("spring", transform=pps_proto.Transform(cmd=["sleep", "600"]), spout=pps_proto.Spout())
    kinds = {each.pipeline.name: each.type for each in client.list_pipeline()}
    assert kinds == {
        "serve": pps_proto.PipelineInfo.PipelineType.PIPELINE_TYPE_SERVICE,
        "spring": pps_proto.PipelineInfo.PipelineType.PIPELINE_TYPE_SPOUT,
    }


def test_what_the_cluster_says(client: Client) -> None:
    assert any("PoolStarted" in each.message for each in client.get_kube_events(since=None))
    put(client, "images", {"/a": b"1"})
    client.create_pipeline(
        "talks",
        transform=pps_proto.Transform(cmd=["sh"], stdin=["echo good morning", "echo good night"]),
        input=pps_proto.Input(pfs=pps_proto.PFSInput(glob="/*", repo="images")),
    )
    assert done(client, "talks").state == pps_proto.JobState.JOB_SUCCESS
    for query, lines in {
        '{pipelineName="talks"} |= "good"': ["good morning", "good night"],
        '{pipelineName="talks"} |~ "^good n"': ["good night"],
    }.items():
        assert [each.message for each in client.query_loki(query, since=None)] == lines, query


def test_the_spec_repo_holds_versions(client: Client) -> None:
    put(client, "images", {"/a": b"1"})
    copying(client, datum_set_spec=pps_proto.DatumSetSpec(number=1))
    assert [each.repo.name for each in client.list_repo("spec")] == ["copy"]
    info = next(iter(client.inspect_pipeline("copy", details=True)))
    assert info.details.datum_set_spec.number == 1
    assert json.loads(info.user_spec_json if hasattr(info, "user_spec_json") else info.details_json)
    done(client)
