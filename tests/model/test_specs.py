"""Specs as people write them: the shapes of the examples, every way of spelling, one canonical form, typed values."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from trunkline.errors import InvalidArgument
from trunkline.model.infos import Trigger
from trunkline.model.names import Pipeline
from trunkline.model.specs import (
    Combination,
    CronInput,
    PfsInput,
    PipelineSpec,
    merged,
    read_spec,
    read_specs,
    warnings,
)
from trunkline.model.specs.canonical import camel
from trunkline.model.specs.schema import NAMED, REQUEST, Flag, Instant, Many, Message, Ref, Span, Texts, Whole
from trunkline.model.specs.spec import DatumSetSpec, Egress, Gpu, Resources, Service, Spout, SqlEgress, Toleration
from trunkline.wire.gen import pps_v2_pb2 as pps

SHAPES = {
    "opencv edges": '{"pipeline": {"name": "edges"}, "input": {"pfs": {"glob": "/*", "repo": "images"}}, "transform": '
    '{"cmd": ["python3", "/edges.py"], "image": "opencv"}}',
    "opencv montage": '{"pipeline": {"name": "montage"}, "input": {"cross": [{"pfs": {"glob": "/", "repo": "images"}}, '
    '{"pfs": {"glob": "/", "repo": "edges"}}]}, "transform": {"cmd": ["sh"], "image": "v4tech/imagemagick", "stdin": '
    '["montage $(find -L /pfs/images /pfs/edges -type f | sort) /pfs/out/montage.png"]}}',
    "shuffle": """
pipeline: {name: shuffle}
input:
  union:
    - pfs: {repo: fruits, glob: "/*.jpeg", empty_files: true}
    - pfs: {repo: pricing, glob: "/*.json", emptyFiles: true}
transform: {image: "ubuntu:20.04", cmd: [bash], stdin: [ls]}
""",
    "inner join": """
pipeline: {name: inner_join}
input:
  join:
    - pfs: {repo: stores, glob: "/STOREID(*).txt", join_on: $1}
    - pfs: {repo: purchases, glob: "/*_STOREID(*).txt", joinOn: "$1", outerJoin: true}
transform: {cmd: [python3, /code/main.py]}
""",
    "group": """
pipeline: {name: group_by_hospital}
input:
  group:
    - pfs: {repo: labresults, glob: "/*-CLIA(*).txt", groupBy: $1}
    - pfs: {repo: labresults, name: other, glob: "/*-PATID(*)-*.txt", group_by: $1}
transform: {cmd: [bash], stdin: ["true"]}
""",
    "task parallelism": """
pipeline: {name: classify}
input:
  cross:
    - join:
        - pfs: {repo: crop, glob: "/(*)", join_on: $1}
        - pfs: {repo: centers, glob: "/(*)", join_on: $1}
    - pfs: {repo: models, glob: /}
transform: {cmd: [python3, c.py]}
parallelism_spec: {constant: 4}
""",
    "err_cmd": """
pipeline: {name: error_test}
input: {pfs: {repo: input, glob: "/*"}}
transform: {cmd: [bash], stdin: ["exit 1"], err_cmd: [bash], err_stdin: ["exit 0"], acceptReturnCode: [4, "8"]}
datum_tries: "2"
datum_timeout: 1m30s
""",
    "cron": """
pipeline: {name: scraper}
input:
  cross:
    - cron: {name: tick, spec: "@every 60s", overwrite: true, start: 2024-05-01T02:00:00+02:00}
    - pfs: {repo: urls, glob: "urls/*"}
transform: {cmd: [sh], stdin: [wget]}
""",
    "spout": """
pipeline: {name: spout}
spout: {}
transform: {cmd: [python3, consumer.py], secrets: [{name: rabbit, env_var: PASSWORD, key: password}]}
""",
    "spout with a port": """
pipeline: {name: hook}
spout: {service: {internal_port: 8080, external_port: 31000}}
transform: {image: hook}
""",
    "service": """
pipeline: {name: web}
input: {pfs: {repo: site, glob: /}}
service: {internalPort: 80, type: LoadBalancer, ip: 10.0.0.1}
transform: {cmd: [nginx]}
parallelismSpec: {constant: 1}
""",
    "deferred processing": """
