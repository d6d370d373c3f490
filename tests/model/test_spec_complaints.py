"""What is wrong with a spec is said in words, all at once, each with its path and place. Golden tables."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import InvalidArgument
from trunkline.model.specs import PipelineSpec, read_spec, read_specs

GOOD: dict[str, Any] = {
    "pipeline": {"name": "p"},
    "transform": {"cmd": ["a"]},
    "input": {"pfs": {"repo": "r", "glob": "/*"}},
}
PFS = GOOD["input"]["pfs"]
NO_VARIABLE = (
    "cannot name an environment variable: letters, digits, underscores, dashes and periods are allowed, and no digit "
    "in front"
)
KEY = {"name": "s", "key": "k"}
KINDS = "an input is exactly one of pfs, cron, cross, union, join, group"


def refused(source: Any) -> list[str]:
    """The complaints about a spec, without the sentence before them."""
    with pytest.raises(InvalidArgument) as caught:
        read_spec(source)
    head, _, rest = str(caught.value).partition("\n")
    if not rest:
        assert head.startswith("the pipeline spec is invalid: ")
        return [head.removeprefix("the pipeline spec is invalid: ")]
    lines = [line.strip() for line in rest.split("\n")]
    assert head == f"the pipeline spec is invalid in {len(lines)} places:"
    return lines


def pfs(**more: Any) -> dict[str, Any]:
    return {"pfs": PFS | more}


def spec(**more: Any) -> dict[str, Any]:
    return {name: value for name, value in (GOOD | more).items() if value is not ...}


def transform(**more: Any) -> dict[str, Any]:
    return spec(transform=GOOD["transform"] | more)


CASES: list[tuple[Any, list[str]]] = [
    # names
    (spec(pipeline=...), ["pipeline.name: a pipeline needs a name"]),
    (spec(pipeline={"name": "a b"}),
     ['pipeline.name: pipeline name "a b" is invalid: only alphanumeric characters, underscores and dashes are '
      "allowed"]),
    (spec(pipeline={"name": "p", "project": {"name": "a.b"}}),
     ['pipeline.project.name: project name "a.b" is invalid: only alphanumeric characters, underscores and dashes are '
      'allowed, and the first must be a letter or a digit']),
    (spec(output_branch="a b"),
     ['output_branch: branch name "a b" is invalid: only alphanumeric characters, underscores and dashes are allowed']),
    (spec(tf_job={}), ["tf_job: jobs of TensorFlow's operator are not supported; give a transform"]),
    # unknown, removed and doubled fields
    (spec(transfrom={}), ['transfrom: unknown field; did you mean "transform"?']),
    (spec(transform=..., transfrom={}), ['transfrom: unknown field; did you mean "transform"?']),
    (spec(input=..., inptu={"pfs": 1}), ['inptu: unknown field; did you mean "input"?']),
    (spec(pipeline={"nam": "p"}), ['pipeline.nam: unknown field; did you mean "name"?']),
    (spec(transform={"cdm": ["a"], "cmd": []}),
     ['transform.cdm: unknown field; did you mean "cmd"?',
      "transform.cmd: a transform must specify a cmd; the image's own command is not used"]),
    (spec(zzz=1), ["zzz: unknown field"]),
    (spec(datumtries=1), ['datumtries: unknown field; did you mean "datumTries"?']),
    (spec(egress={"url": "s3://b"}),
     ['egress.url: unknown field; did you mean "URL"?']),
    (spec(datum_tries=1, datumTries=2), ['datumTries: it is the same field as "datum_tries", which is given too']),
    (spec(standby=True), ['standby: there is no such field; it ended with version 1; "autoscaling" does this']),
    (spec(chunkSpec={}), ['chunkSpec: there is no such field; it is called "datum_set_spec" since version 2.0']),
    (spec(input={"git": {}}),
     ["input.git: there is no such field; git inputs ended with version 1; put the files into a repo"]),
    # kinds of values
    (spec(transform="x"), ['transform: expected an object with fields, found "x"']),
    (transform(cmd="python3"), ['transform.cmd: expected a list, found "python3"; write ["python3"]']),
    (transform(cmd=["sleep", 5]), ["transform.cmd[1]: expected a string, found the number 5; put it in double quotes"]),
    (transform(env={"A": True}), ["transform.env.A: expected a string, found true; put it in double quotes"]),
    (transform(env=["A=1"]), ["transform.env: expected an object whose values are strings, found a list"]),
    (spec(autoscaling="yes"), ['autoscaling: expected true or false, found "yes"']),
    (spec(datum_tries="many"), ['datum_tries: expected a whole number, found "many"']),
    (spec(datum_tries=1.5), ["datum_tries: expected a whole number, found the number 1.5"]),
    (spec(datum_tries=True), ["datum_tries: expected a whole number, found true"]),
    (spec(datum_tries=2**63), [f"datum_tries: {2**63} is not within {-(2**63)} and {2**63 - 1}"]),
    (spec(datum_timeout="5 minutes"),
     ['datum_timeout: expected a span of time such as "30s", "5m" or "1h30m", found "5 minutes"']),
    (spec(job_timeout="-5m"), ['job_timeout: a span of time cannot be negative, found "-5m"']),
    (spec(job_timeout=300), ['job_timeout: expected a string such as "5m", found the number 300']),
    (spec(resource_limits={"cpu": -1, "memory": "1 GB"}),
     ["resource_limits.cpu: -1 is negative",
      'resource_limits.memory: expected a quantity such as "256Mi", "1.5G" or "100000", found "1 GB"']),
    (spec(resource_limits={"cpu": "many"}), ['resource_limits.cpu: expected a number, found "many"']),
    (spec(tolerations=[{"operator": "exists"}, {"effect": "NO_EXECUTE"}]),
     ['tolerations[0].operator: expected one of EXISTS, EQUAL, found "exists"; did you mean "EXISTS"?',
      "tolerations[1].operator: a toleration needs an operator, EXISTS or EQUAL"]),
    # transform
    (spec(transform=...), ["transform: a pipeline must specify a transform"]),
    (spec(transform={"image": "i"}),
     ["transform.cmd: a transform must specify a cmd; the image's own command is not used"]),
    (transform(cmd=[""]), ["transform.cmd[0]: the program to run cannot be empty"]),
    (transform(cmd=["a", "b\0"]), ["transform.cmd[1]: an argument cannot hold a NUL character"]),
    (transform(env={"A=B": "x"}), [f'transform.env.A=B: "A=B" {NO_VARIABLE}']),
    (transform(env={"A B": "x"}), [f'transform.env.A B: "A B" {NO_VARIABLE}']),
    (transform(env={"1A": "x"}), [f'transform.env.1A: "1A" {NO_VARIABLE}']),
    (transform(env={"A": "x\0"}), ["transform.env.A: its value cannot hold a NUL character"]),
    (transform(acceptReturnCode=[1, 256]),
     ["transform.acceptReturnCode[1]: 256 is not an exit code: they are 0 to 255"]),
    (transform(user="a b"), ['transform.user: expected "user", "user:group" or numbers, found "a b"']),
    (transform(secrets=[{"env_var": "X"}, {"name": "s"}]),
     ["transform.secrets[0].name: a secret needs a name",
      "transform.secrets[0].key: a secret with an env_var needs a key",
      "transform.secrets[1].mount_path: a secret needs a mount_path or an env_var"]),
    (transform(build={}), ["transform.build: there is no such field; images are built beforehand; name one in "
                           "transform.image"]),
    # inputs
    (spec(input=...), [
        "input: a pipeline needs an input, unless it is a spout; if you meant a spout and sent it with the Python SDK, "
        "the client dropped the empty spout: give it a service, or send the spec as JSON"]),
    (spec(input={"pfs": {}}),
     ["input.pfs.repo: an input must specify a repo", "input.pfs.name: an input must specify a name",
      'input.pfs.glob: an input must specify a glob, for example "/*"']),
    (spec(input=pfs() | {"cross": []}),
     [f"input: {KINDS}; found pfs and cross", "input.cross: a cross needs at least one member"]),
    (spec(input={"cross": [{}, pfs()]}), [f"input.cross[0]: {KINDS}; found none"]),
    (spec(input={"union": []}), ["input.union: a union needs at least one member"]),
    (spec(input=pfs(glob="/[")), ['input.pfs.glob: glob "/[" is invalid at character 2: "[" is never closed']),
    (spec(input=pfs(commit="x")), ["input.pfs.commit: an input cannot come from a commit; name a branch"]),
    (spec(input=pfs(repo="p")), ["input.pfs.repo: a pipeline cannot read its own output"]),
    (spec(input=pfs(repo="out")), ['input.pfs.name: an input that reads a repo called "out" needs another name']),
    (spec(input=pfs(name="out")), ['input.pfs.name: no input can be called "out": that is where code puts its output']),
    (spec(input=pfs(name="a/b")),
     ['input.pfs.name: "a/b" cannot name an input: only letters, digits, underscores, dashes, periods are allowed']),
    (spec(input=pfs(repo_type="x")),
     ['input.pfs.repo_type: repo type "x" does not exist; the types are user, meta, spec']),
    (spec(input=pfs(joinOn="$1", outer_join=True, group_by="$1")),
     ["input.pfs.joinOn: it only means something inside a join",
      "input.pfs.outer_join: it only means something inside a join",
      "input.pfs.group_by: it only means something inside a group"]),
    (spec(input={"cross": [pfs(), pfs(), pfs(name="x")]}),
     ['input.cross[1].pfs.name: the name "r" is used by input.cross[0].pfs.name too; members of a cross, join or group '
      "need different names"]),
    (spec(input={"cross": [{"union": [pfs(), pfs(glob="/")]}, {"union": [pfs(), pfs(name="x")]}]}),
     ['input.cross[1].union[0].pfs.name: the name "r" is used by input.cross[0].union[0].pfs.name too; members of a '
      "cross, join or group need different names"]),
    (spec(input={"cross": [pfs(), pfs(branch="dev", name="x")]}),
     ['input: it reads two branches of repo "r", "master" and "dev"; two branches of one repo cannot take part in one '
      "DAG: copy one of them to a repo of its own"]),
    (spec(input={"join": [pfs(), {"cross": [pfs(name="x"), pfs(name="y")]}]}),
     ["input.join[1].cross: a cross cannot stand inside a join, whose members are pfs, or a union, join or group of "
      "those; put the join inside the cross"]),
    (spec(input={"group": [{"union": [{"cron": {"name": "t", "spec": "@daily"}}]}]}),
     ["input.group[0].union[0].cron: a cron cannot stand inside a group, whose members are pfs, or a union, join or "
      "group of those"]),
    (spec(input={"cron": {}}),
     ["input.cron.name: an input must specify a name",
      'input.cron.spec: a cron input must specify when, for example "@every 60s"']),
    (spec(input={"cron": {"name": "out", "spec": "* * * *", "start": "yesterday", "commit": "x"}}),
     ['input.cron.start: expected an instant such as "2024-05-01T00:00:00Z", found "yesterday"',
      'input.cron.name: no input can be called "out": that is where code puts its output',
      "input.cron.spec: expected five fields (minute, hour, day of the month, month, day of the week), found 4",
      "input.cron.commit: an input cannot come from a commit"]),
    (spec(input=pfs(s3=True, lazy=True)),
     ['input.pfs.glob: an s3 input is the whole commit: its glob must be "/"',
      "input.pfs.lazy: it cannot be combined with s3"]),
    (spec(input={"union": [pfs(s3=True, glob="/")]}),
     ["input.union[0].pfs.s3: an s3 input cannot stand inside a union"]),
    (spec(input=pfs(trigger={"branch": "a b", "size": "big", "commits": -1, "cron_spec": "@dayly"})),
     ['input.pfs.trigger.branch: branch name "a b" is invalid: only alphanumeric characters, underscores and dashes '
      "are allowed",
      'input.pfs.trigger.size: expected a size such as "100", "1K", "1MB" or "1GB"',
      'input.pfs.trigger.cron_spec: there is no "@dayly"; there are @yearly, @annually, @monthly, @weekly, @daily, '
      '@midnight, @hourly, @never and "@every" with a span',
      "input.pfs.trigger.commits: a number of commits cannot be negative"]),
    (spec(input=pfs(trigger={"cronSpec": "@daily", "size": "1K"})),
     ["input.pfs.trigger.cronSpec: it cannot be combined with size"]),
    # spouts and services
    (spec(spout={}), ["input: a spout has no input; it makes its own commits"]),
    (spec(input=..., spout={}, service={"internal_port": 80}, autoscaling=True, s3_out=True),
     ["service: it cannot be combined with spout", "autoscaling: it cannot be combined with spout",
      "s3_out: it cannot be combined with spout"]),
    (spec(service={}, s3Out=True, parallelismSpec={"constant": 2}),
     ["s3Out: it cannot be combined with service",
      "service.internal_port: a service needs an internal_port, on which the code listens",
      "parallelismSpec.constant: a service has exactly one worker: leave it out, or write 1"]),
    (spec(service={"internal_port": 70000, "external_port": 80, "type": "Node"}),
     ["service.type: expected one of ClusterIP, NodePort, LoadBalancer, found \"Node\"",
      "service.internal_port: 70000 is not a port: they are 1 to 65535"]),
    (spec(service={"internal_port": 80, "external_port": 80}),
     ["service.external_port: 80 is not a port of a node: they are 30000 to 32767"]),
    # egress
    (spec(egress={}), ["egress: egress goes to exactly one of URL, object_storage, sql_database; found none"]),
    (spec(egress={"URL": "s3://b", "object_storage": {"url": "ftp://x"}}),
     ["egress: egress goes to exactly one of URL, object_storage, sql_database; found URL and object_storage",
      'egress.object_storage.url: expected a URL that starts with one of s3, gs, gcs, wasb, wasbs, as, found "ftp://x"']),
    (spec(egress={"sql_database": {"url": "oracle://u@h/d", "file_format": {"type": "UNKNOWN"}}}),
     ['egress.sql_database.url: expected a URL that starts with one of postgres, postgresql, mysql, snowflake, sqlite, '
      'found "oracle://u@h/d"',
      "egress.sql_database.file_format.type: expected CSV, JSON or PARQUET, found UNKNOWN",
      "egress.sql_database.secret.name: the password comes from a secret: its name and key are needed",
      "egress.sql_database.secret.key: the password comes from a secret: its name and key are needed"]),
    (spec(egress={"sql_database": {"url": "sqlite:///file.db", "file_format": {"type": "CSV"}}}),
     ["egress.sql_database.url: give the whole path of the file on the server, as sqlite:////data/file.db"]),
    (spec(egress={"sql_database": {"url": "postgresql://u:p@h/d", "file_format": {"type": "CSV"}, "secret": KEY}}),
     ["egress.sql_database.url: a URL holds no password: put it into a secret, and name that"]),
    (spec(egress={"sql_database": {"url": "mysql://u@h?charset=x", "file_format": {"type": "CSV"}, "secret": KEY}}),
     ["egress.sql_database.url: it names no host or no database: write mysql://USER@HOST/DATABASE"]),
    # the rest
    (spec(datum_tries=-1), ["datum_tries: a number of attempts cannot be negative"]),
    (spec(datum_set_spec={"number": -1, "per_worker": 2, "size_bytes": 3}),
     ["datum_set_spec.number: it cannot be negative",
      "datum_set_spec.per_worker: it cannot be combined with number"]),
    (spec(datum_set_spec={"chunks_per_worker": 2}),
     ['datum_set_spec.chunks_per_worker: there is no such field; it is called "per_worker" here']),
    (spec(reprocess_spec="always"), ['reprocess_spec: expected "until_success" or "every_job", found "always"']),
    (spec(maximum_expected_uptime="1h"), ["maximum_expected_uptime: it only means something with autoscaling"]),
    (spec(pod_spec="{", pod_patch="{}"),
     ["pod_spec: malformed PodSpec: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
      "pod_patch: malformed PodPatch: expected a JSON array in a string"]),
    (spec(metadata={"labels": {"a b": "x", "ok": "not ok"}}),
     ['metadata.labels.a b: "a b" cannot be the key of a Kubernetes label',
      'metadata.labels.ok: "not ok" cannot be the value of a Kubernetes label']),
    (spec(resource_limits={"gpu": {"type": "nvidia.com/gpu"}}),
     ['resource_limits.gpu: a gpu needs a type, such as "nvidia.com/gpu", and a number of at least 1']),
    (spec(trunkline={"limit": 5}),
     ['trunkline.limit: it says how many datums may fail: write "onFailure": "skip" too']),
    (
        spec(trunkline={"onFailure": "skip", "limit": "many"}),
        ['trunkline.limit: expected a number, or a share such as "5%", found "many"'],
    ),
    (
        spec(trunkline={"onFailure": "ignore"}),
        ['trunkline.onFailure: expected one of fail, skip, found "ignore"'],
    ),
    (spec(trunkline={"writable": True}), ['trunkline.writable: unknown field; did you mean "writableInputs"?']),
]  # fmt: skip


@pytest.mark.parametrize(("written", "complaints"), CASES, ids=[case[1][0][:60] for case in CASES])
def test_complaints(written: Any, complaints: list[str]) -> None:
    assert refused(written) == complaints


TEXTS: list[tuple[str, str]] = [
    ("", "the pipeline spec holds no pipeline spec"),
    ("# only a comment\n", "the pipeline spec holds no pipeline spec"),
    ('{"a":1', 'the pipeline spec cannot be read: line 1, column 7: expected "," or "}", found the end'),
    ('{"a":1}\n}', 'the pipeline spec cannot be read: line 2, column 1: expected a value, found "}"'),
    ('{"a" 1}', 'the pipeline spec cannot be read: line 1, column 6: expected ":" after "a"'),
    ('{"a": "\n}', "the pipeline spec cannot be read: line 1, column 8: invalid control character at"),
    ('{"a": nul, }}', 'the pipeline spec cannot be read: line 1, column 7: expected a value, found "n"'),
    ("[" * 200, "the pipeline spec cannot be read: line 1, column 102: nested more than 100 deep"),
    ("a: [", "the pipeline spec cannot be read: line 2, column 1: did not find expected node content"),
    ("a: b: c", "the pipeline spec cannot be read: line 1, column 5: mapping values are not allowed in this context"),
    (
        "just words",
        'the pipeline spec is invalid: expected an object with fields, found "just words" (line 1, column 1)',
    ),
    ("a: &x [*x]", "the pipeline spec cannot be read"),
]


@pytest.mark.parametrize(("text", "complaint"), TEXTS)
def test_texts_that_cannot_be_read(text: str, complaint: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        read_specs(text)
    assert str(caught.value).startswith(complaint)


YAML = """\
pipeline:
  name: p
