"""pachyderm-sdk's pipeline functions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta

import grpc
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps
from pachyderm_sdk.api.taskapi import Group
from test_sdk_files import put, read, refused


def copying(client: Client, name: str = "copy", source: str = "images", **more: object) -> pps.Pipeline:
    """A pipeline that copies each file of `source`."""
    pipeline = pps.Pipeline(name=name)
    client.pps.create_pipeline(
        pipeline=pipeline,
        transform=pps.Transform(cmd=["sh"], stdin=[f"cp -r /pfs/{source}/* /pfs/out/"]),
        input=pps.Input(pfs=pps.PfsInput(glob="/*", repo=source)),
        **more,
    )
    return pipeline


def done(client: Client, pipeline: pps.Pipeline) -> pps.JobInfo:
    """The newest job of a pipeline, when it has ended."""
    newest = next(iter(client.pps.list_job(pipeline=pipeline)))
    return client.pps.inspect_job(job=newest.job, wait=True, details=True)


def test_a_pipeline_runs(client: Client) -> None:
    put(client, {"/a": b"1", "/b": b"2"})
    pipeline = copying(client, description="copies")
    job = done(client, pipeline)
    assert job.state == pps.JobState.JOB_SUCCESS
    assert (job.data_processed, job.data_skipped, job.data_total) == (2, 0, 2)
    assert read(client, "copy@master:/b") == b"2"
    put(client, {"/c": b"3"})
    job = done(client, pipeline)
    assert (job.data_processed, job.data_skipped) == (1, 2)
    assert client.pps.job_exists(job.job)
    sets = list(client.pps.inspect_job_set(job_set=pps.JobSet(id=job.job.id), wait=True))
    assert [each.job.pipeline.name for each in sets] == ["copy"]
    assert next(iter(client.pps.list_job_set())).job_set.id == job.job.id
    stream = client.pps.subscribe_job(pipeline=pipeline)
    assert next(stream).job.pipeline.name == "copy"


def test_pipelines_are_inspected_listed_and_updated(client: Client) -> None:
    put(client, {"/a": b"1"})
    pipeline = copying(client)
    assert client.pps.pipeline_exists(pipeline)
    info = client.pps.inspect_pipeline(pipeline=pipeline, details=True)
    assert (info.version, info.details.input.pfs.repo) == (1, "images")
    done(client, pipeline)
    copying(client, description="again", update=True)
    assert client.pps.inspect_pipeline(pipeline=pipeline, history=1).version in (1, 2)
    assert [each.version for each in client.pps.list_pipeline(history=-1)] == [2, 1]
    client.pps.rerun_pipeline(pipeline=pipeline, reprocess=True)
    assert done(client, pipeline).data_processed == 1
    summary = client.pps.pipelines_summary(projects=[pfs.Project(name="default").as_picker()])
    assert sum(each.active_pipelines for each in summary.summaries) == 1
    assert list(client.pps.check_status(all=True)) == []
    client.pps.delete_pipeline(pipeline=pipeline)
    assert not client.pps.pipeline_exists(pipeline)
    copying(client)
    assert [each.name for each in client.pps.delete_pipelines(all=True).pipelines] == ["copy"]


def test_lists_are_filtered_by_jq(client: Client) -> None:
    put(client, {"/a": b"1"})
    for name in ("one", "two"):
        done(client, copying(client, name))
    named = list(client.pps.list_pipeline(jq_filter='select(.pipeline.name == "two")'))
    assert [each.pipeline.name for each in named] == ["two"]
    jobs = list(client.pps.list_job(jq_filter='.job.pipeline.name == "one" and .state == "JOB_SUCCESS"', number=5))
    assert [each.job.pipeline.name for each in jobs] == ["one"]
    sets = list(client.pps.list_job_set(jq_filter=f'.job_set.id == "{jobs[0].job.id}"', details=True))
    assert [each.job_set.id for each in sets] == [jobs[0].job.id]
    assert list(client.pps.list_job(jq_filter="select(false)")) == []
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        list(client.pps.list_job(jq_filter="select("))


def test_a_spec_is_json(client: Client) -> None:
    put(client, {"/a": b"1"})
    spec = {
        "pipeline": {"name": "copy"},
        "transform": {"cmd": ["sh"], "stdin": ["cp /pfs/images/* /pfs/out"]},
        "input": {"pfs": {"repo": "images", "glob": "/*"}},
        "datumTimeout": "30s",
    }
    answer = client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec), dry_run=True)
    assert json.loads(answer.effective_create_pipeline_request_json)["pipeline"]["name"] == "copy"
    assert not client.pps.pipeline_exists(pps.Pipeline(name="copy"))
    client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec))
    assert done(client, pps.Pipeline(name="copy")).state == pps.JobState.JOB_SUCCESS
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec | {"transfrom": {}}))


def test_defaults(client: Client) -> None:
    defaults = {"createPipelineRequest": {"datumTries": "5"}}
    client.pps.set_cluster_defaults(cluster_defaults_json=json.dumps(defaults))
    stored = json.loads(client.pps.get_cluster_defaults().cluster_defaults_json)
    assert str(stored["createPipelineRequest"]["datumTries"]) == "5"
    project = pfs.Project(name="default")
    client.pps.set_project_defaults(
        project=project, project_defaults_json='{"createPipelineRequest": {"datumTimeout": "9s"}}'
    )
    assert "9s" in client.pps.get_project_defaults(project=project).project_defaults_json
    put(client, {"/a": b"1"})
    pipeline = pps.Pipeline(name="copy")
    spec = {
        "pipeline": {"name": "copy"},
        "transform": {"cmd": ["true"]},
        "input": {"pfs": {"repo": "images", "glob": "/*"}},
    }
    client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec))
    assert client.pps.inspect_pipeline(pipeline=pipeline, details=True).details.datum_tries == 5
    client.pps.set_cluster_defaults(cluster_defaults_json="{}")
    client.pps.set_project_defaults(project=project, project_defaults_json="{}")


def test_a_template(client: Client) -> None:
    template = 'function(name) {pipeline: {name: name}, transform: {cmd: ["true"]}}'
    answer = client.pps.render_template(template=template, args={"name": "made"})
    assert json.loads(answer.json)["pipeline"] == {"name": "made"}
    assert [each.pipeline.name for each in answer.specs] == ["made"]


def test_a_pipeline_is_stopped_and_started(client: Client) -> None:
    put(client, {"/a": b"1"})
    pipeline = copying(client)
    done(client, pipeline)
    client.pps.stop_pipeline(pipeline=pipeline)
    assert client.pps.inspect_pipeline(pipeline=pipeline).stopped
    client.pps.start_pipeline(pipeline=pipeline)
    assert not client.pps.inspect_pipeline(pipeline=pipeline).stopped


def test_jobs_and_datums(client: Client) -> None:
    commit = put(client, {"/a": b"1", "/b": b"2"})
    pipeline = copying(client)
    job = done(client, pipeline).job
    assert [each.job.id for each in client.pps.list_job(pipeline=pipeline, input_commit=[commit])] == [job.id]
    datums = list(client.pps.list_datum(job=job))
    assert {each.state for each in datums} == {pps.DatumState.SUCCESS}
    assert len(datums) == 2
    assert client.pps.inspect_datum(datum=datums[0].datum).datum.id == datums[0].datum.id
    source = pps.Input(pfs=pps.PfsInput(glob="/*", repo="images", branch="master"))
    assert len(list(client.pps.list_datum(input=source))) == 2
    batches = client.pps.generate_datums(input_spec=source, batch_size=1)
    assert [len(batch) for batch in batches] == [1, 1]
    asked = pps.CreateDatumRequest(start=pps.StartCreateDatumRequest(input=source, number=5))
    assert len(list(client.pps.create_datum(iter([asked])))) == 2
    client.pps.delete_job(job=job)
    assert not client.pps.job_exists(job)


def test_a_job_is_stopped_and_its_datum_restarted(client: Client) -> None:
    put(client, {"/a": b"1"})
    pipeline = pps.Pipeline(name="slow")
    client.pps.create_pipeline(
        pipeline=pipeline,
        transform=pps.Transform(cmd=["sleep", "600"]),
        input=pps.Input(pfs=pps.PfsInput(glob="/*", repo="images")),
    )
    job = next(iter(client.pps.list_job(pipeline=pipeline))).job
    while client.pps.inspect_job(job=job).state != pps.JobState.JOB_RUNNING:
        pass
    client.pps.restart_datum(job=job, data_filters=["/a"])
    client.pps.stop_job(job=job, reason="enough")
    stopped = client.pps.inspect_job(job=job, wait=True)
    assert stopped.state == pps.JobState.JOB_KILLED
    assert "enough" in stopped.reason


def test_logs(client: Client) -> None:
    put(client, {"/a": b"1"})
    pipeline = pps.Pipeline(name="talk")
    client.pps.create_pipeline(
        pipeline=pipeline,
        transform=pps.Transform(cmd=["sh"], stdin=["echo hello"]),
        input=pps.Input(pfs=pps.PfsInput(glob="/*", repo="images")),
    )
    job = done(client, pipeline).job

    def lines(found: Iterable[pps.LogMessage]) -> list[str]:
        return [each.message.strip() for each in found if each.user]

    assert lines(client.pps.get_logs(job=job)) == ["hello"]
    assert lines(client.pps.get_logs(pipeline=pipeline, since=timedelta(hours=1))) == ["hello"]
    datum = next(iter(client.pps.list_datum(job=job))).datum
    assert lines(client.pps.get_logs(job=job, datum=datum, tail=1)) == ["hello"]


def test_cron(client: Client) -> None:
    pipeline = pps.Pipeline(name="tick")
    client.pps.create_pipeline(
        pipeline=pipeline,
        transform=pps.Transform(cmd=["sh"], stdin=["ls /pfs/time > /pfs/out/seen"]),
        input=pps.Input(cron=pps.CronInput(name="time", spec="@every 10h")),
    )
    ticks = pfs.Repo.from_uri("tick_time")
    before = len(list(client.pfs.list_commit(repo=ticks, all=True)))
    client.pps.run_cron(pipeline=pipeline)
    assert len(list(client.pfs.list_commit(repo=ticks, all=True))) == before + 1
    assert done(client, pipeline).state == pps.JobState.JOB_SUCCESS


def test_secrets(client: Client) -> None:
    client.pps.create_secret(name="login", data={"user": "me", "password": "deep"}, labels={"of": "tests"})
    assert [each.secret.name for each in client.pps.list_secret().secret_info] == ["login"]
    assert client.pps.inspect_secret(secret=pps.Secret(name="login")).secret.name == "login"
    put(client, {"/a": b"1"})
    pipeline = pps.Pipeline(name="use")
    client.pps.create_pipeline(
        pipeline=pipeline,
        transform=pps.Transform(
            cmd=["sh"],
            stdin=['printf %s "$PASS" > /pfs/out/by-env', "cp /login/user /pfs/out/by-file"],
            secrets=[
                pps.SecretMount(name="login", key="password", env_var="PASS"),
                pps.SecretMount(name="login", key="user", mount_path="/login"),
            ],
        ),
        input=pps.Input(pfs=pps.PfsInput(glob="/*", repo="images")),
    )
    assert done(client, pipeline).state == pps.JobState.JOB_SUCCESS
    assert read(client, "use@master:/by-env") == b"deep"
    assert read(client, "use@master:/by-file") == b"me"
    client.pps.delete_pipeline(pipeline=pipeline)
    client.pps.delete_secret(secret=pps.Secret(name="login"))
    with refused(grpc.StatusCode.NOT_FOUND):
        client.pps.inspect_secret(secret=pps.Secret(name="login"))


def test_a_service_and_a_spout(client: Client) -> None:
    put(client, {"/a": b"1"})
    client.pps.create_pipeline(
        pipeline=pps.Pipeline(name="serve"),
        transform=pps.Transform(cmd=["sleep", "600"]),
        input=pps.Input(pfs=pps.PfsInput(glob="/", repo="images")),
        service=pps.Service(internal_port=18080, external_port=31800),
    )
    # This client drops an empty spout from a request, so that a spec says it.
    spec = {"pipeline": {"name": "spring"}, "transform": {"cmd": ["sleep", "600"]}, "spout": {}}
    client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec))
    kinds = {each.pipeline.name: each.type for each in client.pps.list_pipeline()}
    kind = pps.PipelineInfoPipelineType
    assert kinds == {"serve": kind.PIPELINE_TYPE_SERVICE, "spring": kind.PIPELINE_TYPE_SPOUT}


def test_what_the_cluster_says(client: Client) -> None:
    assert any("PoolStarted" in each.message for each in client.pps.get_kube_events(since=timedelta(hours=1)))
    put(client, {"/a": b"1"})
    pipeline = pps.Pipeline(name="talks")
    client.pps.create_pipeline(
        pipeline=pipeline,
        transform=pps.Transform(cmd=["sh"], stdin=["echo good morning", "echo good night"]),
        input=pps.Input(pfs=pps.PfsInput(glob="/*", repo="images")),
    )
    assert done(client, pipeline).state == pps.JobState.JOB_SUCCESS
    for query, lines in {
        '{pipelineName="talks"} |= "good"': ["good morning", "good night"],
        '{pipelineName="talks"} |~ "^good n"': ["good night"],
        '{pipelineName="talks"} |= "good" != "night"': ["good morning"],
    }.items():
        assert [each.message for each in client.pps.query_loki(query=query, since=timedelta(hours=1))] == lines, query
    for query, code in {
        '{pipelineName="silent"} |= "good"': grpc.StatusCode.NOT_FOUND,
        "good": grpc.StatusCode.INVALID_ARGUMENT,
    }.items():
        with refused(code):
            list(client.pps.query_loki(query=query, since=timedelta(hours=1)))
    assert list(client.pps.list_task(group=Group(namespace="", group=""))) == []


def test_calls_that_the_original_has_given_up(client: Client) -> None:
    with refused(grpc.StatusCode.UNIMPLEMENTED):
        client.pps.run_pipeline(pipeline=pps.Pipeline(name="copy"))


def test_load_tests(client: Client) -> None:
    for done in (
        client.pps.run_load_test_default(),
        client.pps.run_load_test(load_spec="{commits: 1, files: 2}", seed=3),
    ):
        assert (done.error, len(done.state_id)) == ("", 32)
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        client.pps.run_load_test(load_spec="{mistyped: 1}")


def test_a_job_is_told_its_state(client: Client) -> None:
    put(client, {"/a": b"1"})
    pipeline = pps.Pipeline(name="slow")
    client.pps.create_pipeline(
        pipeline=pipeline,
        transform=pps.Transform(cmd=["sleep", "600"]),
        input=pps.Input(pfs=pps.PfsInput(glob="/*", repo="images")),
    )
    job = next(iter(client.pps.list_job(pipeline=pipeline))).job
    client.pps.update_job_state(job=job, state=pps.JobState.JOB_KILLED, reason="told so")
    ended = client.pps.inspect_job(job=job, wait=True)
    assert (ended.state, ended.reason) == (pps.JobState.JOB_KILLED, "told so")