pipeline: {name: edges_dp}
input: {pfs: {repo: images_dp_1, glob: "/*", trigger: {size: 3KB, commits: 10, all: true}}}
output_branch: dev
transform: {cmd: [a]}
""",
    "egress": """
pipeline: {name: customers}
input: {pfs: {repo: in, glob: "/*"}}
transform: {cmd: [a]}
egress:
  sqlDatabase:
    url: snowflake://user@account/db/schema?warehouse=w
    fileFormat: {type: CSV, columns: [id, name]}
    secret: {name: snowflake, key: PASSWORD}
""",
    "s3": """
pipeline: {name: mnist}
input: {pfs: {repo: input-repo, glob: /, s3: true}}
s3_out: true
transform: {cmd: [a]}
egress: {URL: s3://bucket/dir}
""",
    "everything else": """
pipeline: {name: all, project: {name: lab}}
description: all the rest
metadata: {annotations: {note: x}, labels: {team: vision, example.org/tier: gold}}
transform:
  image: i
  cmd: [a]
  env: {A: "1"}
  secrets: [{name: s, mount_path: /s}]
  image_pull_secrets: [p]
  user: "1000:1000"
  working_dir: /w
  dockerfile: ./Dockerfile
  debug: true
  memory_volume: true
  datum_batching: true
input: {pfs: {repo: in, project: other, branch: staging, repo_type: meta, glob: "/{a,b}/*", lazy: true,
  propagation_spec: {never: true}, reference: true}}
parallelismSpec: {constant: 8}
resource_requests: {cpu: 0.5, memory: 256Mi, disk: 1Gi}
resourceLimits: {cpu: 2, memory: 1.5G, gpu: {type: nvidia.com/gpu, number: 1}}
sidecar_resource_requests: {}
sidecar_resource_limits: {memory: "100000000"}
datum_set_spec: {number: 5, sizeBytes: 1000000}
job_timeout: 1h30m0.5s
salt: abc
scheduling_spec: {node_selector: {zone: a}, priorityClassName: high}
pod_spec: '{"hostNetwork": false}'
pod_patch: '[{"op": "remove", "path": "/x"}]'
reprocess_spec: every_job
autoscaling: true
maximum_expected_uptime: 24h
tolerations: [{key: gpu, operator: EXISTS, effect: NO_SCHEDULE}, {operator: 2, value: v, tolerationSeconds: "30"}]
determined: {workspaces: [w]}
trunkline: {writableInputs: true}
update: true
""",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_shapes_of_the_examples_are_specs(shape: str) -> None:
    written = read_spec(SHAPES[shape])
    spec = written.spec
    assert PipelineSpec.from_json(spec.to_json()) == spec
    again = read_spec(spec.to_json())
    assert again.spec == spec, "the canonical form with its defaults is a spec too"
    assert again.effective == spec.to_dict()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_canonical_form_is_what_protobuf_reads(shape: str) -> None:
    written = read_spec(SHAPES[shape])
    message = json_format.ParseDict(written.request, pps.CreatePipelineRequest())
    back = json_format.MessageToDict(message, preserving_proto_field_name=True)
    own = {"trunkline": written.effective["trunkline"]} if "trunkline" in written.effective else {}
    assert read_spec(back | own).spec == written.spec
    camels = json_format.MessageToDict(message)
    assert read_spec(json.dumps(camels | own)).spec == written.spec
    json_format.ParseDict(
        {k: v for k, v in written.spec.to_dict().items() if k != "trunkline"}, pps.CreatePipelineRequest()
    )


def test_values_arrive_where_they_belong() -> None:
    spec = read_spec(SHAPES["everything else"]).spec
    leaf = PfsInput("other", "in", "/{a,b}/*", "in", "staging", repo_type="meta", lazy=True, never=True, reference=True)
    assert spec.input == leaf
    assert spec.pipeline == Pipeline("lab", "all")
    assert spec.transform.env == {"A": "1"}
    assert (spec.transform.user, spec.transform.memory_volume, spec.parallelism) == ("1000:1000", True, 8)
    assert spec.resource_limits == Resources(cpu=2.0, memory="1.5G", gpu=Gpu("nvidia.com/gpu", 1))
    assert spec.resource_limits.memory_bytes == 1_500_000_000
    assert spec.sidecar_resource_requests == Resources(), "an empty one says: nothing is asked for"
    assert spec.datum_set_spec == DatumSetSpec(number=5, size_bytes=1_000_000)
    assert (spec.job_timeout_us, spec.maximum_expected_uptime_us) == (5_400_500_000, 86_400_000_000)
    assert spec.every_job
    assert not spec.skips
    assert spec.tolerations[1] == Toleration("", "EQUAL", "v", "ALL_EFFECTS", 30)
    assert spec.own.writable_inputs
    assert read_spec(SHAPES["everything else"]).asks("update")


def test_defaults_are_filled_in() -> None:
    spec = read_spec(SHAPES["opencv edges"]).spec
    assert spec.input == PfsInput("default", "images", "/*", "images", "master")
    assert (spec.output_branch, spec.datum_tries, spec.parallelism, spec.egress) == ("master", 3, None, None)
    assert (spec.datum_timeout_us, spec.job_timeout_us, spec.skips) == (0, 0, True)
    assert read_spec(SHAPES["inner join"]).spec.transform.image == "ubuntu:20.04"
    cross = read_spec(SHAPES["cron"]).spec.input
    assert isinstance(cross, Combination)
    assert cross.members[0] == CronInput(
        "default", "scraper_tick", "tick", "@every 60s", overwrite=True, start_us=1_714_521_600_000_000
    )
    trigger = read_spec(SHAPES["deferred processing"]).spec.leaves[0]
    assert isinstance(trigger, PfsInput)
    assert trigger.trigger == Trigger("master", all=True, size="3KB", commits=10)
    assert read_spec(SHAPES["spout with a port"]).spec.spout == Spout(Service(8080, 31000))
    assert read_spec(SHAPES["s3"]).spec.egress == Egress("s3://bucket/dir")
    egress = read_spec(SHAPES["egress"]).spec.egress
    assert egress is not None
    url = "snowflake://user@account/db/schema?warehouse=w"
    assert egress.sql == SqlEgress(url, "CSV", ("id", "name"), "snowflake", "PASSWORD")
    assert read_spec(SHAPES["err_cmd"]).spec.transform.err_stdin_bytes == b"exit 0\n"


@pytest.mark.parametrize(
    ("written", "spec"),
    [
        ({"parallelism_spec": {}}, 1),
        ({"parallelism_spec": {"constant": 0}}, 1),
        ({"parallelism_spec": {"constant": "3"}}, 3),
        ({}, None),
    ],
)
def test_parallelism(written: dict[str, Any], spec: int | None) -> None:
    base = json.loads(SHAPES["opencv edges"])
    assert read_spec(base | written).spec.parallelism == spec


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{0} {0}", 2),
        ("[{0}, {0}]", 2),
        ("[{0}] {0}", 2),
        ("---\n{0}\n---\n{0}\n", 2),
        ("---\n{0}\n---\n# nothing\n", 1),
        ("- {0}\n- {0}\n- {0}\n", 3),
        ("\ufeff{0}", 1),
        ("\n\n{0}\n", 1),
    ],
)
def test_a_text_may_hold_several(text: str, names: int) -> None:
    found = read_specs(text.replace("{0}", SHAPES["opencv edges"]))
    assert [one.spec.pipeline.name for one in found] == ["edges"] * names


def test_yaml_flow_that_is_not_json_is_read_as_yaml() -> None:
    text = "{pipeline: {name: x}, transform: {cmd: [a,]}, input: {pfs: {repo: i, glob: /}}}"
    assert read_spec(text).spec.transform.cmd == ("a",)


def test_yaml_means_what_version_1_2_says() -> None:
    text = """
pipeline: {name: &n x}
description: *n
transform:
  cmd: [a, "on", 'no', "010", "1:30", "null"]
  stdin:
    - |
      two
      lines
    - >-
      one
      line
input: {pfs: {repo: i, glob: /, lazy: TRUE}}
datumTries: 0o7
autoscaling: ~
resource_limits: {cpu: .5}
"""
    spec = read_spec(text).spec
    assert spec.description == "x"
    assert spec.transform.cmd == ("a", "on", "no", "010", "1:30", "null")
    assert spec.transform.stdin == ("two\nlines\n", "one line")
    assert spec.datum_tries == 7
    assert not spec.autoscaling
    assert spec.resource_limits == Resources(cpu=0.5)


def test_our_own_fields_also_come_in_annotations() -> None:
    base = json.loads(SHAPES["opencv edges"])
    ours = {"trunkline/writableInputs": "true"}
    written = read_spec(base | {"metadata": {"annotations": ours | {"kept": "x"}}})
    assert written.spec.own.writable_inputs
    assert written.spec.annotations == {"kept": "x"}
    assert written.user["trunkline"] == {"writable_inputs": True}
    assert "trunkline" not in written.request
    with pytest.raises(Exception, match="unknown field"):
        read_spec(base | {"metadata": {"annotations": {"trunkline/nothing": "1"}}})


def test_layers_lie_over_one_another_and_null_deletes() -> None:
    assert merged({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": None, "e": 3}, "d": [2], "f": {"g": None}}) == {
        "a": {"c": 2, "e": 3},
        "d": [2],
        "f": {},
    }
    cluster = {"resource_requests": {"cpu": 1.0, "memory": "256Mi"}, "datum_tries": 5, "autoscaling": True}
    base = json.loads(SHAPES["opencv edges"])
    written = read_spec(base | {"resourceRequests": {"cpu": None}, "datumTries": None}, defaults=lambda _: [cluster])
    assert written.spec.resource_requests == Resources(memory="256Mi")
    assert (written.spec.datum_tries, written.spec.autoscaling) == (3, True)
    assert written.user["datum_tries"] is None


def test_names_that_are_ours_are_warned_of() -> None:
    base = json.loads(SHAPES["opencv edges"])
    base["input"]["pfs"]["name"] = "PATH"
    base["transform"]["env"] = {"PPS_X": "1", "PATH": "/bin", "HOME": "/h", "MINE": "2"}
    assert warnings(read_spec(base).spec) == [
        'the input "PATH" has a name that is ours: the code sees our value of $PATH',
        'the environment variable "PPS_X" has a name that is ours: the code sees our value of $PPS_X',
        'the environment variable "HOME" has a name that is ours: the code sees our value of $HOME',
    ]
    assert warnings(read_spec(SHAPES["opencv edges"]).spec) == []


def test_the_schema_is_the_messages() -> None:
    """Every field of the message, and no other, but for what is ours; kinds fit."""
    seen: set[str] = set()

    def compare(kind: Message, message: Descriptor, path: str) -> None:
        ours = {"trunkline"} if not path else set()
        theirs = {field.name for field in message.fields} - {"details_json"}
        assert set(kind.fields) - ours == theirs, path or "the request"
        assert all(camel(field.name) == field.json_name for field in message.fields if field.name != "URL")
        for field in message.fields:
            if field.name not in kind.fields or message.full_name + field.name in seen:
                continue
            seen.add(message.full_name + field.name)
            inner = kind.fields[field.name]
            if isinstance(inner, Texts):
                assert field.message_type.GetOptions().map_entry
                continue
            assert isinstance(inner, Many) == field.is_repeated, field.full_name
            inner = inner.of if isinstance(inner, Many) else inner
            inner = NAMED[inner.name] if isinstance(inner, Ref) else inner
            if isinstance(inner, Message):
                compare(inner, field.message_type, f"{path}.{field.name}")
            elif field.type == FieldDescriptor.TYPE_MESSAGE:
                wanted = {"Duration": Span, "Timestamp": Instant, "Int64Value": Whole}[field.message_type.name]
                assert isinstance(inner, wanted), field.full_name
            else:
                assert isinstance(inner, Flag) == (field.type == FieldDescriptor.TYPE_BOOL), field.full_name

    compare(REQUEST, pps.CreatePipelineRequest.DESCRIPTOR, "")
    assert len(seen) > 100


def test_null_in_a_list_is_as_if_nothing_were_written() -> None:
    pair = [{"pfs": {"repo": "a", "glob": "/", "name": None, "branch": None}}, {"pfs": {"repo": "b", "glob": "/"}}]
    base = {"pipeline": {"name": "p"}, "transform": {"cmd": ["a"]}, "input": {"cross": pair}}
    written = read_spec({**base, "tolerations": [{"key": "a", "operator": "EXISTS", "effect": None}]})
    assert [(leaf.name, leaf.branch) for leaf in written.spec.leaves] == [("a", "master"), ("b", "master")]
    assert written.spec.tolerations[0].effect == "ALL_EFFECTS"
    with pytest.raises(InvalidArgument, match="operator"):
        read_spec({**base, "tolerations": [{"key": "a", "operator": None}]})
