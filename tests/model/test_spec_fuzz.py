"""Specs that nobody would write: whatever comes in, it is a spec that can be kept and shown, or refused in words."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_spec_complaints import GOOD

from trunkline.errors import InvalidArgument
from trunkline.model.specs import PipelineSpec, read_spec, read_specs
from trunkline.model.specs.canonical import camel
from trunkline.model.specs.defaults import read_defaults
from trunkline.model.specs.reference.fields import MESSAGES, Described, name_of, unused
from trunkline.model.specs.reference.jsonschema import shipped
from trunkline.model.specs.schema import (
    Flag,
    Instant,
    Kind,
    Many,
    Message,
    Name,
    Quantity,
    Real,
    Share,
    Span,
    Texts,
    Whole,
)
from trunkline.model.specs.writing import Written, warnings
from trunkline.wire import specs

FUZZ = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))

TEXTS = st.sampled_from(
    ["", "a", "b", "out", "/*", "/(*)", "$1", "master", "a b", "\0", "é", "[", "*", "{", "-1", "ö/ü"]
)
TEXTS |= st.text(max_size=8)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
SPANS = st.sampled_from(["5m", "1h30m", "0", "-1s", ".5s", "99999999999h", "1 s", "3.000s"]) | TEXTS
INSTANTS = st.sampled_from(["2024-05-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+14:00", "now"]) | TEXTS
QUANTITIES = st.sampled_from(["64Mi", "1.5G", "1e3", "1e99", "-1", "9999999999999E", "0", "500m", "64 Mi"]) | TEXTS
PLAIN: dict[type, st.SearchStrategy[Any]] = {
    Flag: st.booleans(),
    Whole: st.integers() | st.integers(0, 300) | st.sampled_from(["7", "1e3", "-0", 1.0, 2**63, 2**64]),
    Real: st.floats() | st.integers() | QUANTITIES,
    Span: SPANS,
    Instant: INSTANTS,
    Quantity: QUANTITIES | st.integers(),
    Share: st.sampled_from(["", "5", "5%", "5 %", "2.5%"]) | st.integers(0, 9),
    Texts: st.dictionaries(TEXTS, TEXTS | st.none(), max_size=3),
}


def values(kind: Kind, depth: int) -> st.SearchStrategy[Any]:
    """What may stand in a field, mostly of its own kind."""
    if isinstance(kind, Many):
        own: st.SearchStrategy[Any] = st.lists(values(kind.of, depth), max_size=3)
    elif name_of(kind):
        own = messages(MESSAGES[name_of(kind)], depth - 1) if depth else st.just({})
    elif isinstance(kind, Name):
        own = st.sampled_from([*kind.names, 0, 1, len(kind.names), kind.names[-1].lower()])
    else:
        own = PLAIN.get(type(kind), TEXTS)
    return st.integers(0, 19).flatmap(lambda luck: ANYTHING if luck == 0 else st.none() if luck == 1 else own)


def messages(described: Described, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some of the fields of a message, in either spelling."""

    def some(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
        fields: Message = described.kind
        return st.fixed_dictionaries({camel(name): values(fields.fields[name], depth) for name in names})

    known = sorted(described.kind.fields)
    count = 1 if described.name == "input" else 4
    return st.lists(st.sampled_from(known), max_size=count, unique=True).flatmap(some)


SPECS = st.builds(
    lambda fields, whole: {**GOOD, **fields} if whole else fields, messages(MESSAGES["spec"], 4), st.booleans()
)


def can_be_kept(written: Written) -> None:
    """An accepted spec can be typed, stored, read again, shown on every wire, and an editor takes it."""
    spec = written.spec
    kept = spec.to_json()
    assert PipelineSpec.from_json(kept) == spec
    assert read_spec(kept).spec == spec
    assert read_spec(written.kept).effective.keys() <= written.effective.keys()
    specs.pipeline_details(kept)
    specs.job_details(kept)
    assert read_spec(specs.form_of(specs.request_of(json.loads(kept)))).spec.pipeline == spec.pipeline
    warnings(spec)
    unused(spec.to_dict())


def accepted(spec: dict[str, Any] | str) -> bool:
    """Whether a spec is accepted; what is refused must be so in words."""
    try:
        written = read_spec(spec)
    except InvalidArgument:
        return False
    can_be_kept(written)
    return True


@FUZZ
@given(SPECS)
def test_any_object_is_a_spec_or_refused(spec: dict[str, Any]) -> None:
    text = json.dumps(spec)  # also NaN and lone surrogates, which no JSON has
    assert accepted(spec) or not accepted(text) or "NaN" in text or "Infinity" in text


@FUZZ
@given(SPECS)
def test_yaml_says_the_same_as_json(spec: dict[str, Any]) -> None:
    accepted(yaml.safe_dump(json.loads(json.dumps(spec)), allow_unicode=True))


@FUZZ
@given(SPECS)
def test_an_editor_takes_what_the_server_takes(spec: dict[str, Any]) -> None:
    import jsonschema

    editor = jsonschema.Draft202012Validator(json.loads(shipped()))
    if accepted(spec):
        editor.validate(read_spec(spec).user)


@FUZZ
@given(st.sampled_from([json.dumps(GOOD), json.dumps(GOOD, indent=1), yaml.safe_dump(GOOD)]), st.data())
def test_a_text_with_slips_of_the_pen(text: str, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        slip = data.draw(st.sampled_from(list("{}[]:,\"'\n\t -#&*!|>%@`\\0\x00é\ud800~")) | TEXTS)
        text = text[:at] + slip + text[at + data.draw(st.integers(0, 3)) :]
    accepted(text)


@FUZZ
@given(st.text() | ANYTHING.map(json.dumps))
def test_any_text_is_refused_in_words(text: str) -> None:
    for read in (read_specs, read_defaults):
        with suppress(InvalidArgument):
            read(text)


@FUZZ
@given(messages(MESSAGES["spec"], 3), messages(MESSAGES["spec"], 3))
def test_any_defaults_lie_below_a_spec_or_are_refused(fields: dict[str, Any], spec: dict[str, Any]) -> None:
    fields.pop("pipeline", None)
    with suppress(InvalidArgument):
        layer = read_defaults(json.dumps({"createPipelineRequest": fields})).layer
        can_be_kept(read_spec({**GOOD, **spec}, defaults=lambda _: [layer]))
