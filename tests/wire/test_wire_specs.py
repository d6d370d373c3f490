"""Specs between the older call's message and the canonical form; pipelines, jobs and datums on the wire."""

from __future__ import annotations

import json

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import ParseDict

from trunkline.errors import InvalidArgument
from trunkline.model.infos_pps import (
    DatumFile,
    DatumInfo,
    InputCommit,
    JobInfo,
    LogLine,
    PipelineInfo,
    ProcessStats,
    WorkerStatus,
)
from trunkline.model.jobs import DatumState, JobState, PipelineState
from trunkline.model.names import Commit, Job, Pipeline, Repo
from trunkline.model.specs import PipelineSpec
from trunkline.model.specs.writing import read_spec
from trunkline.wire import infos_pps, specs
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.times import micros, span_us

ID = "0123456789abcdef0123456789abcdef"
EDGES = Pipeline("default", "edges")
FORM = {
    "pipeline": {"name": "edges", "project": {"name": "default"}},
    "transform": {"image": "edges:1", "cmd": ["python3", "/edges.py"], "env": {"A": "1"}, "accept_return_code": [3]},
    "input": {
        "cross": [
            {"pfs": {"project": "default", "repo": "images", "branch": "master", "glob": "/*", "name": "images"}},
            {"pfs": {"project": "default", "repo": "models", "branch": "master", "glob": "/", "name": "models"}},
        ]
    },
    "parallelism_spec": {"constant": 2},
    "datum_timeout": "1.5s",
    "datum_tries": 3,
    "metadata": {"annotations": {"team": "a"}},
}
SPEC = json.dumps(FORM)


def test_a_form_goes_through_the_message_unchanged() -> None:
    request = ParseDict(FORM, pps.CreatePipelineRequest())
    assert request.datum_timeout == Duration(seconds=1, nanos=500_000_000)
    assert read_spec(specs.form_of(request)).spec == PipelineSpec.from_dict(FORM)


def test_a_job_of_another_operator_is_refused_in_the_older_call_too() -> None:
    request = ParseDict(FORM, pps.CreatePipelineRequest())
    request.tf_job.tf_job = "{}"
    with pytest.raises(InvalidArgument, match="TensorFlow's operator are not supported"):
        read_spec(specs.form_of(request))


def test_what_is_about_the_call_is_not_in_the_form() -> None:
    request = pps.CreatePipelineRequest(update=True, reprocess=True, dry_run=True, details_json="{}")
    request.pipeline.name = "edges"
    assert specs.form_of(request) == {"pipeline": {"name": "edges"}}


def test_a_span_that_cannot_be_is_refused_by_its_field() -> None:
    request = pps.CreatePipelineRequest(datum_timeout=Duration(seconds=1 << 62))
    with pytest.raises(InvalidArgument, match="datum_timeout"):
        specs.form_of(request)


def test_an_empty_spout_is_still_there() -> None:
    assert specs.form_of(pps.CreatePipelineRequest(spout=pps.Spout()))["spout"] == {}


def test_our_own_fields_travel_as_annotations() -> None:
    request = ParseDict(FORM, pps.CreatePipelineRequest())
    request.metadata.annotations["trunkline/writable_inputs"] = "true"
    spec = read_spec(specs.form_of(request)).spec
    assert spec.own.writable_inputs
    assert spec.annotations == {"team": "a"}


def test_a_form_becomes_a_request_and_comes_back() -> None:
    request = specs.request_of(FORM | {"trunkline": {"writable_inputs": True}})
    assert request.metadata.annotations["trunkline/writableInputs"] == "true"
    assert (
        read_spec(specs.form_of(request)).effective
        == read_spec(FORM | {"trunkline": {"writable_inputs": True}}).effective
    )