transform:
  cmd: [a]
  env:
    A: {0}
input: {{pfs: {{repo: r, glob: /}}}}
"""


@pytest.mark.parametrize(
    ("scalar", "meaning"),
    [
        ("on", "true or false"),
        ("No", "true or false"),
        ("y", "true or false"),
        ("0644", "a number in base 8"),
        ("1_000", "a number"),
        ("0b11", "a number in base 2"),
        ("1:30", "a number in base 60"),
    ],
)
def test_what_readers_of_yaml_disagree_on_is_refused(scalar: str, meaning: str) -> None:
    assert refused(YAML.replace("{{", "{").replace("}}", "}").replace("{0}", scalar)) == [
        f"transform.env.A (line 6, column 8): some readers of YAML take {scalar} for {meaning}, others do not; "
        "put it in quotes if it is text"
    ]


def test_places_are_those_of_the_text() -> None:
    text = """\
pipeline:
  name: p
  name: q
transform:
  cmd: [a]
  tagged: !x 1
input:
  cross:
    - pfs: {repo: r, glob: "/*", glob: /}
    - <<: 1
      pfs:
        repo: r
"""
    assert refused(text) == [
        'pipeline.name (line 3, column 3): "name" is given twice (first at line 2)',
        'transform.tagged (line 6, column 11): the tag "!x" is not read; leave it out',
        'input.cross[0].pfs.glob (line 9, column 34): "glob" is given twice (first at line 9)',
        'input.cross[1].<< (line 10, column 7): merge keys ("<<") are not read; write the fields out',
        'input.cross[1].pfs.glob (line 12, column 9): an input must specify a glob, for example "/*"',
        'input.cross[1].pfs.name (line 12, column 9): the name "r" is used by input.cross[0].pfs.name too; members of '
        "a cross, join or group need different names",
    ]
    twice = '{"pipeline": {"name": "p"},\n "pipeline": {"name": "q"},\n "transform": {"cmd": ["a"]},\n "spout": {}}'
    assert refused(twice) == ['pipeline (line 2, column 2): "pipeline" is given twice (first at line 1)']


def test_every_spec_of_a_text_is_complained_about() -> None:
    with pytest.raises(InvalidArgument) as caught:
        read_specs('[{"pipeline": {"nam": "a"}}, {"a": 1}]\n{"b": 2}', rules=False)
    assert str(caught.value).split("\n")[1:] == [
        '  [0].pipeline.nam (line 1, column 23): unknown field; did you mean "name"?',
        "  [1].a (line 1, column 36): unknown field",
        "  b (line 2, column 7): unknown field",
    ]
    with pytest.raises(InvalidArgument, match="one pipeline spec was expected, found 2"):
        read_spec(f"{MINIMAL}\n{MINIMAL}")


MINIMAL = '{"pipeline": {"name": "p"}, "transform": {"cmd": ["a"]}, "input": {"pfs": {"repo": "r", "glob": "/"}}}'

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["pipeline", "name", "project", "transform", "cmd", "env", "input", "pfs", "cron", "cross", "join", "repo", "glob",
     "spec", "service", "spout", "egress", "secrets", "tolerations", "metadata", "annotations", "trigger", "datumTries"]
)  # fmt: skip
SPECLIKE = st.recursive(
    ANYTHING, lambda inner: st.dictionaries(FIELDS, inner, max_size=5) | st.lists(inner, max_size=3), max_leaves=20
)


@given(st.dictionaries(FIELDS, SPECLIKE, max_size=6))
def test_whatever_is_written_gets_a_spec_or_a_refusal(written: dict[str, Any]) -> None:
    try:
        found = read_spec(GOOD | written)
    except InvalidArgument:
        return
    assert PipelineSpec.from_json(found.spec.to_json()) == found.spec


@given(st.text(st.sampled_from("{}[]:,\"'&*!|>-#\n ab01~<"), max_size=40))
def test_no_text_breaks_the_readers(text: str) -> None:
    try:
        found = read_specs(text)
    except InvalidArgument:
        return
    assert found


@pytest.mark.parametrize("text", [json.dumps({**GOOD, "description": "\ud800"}), f"{json.dumps(GOOD)} # \udfff"])
def test_half_a_character_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"line 1.*half a surrogate pair"):
        read_spec(text)
