"""Commands on work: pipelines, jobs, datums, logs, images, and the server as a whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.empty_pb2 import Empty
from tests_cli_clock import before

from trunkline.errors import FailedPrecondition
from trunkline.wire.gen import admin_v2_pb2 as admin
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.gen import transaction_v2_pb2 as transactions
from trunkline.wire.gen import trunkline_pb2 as own
from trunkline.wire.gen import versionpb_v2_pb2 as versions
from trunkline.wire.notes import note

ID = "0123456789abcdef0123456789abcdef"
OTHER = "f" * 32


def reads(repo: str, glob: str = "/*", project: str = "") -> pps.Input:
    return pps.Input(pfs=pps.PFSInput(repo=repo, glob=glob, project=project))


CROSS = pps.Input(cross=[reads("images", "/"), reads("edges", "/", "default")])


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


PIPELINES = [
    pipeline(),
    pipeline("montage", CROSS, version=2, last_job_state=pps.JOB_FAILURE),
    pipeline("broken", reads("images"), state=pps.PIPELINE_CRASHING, last_job_state=0),
]

PIPELINE_TABLE = """\
PROJECT NAME    VERSION INPUT                                CREATED       STATE / LAST JOB  ALERTS DESCRIPTION
default edges   1       default/images:/*                    2 minutes ago running / success -      finds edges
default montage 2       (default/images:/ ⨯ default/edges:/) 2 minutes ago running / failure -      finds edges
default broken  1       default/images:/*                    2 minutes ago crashing / -      -      finds edges
"""


def test_list_pipeline(pachctl, server, context):
    server.script["pps.ListPipeline"] = PIPELINES
    done = pachctl("list", "pipeline")
    assert done.out == PIPELINE_TABLE
    assert done.err.startswith("2 of these need a look (montage, broken): `pachctl inspect pipeline NAME`")
    request = server.only("pps.ListPipeline").request
    assert (request.details, request.history, [one.name for one in request.projects]) == (True, 0, ["default"])
    only = pachctl("list", "pipeline", "edges", "--state", "crashing", "--history", "all", "-A")
    assert [line.split()[1] for line in only.out.splitlines()] == ["NAME", "broken"]
    asked = server.calls[-1].request
    assert (asked.pipeline.name, asked.history, list(asked.projects)) == ("edges", -1, [])
    assert pachctl("list", "pipeline", "--history", "-2").status == 1
    assert pachctl("list", "pipeline", "--history", "some").status == 1


def test_specs_of_pipelines(pachctl, server, context):
    server.script["pps.ListPipeline"] = [
        pipeline(user_spec_json='{"pipeline": {"name": "edges"}}'),
        pipeline("montage"),
    ]
    out = pachctl("list", "pipeline", "--spec").out
    decoder = json.JSONDecoder()
    first, end = decoder.raw_decode(out)
    second, _ = decoder.raw_decode(out[end:].lstrip())
    assert first == {"pipeline": {"name": "edges"}}
    assert second["pipeline"] == {"name": "montage", "project": {"name": "default"}}
    assert second["transform"] == {"image": "opencv", "cmd": ["python3", "/edges.py"]}
    assert "created_at" not in second


def test_inspect_pipeline(pachctl, server, context):
    server.script["pps.InspectPipeline"] = pipeline(reason="no worker", user_spec_json='{"a":1}')
    out = pachctl("inspect", "pipeline", "edges^2").out
    assert server.only("pps.InspectPipeline").request.pipeline.name == "edges^2"
    for line in ("Name: edges", "Description: finds edges", "State: running", "Reason: no worker", "Stopped: false"):
        assert line in out.splitlines()
    assert 'Input:\n{\n  "pfs": {\n    "repo": "images",\n    "glob": "/*"\n  }\n}\n' in out
    assert 'User Spec:\n{\n  "a": 1\n}\n' in out


@pytest.mark.parametrize(
    ("line", "call"),
    [
        ("start pipeline edges", "pps.StartPipeline"),
        ("stop pipeline edges", "pps.StopPipeline"),
        ("delete pipeline edges --force --keep-repo", "pps.DeletePipeline"),
        ("delete pipeline --all", "pps.DeletePipelines"),
        ("rerun pipeline edges --reprocess", "pps.RerunPipeline"),
        ("run cron edges", "pps.RunCron"),
        (f"delete job edges@{ID}", "pps.DeleteJob"),
        (f"stop job edges@{ID}", "pps.StopJob"),
        (f"restart datum edges@{ID} /a,/b", "pps.RestartDatum"),
        ("delete image opencv", "images.DeleteImage"),
    ],
)
def test_what_is_silent(pachctl, server, context, line, call):
    answers = {"pps.DeletePipelines": pps.DeletePipelinesResponse(), "images.DeleteImage": own.DeleteImageResponse()}
    server.script[call] = answers.get(call, Empty())
    done = pachctl(*line.split())
    assert (done.status, done.out, done.err) == (0, "", "")
    assert server.only(call)


DRAWING = """\
    ╭───────────╮
    │   images  │
    ╰─────┬─────╯
          │
      ┌───┴────┐
      ▼        │
┌───────────┐  │
│   edges   │  │
└─────┬─────┘  │
      │        │
      └───┐    │
          ├────┘
          ▼
    ┌───────────┐
    │  montage  │
    └───────────┘
"""


def test_draw_pipeline(pachctl, server, context, monkeypatch):
    server.script["pps.ListPipeline"] = PIPELINES[:2]
    assert pachctl("draw", "pipeline", "--edge-height", "3").out == DRAWING
    plain = pachctl("draw", "pipeline", "--ascii", "--box-width", "5").out
    assert plain.isascii()
    assert "|monta~|" not in plain
    assert "|mont~|" in plain
    server.script["pps.ListPipeline"] = []
    assert "no pipelines" in pachctl("draw", "pipeline").err


# Specs.

SPEC = {
    "pipeline": {"name": "edges"},
    "transform": {"image": "x", "cmd": ["true"]},
    "input": {"pfs": {"repo": "a", "glob": "/*"}},
}


def sent(server: Any) -> list[dict[str, Any]]:
    return [json.loads(call.request.create_pipeline_request_json) for call in server.named("pps.CreatePipelineV2")]


@pytest.mark.parametrize("verb", ["create", "update"])
def test_a_spec_is_sent(pachctl, server, context, tmp_path, verb):
    server.script["pps.CreatePipelineV2"] = pps.CreatePipelineV2Response()
    server.trailing = [note('image "x" is not registered: the code runs on the host\'s own files')]
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    done = pachctl(verb, "pipeline", "-f", tmp_path / "spec.json")
    assert (done.status, done.out) == (0, "")
    assert done.err == 'image "x" is not registered: the code runs on the host\'s own files\n'
    (spec,) = sent(server)
    assert spec["pipeline"] == {"name": "edges", "project": {"name": "default"}}
    assert server.only("pps.CreatePipelineV2").request.update is (verb == "update")


def test_several_specs_in_any_form(pachctl, server, context):
    server.script["pps.CreatePipelineV2"] = pps.CreatePipelineV2Response()
    one, two = json.dumps(SPEC), json.dumps({**SPEC, "pipeline": {"name": "b", "project": {"name": "p"}}})
    yaml = "pipeline: {name: c}\ntransform:\n  cmd: [sh]\n  stdin: ['echo 010']\ninput: {pfs: {repo: a, glob: /}}\n"
    for text in (f"[{one}, {two}]", f"{one}\n{two}", f"---\n{yaml}---\n{yaml}"):
        assert pachctl("update", "pipeline", "--reprocess", stdin=text.encode()).status == 0
    assert [spec["pipeline"]["name"] for spec in sent(server)] == ["edges", "b", "edges", "b", "c", "c"]
    assert sent(server)[1]["pipeline"]["project"] == {"name": "p"}
    assert all(call.request.reprocess for call in server.calls)


def test_project_of_a_spec(pachctl, server, context):
    server.script["pps.CreatePipelineV2"] = pps.CreatePipelineV2Response()
    assert pachctl("create", "pipeline", "--project", "p", stdin=json.dumps(SPEC).encode()).status == 0
    assert sent(server)[0]["pipeline"]["project"] == {"name": "p"}
    other = {**SPEC, "pipeline": {"name": "edges", "project": {"name": "q"}}}
    done = pachctl("create", "pipeline", "--project", "p", stdin=json.dumps(other).encode())
    assert (done.status, '"q"' in done.err) == (1, True)


def test_a_dry_run_prints_what_would_run(pachctl, server, context):
    server.script["pps.CreatePipelineV2"] = pps.CreatePipelineV2Response(
        effective_create_pipeline_request_json='{"a": 1}'
    )
    done = pachctl("create", "pipeline", "--dry-run", stdin=json.dumps(SPEC).encode())
    assert done.out == '{\n  "a": 1\n}\n'
    assert server.only("pps.CreatePipelineV2").request.dry_run


def test_a_template_is_rendered_by_the_server(pachctl, server, context, tmp_path):
    server.script["pps.RenderTemplate"] = pps.RenderTemplateResponse(json=json.dumps([SPEC]))
    server.script["pps.CreatePipelineV2"] = pps.CreatePipelineV2Response()
    (tmp_path / "t.jsonnet").write_text("function(x) {}")
    done = pachctl("create", "pipeline", "--jsonnet", tmp_path / "t.jsonnet", "--arg", "x=a=b")
    assert done.status == 0
    request = server.only("pps.RenderTemplate").request
    assert (request.template, dict(request.args)) == ("function(x) {}", {"x": "a=b"})
    assert pachctl("create", "pipeline", "--arg", "x=1").status == 1


@pytest.mark.parametrize(
    ("args", "stdin", "said"),
    [
        (["-f", "nowhere.json"], b"", "cannot read nowhere.json"),
        (["-f", "http://127.0.0.1:1/x"], b"", "cannot read http://127.0.0.1:1/x"),
        ([], b"\xff", "UTF-8"),
        ([], b"{", "standard input"),
        ([], b'{"pipelin": {"name": "x"}}', "pipelin"),
    ],
)
def test_a_spec_that_is_wrong_is_not_sent(pachctl, server, context, args, stdin, said):
    done = pachctl("create", "pipeline", *args, stdin=stdin)
    assert done.status == 1
    assert said in done.err
    assert server.calls == []


def test_every_complaint_comes_at_once_with_its_place(pachctl, server, context):
    lines = (
        "{",
        '"pipeline": {"name": "a b"},',
        ' "transfrom": {},',
        '"input": {"pfs": {"repo": "a"}},',
        '"datum_tries": -1}',
    )
    text = "\n".join(lines).encode()
    done = pachctl("validate", "pipeline", stdin=text)
    assert done.status == 1
    assert 'did you mean "transform"?' in done.err
    assert "line 3, column" in done.err
    assert "input.pfs" in done.err
    assert "datum_tries" in done.err
    assert server.calls == []


def test_what_defaults_may_add_is_left_to_the_server(pachctl, server, context):
    lacking = json.dumps({**SPEC, "transform": {"image": "x"}}).encode()
    server.script["pps.CreatePipelineV2"] = pps.CreatePipelineV2Response()
    server.script["pps.GetClusterDefaults"] = pps.GetClusterDefaultsResponse(cluster_defaults_json="{}")
    refused = pachctl("create", "pipeline", stdin=lacking)
    assert (refused.status, "transform.cmd" in refused.err) == (1, True)
    defaults = '{"create_pipeline_request": {"transform": {"cmd": ["true"]}}}'
    server.script["pps.GetClusterDefaults"] = pps.GetClusterDefaultsResponse(cluster_defaults_json=defaults)
    assert pachctl("create", "pipeline", stdin=lacking).status == 0
    assert len(sent(server)) == 1


def test_validate_needs_no_server(pachctl, config):
    assert pachctl("validate", "pipeline", stdin=json.dumps(SPEC).encode()).status == 0


def test_edit_pipeline(pachctl, server, context, tmp_path):
    server.script["pps.InspectPipeline"] = pipeline(user_spec_json=json.dumps(SPEC))
    server.script["pps.CreatePipelineV2"] = pps.CreatePipelineV2Response()
    assert "Pipeline unchanged" in pachctl("edit", "pipeline", "edges", "--editor", "true").out
    changed = pachctl("edit", "pipeline", "edges", "--editor", "sed -i s,true,false,")
    assert changed.status == 0
    assert sent(server)[0]["transform"]["cmd"] == ["false"]
    assert server.calls[-1].request.update
    renamed = pachctl("edit", "pipeline", "edges", "--editor", "sed -i s,edges,other,", "-o", "yaml")
    assert (renamed.status, "cannot be changed" in renamed.err) == (1, True)


# Jobs and datums.


def job(id: str = ID, **more: Any) -> pps.JobInfo:
    fields: dict[str, Any] = {
        "job": pps.Job(pipeline=pps.Pipeline(name="edges", project=pfs.Project(name="default")), id=id),
        "created": before(minutes=10), "started": before(minutes=9), "finished": before(minutes=4),
        "state": pps.JOB_SUCCESS, "data_processed": 3, "data_skipped": 5, "data_total": 8,
        "stats": pps.ProcessStats(download_bytes=2048, upload_bytes=10, process_time=Duration(seconds=75)),
        **more,
    }  # fmt: skip
    return pps.JobInfo(**fields)


JOBS = [
    job(),
    job(OTHER, state=pps.JOB_FAILURE, reason="3 of 8 datums failed: see the logs", data_recovered=2, restart=1),
    job(OTHER, state=pps.JOB_SUCCESS, data_processed=0, data_total=5),
    job(OTHER, state=pps.JOB_SUCCESS, data_processed=0, data_skipped=0, data_total=0),
    job(OTHER, state=pps.JOB_RUNNING, finished=None),
    job(OTHER, state=pps.JOB_CREATED, finished=None, started=None),
]

FACTS = "9 minutes ago 5 minutes 0"
AGAIN = FACTS.replace("0", "1")
JOB_ROWS = [
    f"default edges    {ID} {FACTS}       3 + 5 / 8     2KiB 10B success",
    f"default edges    {OTHER} {AGAIN}       3 + 5 + 2 / 8 2KiB 10B failure: 3 of 8 datums failed: ...",
    f"default edges    {OTHER} {FACTS}       0 + 5 / 5     2KiB 10B success (all datums skipped: nothing to process)",
    f"default edges    {OTHER} {FACTS}       0 + 0 / 0     2KiB 10B success (no datums: nothing to process)",
    f"default edges    {OTHER} 9 minutes ago 9 minutes 0       3 + 5 / 8     2KiB 10B running",
    f"default edges    {OTHER} -             -         0       3 + 5 / 8     2KiB 10B created",
]  # fmt: skip


def test_list_job(pachctl, server, context):
    server.script["pps.ListJob"] = JOBS
    out = pachctl("list", "job", "-p", "edges", "-i", "images@master").out.splitlines()
    header = (
        "PROJECT PIPELINE ID                               STARTED       DURATION  RESTART PROGRESS      DL   UL  STATE"
    )
    assert out == [header, *JOB_ROWS]
    request = server.only("pps.ListJob").request
    assert (request.pipeline.name, request.input_commit[0].branch.name) == ("edges", "master")
    assert len(pachctl("list", "job", "-x", "--state", "failure", "--state", "created").out.splitlines()) == 3
    server.script["pps.InspectJobSet"] = JOBS[:1]
    assert pachctl("list", "job", ID).out.splitlines()[1].split()[2] == ID
    assert pachctl("list", "job", "edges").status == 1


def test_list_job_sets(pachctl, server, context):
    server.script["pps.ListJobSet"] = [
        pps.JobSetInfo(job_set=pps.JobSet(id=ID), jobs=JOBS[:2]),
        pps.JobSetInfo(job_set=pps.JobSet(id=OTHER), jobs=JOBS[4:]),
    ]
    assert pachctl("list", "job").out == (
        "ID                               SUBJOBS PROGRESS CREATED        MODIFIED\n"
        f"{ID} 2       ▇▇▇▇XXXX 10 minutes ago 4 minutes ago\n"
        f"{OTHER} 2       -------- 10 minutes ago 9 minutes ago\n"
    )
    assert len(pachctl("list", "job", "--state", "failure").out.splitlines()) == 2


def test_inspect_job(pachctl, server, context):
    details = pps.JobInfo.Details(
        input=reads("images"), transform=pps.Transform(cmd=["true"]), datum_timeout=Duration(seconds=90),
        worker_status=[
            pps.WorkerStatus(
                worker_id="w1", job_id=ID,
                datum_status=pps.DatumStatus(started=before(seconds=5), data=[pps.InputFile(path="/a")]),
            ),
            pps.WorkerStatus(worker_id="w2"),
        ],
    )  # fmt: skip
    server.script["pps.InspectJob"] = job(details=details, output_commit=pfs.Commit(id=ID), reason="why " * 20)
    out = pachctl("inspect", "job", f"edges@{ID}").out
    wanted = (
        f"ID: {ID}", "Duration: 5 minutes", "State: success", "Processed: 3", "Skipped: 5", "Total: 8",
        "Data Downloaded: 2KiB", "Process Time: 1m15s", "Datum Timeout: 1m30s", f"Output Commit: {ID}",
    )  # fmt: skip
    for line in wanted:
        assert line in out.splitlines()
    assert "Reason: " + ("why " * 20).strip() in out
    assert f"WORKER JOB                              DATUM STARTED\nw1     {ID} /a    5 seconds ago\n" in out
    bare = pachctl("inspect", "job", ID)
    assert (bare.status, f"`pachctl list job {ID}`" in bare.err) == (1, True)


def test_wait_and_stop_jobs(pachctl, server, context):
    server.script["pps.InspectJob"] = job()
    assert pachctl("wait", "job", f"edges@{ID}").out.splitlines()[1] == JOB_ROWS[0].replace(
        "3 + 5 / 8     ", "3 + 5 / 8 "
    )
    assert server.calls[-1].request.wait
    server.script["pps.InspectJobSet"] = [JOBS[0], JOBS[4]]
    assert len(pachctl("wait", "job", ID).out.splitlines()) == 3
    assert server.calls[-1].request.wait
    server.script["pps.StopJob"] = Empty()
    assert pachctl("stop", "job", ID).status == 0
    assert server.only("pps.StopJob").request.job == JOBS[4].job
    server.script["pps.InspectJobSet"] = [JOBS[0]]
    assert "no job of this set" in pachctl("stop", "job", ID).err


def datum(state: pps.DatumState.ValueType, **more: Any) -> pps.DatumInfo:
    file = pfs.File(commit=pfs.Commit(repo=pfs.Repo(name="images"), id=ID), path="/a.png")
    fields: dict[str, Any] = {
        "datum": pps.Datum(job=job().job, id="d1"),
        "state": state,
        "data": [pfs.FileInfo(file=file)],
        **more,
    }
    return pps.DatumInfo(**fields)


STATS = pps.ProcessStats(
    download_time=Duration(nanos=5_000_000), process_time=Duration(seconds=1), download_bytes=100, upload_bytes=7
)


def test_datums(pachctl, server, context):
    server.script["pps.ListDatum"] = [datum(pps.SUCCESS, stats=STATS), datum(pps.SKIPPED)]
    assert pachctl("list", "datum", f"edges@{ID}").out == (
        "ID FILES                 STATUS  TIME\n"
        "d1 images@0123456:/a.png success 1s\n"
        "d1 images@0123456:/a.png skipped -\n"
    )
    assert pachctl("list", "datum").status == 1
    assert pachctl("list", "datum", "-f", "-", stdin=json.dumps(SPEC).encode()).status == 0
    assert server.calls[-1].request.input.pfs.repo == "a"
    state = pfs.File(commit=pfs.Commit(repo=pfs.Repo(name="edges"), id=ID), path="/pfs/d1")
    server.script["pps.InspectDatum"] = datum(pps.SUCCESS, stats=STATS, image_id="sha", pfs_state=state)
    assert pachctl("inspect", "datum", f"edges@{ID}", "d1").out == (
        f"ID: d1\nJob ID: {ID}\nImage ID: sha\nState: success\nData Downloaded: 100B\nData Uploaded: 7B\n"
        f"Total Time: 1s\nDownload Time: 5ms\nProcess Time: 1s\nUpload Time: 0ms\n"
        f"PFS State: edges.meta@{ID}:/pfs/d1\n"
        f"Inputs:\nREPO   COMMIT                           PATH\nimages {ID} /a.png\n"
    )


# Logs.

LINES = [
    pps.LogMessage(message="hello\n", user=True, worker_id="w1"),
    pps.LogMessage(message="starting datum", worker_id="w1"),
    pps.LogMessage(message="there", user=True, worker_id="w2"),
]


def test_logs_are_what_the_code_said(pachctl, server, context):
    server.script["pps.GetLogs"] = LINES
    assert pachctl("logs", "-p", "edges").out == "hello\nthere\n"
    request = server.calls[-1].request
    assert (request.pipeline.name, request.since.seconds, request.follow, request.tail) == ("edges", 86400, False, 0)
    assert pachctl("logs", "-p", "edges", "--worker", "w2").out == "there\n"
    assert pachctl("logs", "-p", "edges", "--master").out == "hello\nstarting datum\nthere\n"
    raw = [json.loads(line) for line in pachctl("logs", "-p", "edges", "--raw").out.splitlines()]
    assert raw[1] == {"message": "starting datum", "worker_id": "w1"}


def test_logs_of_a_job_and_a_datum(pachctl, server, context):
    server.script["pps.GetLogs"] = []
    line = f"logs -j edges@{ID} --datum d1 --inputs /a,/b -f -t 5"
    assert pachctl(*line.split()).status == 0
    request = server.calls[-1].request
    assert (request.job.id, request.datum.id, list(request.data_filters)) == (ID, "d1", ["/a", "/b"])
    assert (request.follow, request.tail, request.HasField("since")) == (True, 5, False)
    pachctl("logs", "-j", f"edges@{ID}", "--since", "1h30m0.5s")
    assert server.calls[-1].request.since == Duration(seconds=5400, nanos=500_000_000)


@pytest.mark.parametrize(
    "line",
    [
        "logs",
        f"logs -p a -j a@{ID}",
        "logs -p a --datum d",
        "logs -p a --since yesterday",
        "logs -j a",
        "logs -p a -t 0",
    ],
)
def test_logs_of_nothing_in_particular(pachctl, server, context, line):
    done = pachctl(*line.split())
    assert done.status == 1
    assert server.calls == []


# Images.


def test_images(pachctl, server, context, tmp_path):
    (tmp_path / "r.txt").write_text("numpy\n")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "edges.py").write_text("print()")
    server.script["images.CreateImage"] = own.ImageInfo(digest="d" * 64)
    line = f"create image opencv {tmp_path}/files -e A=b=c -w /x -u me --python 3.11 --requirements {tmp_path}/r.txt"
    assert pachctl(*line.split()).out == "d" * 64 + "\n"
    spec = server.only("images.CreateImage").request.image
    assert spec == own.ImageSpec(
        name="opencv", env={"A": "b=c"}, working_dir="/x", user="me", python="3.11", requirements="numpy\n"
    )
    info = own.ImageInfo(spec=spec, digest="d" * 64, created=before(hours=3), files=1, size_bytes=7)
    server.script["images.ListImage"] = [info]
    assert pachctl("list", "image").out == (
        "NAME   DIGEST       FILES SIZE CREATED\nopencv dddddddddddd 1     7B   3 hours ago\n"
    )
    server.script["images.InspectImage"] = info
    shown = pachctl("inspect", "image", "opencv").out
    assert shown.splitlines()[:2] == ["Name: opencv", f"Digest: {'d' * 64}"]
    assert "Requirements:\nnumpy\n" in shown
    assert pachctl("create", "image", "x", "-e", "oops").status == 1
    assert pachctl("create", "image", "x", tmp_path / "nowhere").status == 1


# The server as a whole.


def test_version(pachctl, server, context):
    from trunkline import __version__

    server.script["versions.GetVersion"] = versions.Version(major=2, minor=12, micro=1, additional="-x")
    assert pachctl("version").out == (
        f"COMPONENT           VERSION\npachctl             {__version__}\npachd               2.12.1-x\n"
    )
    assert json.loads(pachctl("version", "--client-only", "--raw").out) == {
        "component": "pachctl",
        "version": __version__,
    }
    assert pachctl("version", "--compare").status == 1


def test_cluster(pachctl, server, context):
    server.script["admin.InspectCluster"] = admin.ClusterInfo(id="the-id", warnings=["old client"])
    done = pachctl("inspect", "cluster")
    assert (done.out, done.err) == ("the-id\n", "warning: old client\n")


def test_fsck(pachctl, server, context):
    server.script["pfs.Fsck"] = []
    assert pachctl("fsck").out == "No errors found.\n"
    server.script["pfs.Fsck"] = [pfs.FsckResponse(error="bad"), pfs.FsckResponse(fix="mended")]
    done = pachctl("fsck", "-f", "--zombie", "images@master")
    assert (done.status, done.out) == (1, "Error: bad\nFix applied: mended\n")
    request = server.calls[-1].request
    assert (request.fix, request.zombie_target.branch.name) == (True, "master")


@pytest.mark.parametrize(("args", "stdin", "gone"), [([], b"y\n", True), ([], b"n\n", False), (["--yes"], b"", True)])
def test_delete_all(pachctl, server, context, args, stdin, gone):
    server.script["pps.ListPipeline"] = PIPELINES
    server.script["pfs.ListRepo"] = [pfs.RepoInfo(repo=pfs.Repo(name="images", project=pfs.Project(name="p")))]
    for name in ("pps.DeleteAll", "pfs.DeleteAll"):
        server.script[name] = Empty()
    done = pachctl("delete", "all", *args, stdin=stdin)
    assert [len(server.named(name)) for name in ("pps.DeleteAll", "pfs.DeleteAll")] == [int(gone), int(gone)]
    assert ("  p/images\n" in done.out) is not bool(args)


# Transactions.


def test_a_transaction_from_start_to_finish(pachctl, server, context, config):
    server.script["transactions.StartTransaction"] = transactions.Transaction(id=ID)
    assert pachctl("start", "transaction").out == f'started new transaction: "{ID}"\n'
    again = pachctl("start", "transaction")
    assert (again.status, "pachctl finish transaction" in again.err) == (1, True)
    server.script["pfs.CreateRepo"] = Empty()
    assert pachctl("create", "repo", "a").out == f"Added to transaction: {ID}\n"
    assert server.calls[-1].metadata["pach-transaction"] == ID
    info = transactions.TransactionInfo(
        transaction=transactions.Transaction(id=ID), started=before(minutes=1),
        requests=[transactions.TransactionRequest(create_repo=pfs.CreateRepoRequest())],
    )  # fmt: skip
    server.script["transactions.InspectTransaction"] = info
    assert (
        pachctl("inspect", "transaction").out == f"ID: {ID}\nStarted: About a minute ago\nRequests:\n\n  create_repo\n"
    )
    server.script["transactions.ListTransaction"] = transactions.TransactionInfos(transaction_info=[info])
    assert pachctl("list", "transaction").out.splitlines()[1] == f"{ID} About a minute ago 1"
    assert pachctl("stop", "transaction").out == f"Cleared active transaction: {ID}\n"
    assert pachctl("resume", "transaction", ID).out == f"Resuming existing transaction with 1 requests: {ID}\n"
    server.script["transactions.FinishTransaction"] = info
    assert pachctl("finish", "transaction").out == f"Completed transaction with 1 requests: {ID}\n"
    assert "active_transaction" not in config.read_text()
    assert "no transaction is open" in pachctl("finish", "transaction").err


def test_files_are_no_part_of_a_transaction(pachctl, server, context, config):
    document = json.loads(config.read_text())
    document["v2"]["contexts"]["test"]["active_transaction"] = ID
    config.write_text(json.dumps(document))
    server.script["pfs.ModifyFile"] = Empty()
    assert pachctl("put", "file", "a@master:/x", stdin=b"1").status == 0
    assert "pach-transaction" not in server.only("pfs.ModifyFile").metadata


def test_a_transaction_that_fails_stays_open(pachctl, server, context, config):
    server.script["transactions.StartTransaction"] = transactions.Transaction(id=ID)
    pachctl("start", "transaction")
    server.script["transactions.FinishTransaction"] = FailedPrecondition("the repo is there by now")
    assert pachctl("finish", "transaction").status == 1
    assert ID in config.read_text()