def pipeline_info() -> PipelineInfo:
    return PipelineInfo(
        pipeline=EDGES,
        version=2,
        spec_commit=Commit(EDGES.spec, ID),
        stopped=False,
        state=PipelineState.CRASHING,
        reason="no image",
        last_job_state=None,
        parallelism=2,
        kind="TRANSFORM",
        user_spec="{}",
        effective_spec=SPEC,
        salt="s",
        output_branch="master",
        created_us=1,
        updated_us=2,
        created_by="",
        recent_error="",
        workers_requested=2,
        workers_available=1,
        unclaimed_datums=5,
        runner="host",
        runner_note="on the host",
        image_digest="",
        seq=1,
    )


def test_a_pipeline_shows_its_spec_and_how_it_does() -> None:
    told = infos_pps.pipeline_info(pipeline_info())
    assert told.state == pps.PIPELINE_CRASHING
    assert told.type == pps.PipelineInfo.PIPELINE_TYPE_TRANSFORM
    assert told.details.transform.image == "edges:1"
    assert [one.pfs.repo for one in told.details.input.cross] == ["images", "models"]
    assert (told.details.salt, told.details.unclaimed_tasks, told.last_job_state) == ("s", 5, 0)
    assert micros(told.details.updated_at) == 2
    assert not infos_pps.pipeline_info(pipeline_info(), details=False).HasField("details")


def job_info(**given: object) -> JobInfo:
    told: dict[str, object] = {
        "job": Job(EDGES, ID),
        "version": 2,
        "output_commit": Commit(EDGES.output, ID),
        "restart": 0,
        "data_processed": 1,
        "data_skipped": 2,
        "data_failed": 3,
        "data_recovered": 4,
        "data_total": 10,
        "stats": ProcessStats(download_us=1_500_000, upload_bytes=9),
        "state": JobState.RUNNING,
        "reason": "",
        "created_us": 7,
        "started_us": None,
        "finished_us": None,
        "seq": 1,
        "effective_spec": SPEC,
        "inputs": (InputCommit("images", Commit(Repo("default", "images"), ID)),),
        "workers": (WorkerStatus("w1", Job(EDGES, ID), "d", 8, ("/a",)),),
    }
    return JobInfo(**(told | given))  # type: ignore[arg-type]


def test_a_job_shows_what_it_reads_and_who_works_on_it() -> None:
    told = infos_pps.job_info(job_info())
    assert (told.data_processed, told.data_skipped, told.data_failed, told.data_recovered) == (1, 2, 3, 4)
    assert span_us(told.stats.download_time) == 1_500_000
    assert [one.pfs.commit for one in told.details.input.cross] == [ID, ""]
    assert told.details.worker_status[0].datum_status.data[0].path == "/a"
    assert not told.HasField("started")
    # The spec is read once for many jobs: what one job adds must not show in the next.
    assert infos_pps.job_info(job_info(inputs=())).details.input.cross[0].pfs.commit == ""


def test_a_datum_shows_its_files() -> None:
    file = DatumFile("images", Commit(Repo("default", "images"), ID), "/a/", 3, b"h")
    told = infos_pps.datum_info(DatumInfo(Job(EDGES, ID), "d1", 0, DatumState.SKIPPED, files=(file,)))
    assert (told.state, told.data[0].file_type, told.datum.id) == (pps.SKIPPED, pfs.DIR, "d1")
    assert told.pfs_state.commit.repo.type == "meta"


def test_a_log_line_says_where_it_comes_from() -> None:
    told = infos_pps.log_message(LogLine(EDGES, 5, "hello", job=ID, worker="w", datum="d", user=True))
    assert (told.message, told.user, told.master, told.pipeline_name) == ("hello", True, False, "edges")


@pytest.mark.parametrize("state", JobState)
def test_every_job_state_has_a_number(state: JobState) -> None:
    assert pps.JobState.Name(infos_pps.job_state(state)) == f"JOB_{state.value}"


def test_datum_states_come_from_the_wire() -> None:
    assert infos_pps.datum_states([pps.FAILED, pps.SUCCESS]) == [DatumState.FAILED, DatumState.SUCCESS]
