"""Commands on pipelines and their specs."""

from __future__ import annotations

import json
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from cli_things import ID, SPEC, pipeline, reads
from google.protobuf.empty_pb2 import Empty

from trunkline.errors import NotFound
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.gen import transaction_v2_pb2 as transactions
from trunkline.wire.gen import trunkline_pb2 as own
from trunkline.wire.notes import note

CROSS = pps.Input(cross=[reads("images", "/"), reads("edges", "/", "default")])


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
    server.script["pps.ListPipeline"] = [PIPELINES[1], PIPELINES[1]]  # two versions of one
    assert pachctl("list", "pipeline", "--history", "all").err.startswith("1 of these need a look (montage): ")
    assert pachctl("list", "pipeline", "--history", "some").status == 1


def test_check_status(pachctl, server, context):
    server.script["pps.CheckStatus"] = [
        pps.CheckStatusResponse(
            project=pfs.Project(name="default"),
            pipeline=pps.Pipeline(name="edges"),
            alerts=["crashing: no worker", "up for 2h, and 1h is the most that its spec expects"],
        )
    ]
    assert pachctl("check", "status").out == (
        "PROJECT PIPELINE ALERT\n"
        "default edges    crashing: no worker\n"
        "default edges    up for 2h, and 1h is the most that its spec expects\n"
    )
    assert server.calls[-1].request.project.name == "default"
    assert json.loads(pachctl("check", "status", "-A", "--raw").out)["pipeline"] == {"name": "edges"}
    assert server.calls[-1].request.all
    server.script["pps.CheckStatus"] = []
    assert pachctl("check", "status").err == "No pipeline crashes, has failed for good or is up for too long.\n"


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
    server.script["transactions.BatchTransaction"] = transactions.TransactionInfo()
    one, two = json.dumps(SPEC), json.dumps({**SPEC, "pipeline": {"name": "b", "project": {"name": "p"}}})
    yaml = "pipeline: {name: c}\ntransform:\n  cmd: [sh]\n  stdin: ['echo 010']\ninput: {pfs: {repo: a, glob: /}}\n"
    for text in (f"[{one}, {two}]", f"{one}\n{two}", f"---\n{yaml}---\n{yaml}"):
        assert pachctl("update", "pipeline", "--reprocess", stdin=text.encode()).status == 0
    # One call for all of them, however many there are.
    batches = [call.request.requests for call in server.named("transactions.BatchTransaction")]
    assert [len(batch) for batch in batches] == [2, 2, 2]
    kept = [one.create_pipeline_v2 for batch in batches for one in batch]
    specs = [json.loads(one.user_json) for one in kept]
    assert [spec["pipeline"]["name"] for spec in specs] == ["edges", "b", "edges", "b", "c", "c"]
    assert specs[1]["pipeline"]["project"] == {"name": "p"}
    assert all(one.create_pipeline_request.reprocess and one.create_pipeline_request.update for one in kept)
    assert not server.named("pps.CreatePipelineV2")


def test_of_several_specs_the_one_that_is_refused_is_named(pachctl, server, context):
    why = "request 2 of the batch (create_pipeline_v2): repo default/nope not found; nothing of the batch was done"
    server.script["transactions.BatchTransaction"] = NotFound(why)
    two = {**SPEC, "pipeline": {"name": "b"}}
    done = pachctl("create", "pipeline", stdin=json.dumps([SPEC, two]).encode())
    assert done.status == 1
    assert "spec 2 of 2: repo default/nope not found; none of them went in" in done.err
    assert "batch" not in done.err
    server.script["transactions.BatchTransaction"] = NotFound("another server says it in other words")
    done = pachctl("create", "pipeline", stdin=json.dumps([SPEC, two]).encode())
    assert "another server says it in other words; none of them went in" in done.err


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


def test_defaults_are_set_and_shown(pachctl, server, context):
    edges = pps.Pipeline(name="edges", project=pfs.Project(name="p"))
    server.script["pps.SetClusterDefaults"] = pps.SetClusterDefaultsResponse(affected_pipelines=[edges])
    server.script["pps.SetProjectDefaults"] = pps.SetProjectDefaultsResponse()
    server.script["pps.GetClusterDefaults"] = pps.GetClusterDefaultsResponse(cluster_defaults_json='{"a":1}')
    server.script["pps.GetProjectDefaults"] = pps.GetProjectDefaultsResponse(project_defaults_json='{"b":2}')
    done = pachctl("create", "defaults", "--cluster", "--regenerate", stdin=b"{}")
    assert (done.status, done.out) == (0, "affected pipelines:\np/edges\n")
    asked = server.only("pps.SetClusterDefaults").request
    assert (asked.cluster_defaults_json, asked.regenerate, asked.reprocess, asked.dry_run) == ("{}", True, False, False)
    done = pachctl("delete", "defaults", "--project", "p", "--dry-run", "--reprocess")
    assert done.out == "no affected pipelines\n"
    asked = server.calls[-1].request
    assert (asked.project.name, asked.project_defaults_json, asked.reprocess, asked.dry_run) == ("p", "{}", True, True)
    assert pachctl("inspect", "defaults", "--cluster").out == '{\n  "a": 1\n}\n'
    assert pachctl("inspect", "defaults").out == '{\n  "b": 2\n}\n'
    assert pachctl("inspect", "defaults", "--cluster", "--project", "p").status == 1


def test_a_spec_comes_from_a_url(pachctl, server, context, tmp_path):
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    server.script["pps.CreatePipelineV2"] = pps.CreatePipelineV2Response()
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        Thread(target=web.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{web.server_address[1]}"
        assert pachctl("create", "pipeline", "-f", f"{place}/spec.json").status == 0
        missing = pachctl("create", "pipeline", "-f", f"{place}/nowhere.json")
        web.shutdown()
    assert sent(server)[0]["pipeline"]["name"] == "edges"
    assert (missing.status, "cannot read http" in missing.err) == (1, True)


def test_an_edited_spec_lies_on_the_defaults_of_its_project(pachctl, server, context):
    lacking = {**SPEC, "transform": {"image": "true"}}
    server.script["pps.InspectPipeline"] = pipeline(user_spec_json=json.dumps(lacking))
    server.script["pps.CreatePipelineV2"] = pps.CreatePipelineV2Response()
    server.script["pps.GetClusterDefaults"] = pps.GetClusterDefaultsResponse(cluster_defaults_json="{}")
    defaults = '{"createPipelineRequest": {"transform": {"cmd": ["true"]}}}'
    server.script["pps.GetProjectDefaults"] = pps.GetProjectDefaultsResponse(project_defaults_json=defaults)
    done = pachctl("edit", "pipeline", "edges", "--project", "p", "--editor", "sed -i s,true,false,")
    assert (done.status, sent(server)[0]["transform"]) == (0, {"image": "false"})
    assert server.only("pps.GetProjectDefaults").request.project.name == "p"
