"""What is said about each field: complete, true, and the same in the schema, on the page and in the reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import test_spec_complaints
import test_specs

from trunkline.errors import InvalidArgument
from trunkline.model.specs import PipelineSpec, read_spec
from trunkline.model.specs.canonical import Reader, camel
from trunkline.model.specs.complaints import Complaints
from trunkline.model.specs.reference.fields import MESSAGES, unused
from trunkline.model.specs.reference.jsonschema import schema, shipped
from trunkline.model.specs.reference.page import page

jsonschema = pytest.importorskip("jsonschema")
FIELDS = [(name, field) for name, one in MESSAGES.items() for field in one.kind.fields]


@pytest.fixture(scope="module")
def editor() -> Any:
    """What an editor checks specs with."""
    whole = json.loads(shipped())
    jsonschema.Draft202012Validator.check_schema(whole)
    return jsonschema.Draft202012Validator(whole)


@pytest.mark.parametrize("name", MESSAGES)
def test_every_field_has_a_meaning(name: str) -> None:
    one = MESSAGES[name]
    assert list(one.fields) == list(one.kind.fields)
    assert one.about.endswith(".")
    for field, said in one.fields.items():
        assert said.meaning.endswith("."), field


@pytest.mark.parametrize(("name", "field"), FIELDS, ids=lambda value: value)
def test_every_example_can_be_read(name: str, field: str, editor: Any) -> None:
    one = MESSAGES[name]
    complaints = Complaints()
    written = {camel(field): one.fields[field].example}
    read = Reader(complaints).message(written, one.kind)
    assert not complaints.found
    assert list(read) == [field]
    part = {**schema(), "anyOf": [{"$ref": f"#/$defs/{name}"}]}
    if name != "spec":
        jsonschema.Draft202012Validator(part).validate(written)
        jsonschema.Draft202012Validator(part).validate({field: one.fields[field].example})
    else:
        editor.validate({"pipeline": {"name": "p"}, **written})


@pytest.mark.parametrize("shape", test_specs.SHAPES)
def test_the_schema_takes_what_the_reader_takes(shape: str, editor: Any) -> None:
    spec = test_specs.SHAPES[shape]
    written = read_spec(spec)
    editor.validate(json.loads(json.dumps(spec)) if not isinstance(spec, str) else written.user)
    editor.validate([written.user, json.loads(written.spec.to_json())])


def refused() -> Iterator[dict[str, Any]]:
    """Specs with fields that there are not, or of the wrong kind, as the reader says."""
    for case, complaints in test_spec_complaints.CASES:
        if isinstance(case, dict) and any("unknown field" in one or "no such field" in one for one in complaints):
            yield case


@pytest.mark.parametrize("spec", list(refused()), ids=str)
def test_the_schema_refuses_fields_that_there_are_not(spec: dict[str, Any], editor: Any) -> None:
    with pytest.raises(InvalidArgument):
        read_spec(spec)
    assert not editor.is_valid(spec)


@pytest.mark.parametrize(
    "wrong",
    [
        {"datumTries": "many"},
        {"datumTimeout": "5 minutes"},
        {"autoscaling": "yes"},
        {"input": {"pfs": {}, "cron": {}}},
        {"transform": {"cmd": "sh"}},
        {"resourceLimits": {"memory": "2 GB"}},
        {"tolerations": [{"effect": "x"}]},
        {"transform": {"env": {"A": 1}}},
        {"resourceLimits": {"cpu": -1}},
    ],
    ids=str,
)
def test_the_schema_refuses_wrong_kinds(wrong: dict[str, Any], editor: Any) -> None:
    assert not editor.is_valid({**test_spec_complaints.GOOD, **wrong})


def test_a_spec_may_say_where_its_schema_is(editor: Any) -> None:
    spec = {"$schema": "http://localhost:30650/schemas/pipeline.json", **test_spec_complaints.GOOD}
    editor.validate(spec)
    assert "$schema" not in read_spec(spec).user
    assert "$schema" not in read_spec(json.dumps(spec)).user


def test_what_only_kubernetes_acts_on_is_named() -> None:
    spec = {
        **test_spec_complaints.GOOD,
        "pod_spec": "{}",
        "tolerations": [{"key": "gpu"}],
        "resource_limits": {"cpu": 1},
    }
    assert unused(PipelineSpec.from_dict(spec).to_dict()) == ["pod_spec", "tolerations"]
    assert unused(read_spec(test_spec_complaints.GOOD).effective) == []


def test_the_page_shows_every_field() -> None:
    text = page("Notice.\n")
    for name, field in FIELDS:
        assert f"\n## {name}\n" in text
        assert f"\n| `{camel(field)}`" in text
