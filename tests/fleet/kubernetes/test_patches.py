"""RFC 6902, with the examples of its appendix and what it leaves open."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.errors import InvalidArgument
from trunkline.fleet.kubernetes.objects.patches import patched

DONE: list[tuple[Any, list[Any], Any]] = [
    ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"baz": "qux", "foo": "bar"}),
    ({"foo": ["bar", "baz"]}, [{"op": "add", "path": "/foo/1", "value": "qux"}], {"foo": ["bar", "qux", "baz"]}),
    ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
    ({"foo": ["bar", "qux", "baz"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["bar", "baz"]}),
    ({"baz": "qux"}, [{"op": "replace", "path": "/baz", "value": "boo"}], {"baz": "boo"}),
    (
        {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
        [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
        {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
    ),
    (
        {"foo": ["all", "cows", "eat"]},
        [{"op": "move", "from": "/foo/1", "path": "/foo/2"}],
        {"foo": ["all", "eat", "cows"]},
    ),
    ({"baz": "qux", "foo": ["a", 2]}, [{"op": "test", "path": "/foo/1", "value": 2}], {"baz": "qux", "foo": ["a", 2]}),
    ({"foo": "bar"}, [{"op": "add", "path": "/child", "value": {"x": {}}}], {"foo": "bar", "child": {"x": {}}}),
    ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux", "xyz": 123}], {"foo": "bar", "baz": "qux"}),
    ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
    ({"/": 9}, [{"op": "replace", "path": "/~1", "value": 8}], {"/": 8}),
    ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["abc", "def"]}], {"foo": ["bar", ["abc", "def"]]}),
    (
        {"a": {"b": 1}},
        [{"op": "copy", "from": "/a", "path": "/c"}, {"op": "add", "path": "/c/b", "value": 2}],
        {"a": {"b": 1}, "c": {"b": 2}},
    ),
    ({"a": 1}, [{"op": "replace", "path": "", "value": [1]}], [1]),
    ({"": 1}, [{"op": "add", "path": "/", "value": 2}], {"": 2}),
]

REFUSED: list[tuple[Any, list[Any], str]] = [
    ({"baz": "qux"}, [{"op": "test", "path": "/baz", "value": "bar"}], "operation 0 .* is not as the test says"),
    ({"foo": 1}, [{"op": "test", "path": "/foo", "value": True}], "is not as the test says"),
    ({"foo": "bar"}, [{"op": "add", "path": "/baz/bat", "value": "qux"}], "/baz/bat does not exist"),
    ({"a": [1]}, [{"op": "add", "path": "/a/2", "value": 1}], "there are 1 elements"),
    ({"a": [1]}, [{"op": "remove", "path": "/a/01"}], "does not exist"),
    ({"a": [1]}, [{"op": "remove", "path": "/a/-"}], "does not exist"),
    ({}, [{"op": "add", "path": "/a", "value": 1}, {"op": "replace", "path": "/b", "value": 1}], "operation 1 "),
    ({"a": {"b": 1}}, [{"op": "move", "from": "/a", "path": "/a/b/c"}], "moved into itself"),
    ({"a": 1}, [{"op": "add", "path": "/a/b", "value": 1}], "single value"),
    ({}, [{"op": "add", "path": "a", "value": 1}], "begin with a slash"),
    ({}, [{"op": "add", "path": "/a"}], 'needs a "value"'),
    ({}, [{"op": "move", "path": "/a"}], 'needs a "from"'),
    ({}, [{"op": "remove"}], 'no "path"'),
    ({}, [{"op": "spin", "path": "/a"}], "none of add"),
    ({}, [{"op": "remove", "path": ""}], "whole document"),
    ({}, ["add"], "no object"),
]


@pytest.mark.parametrize(("document", "patch", "result"), DONE)
def test_what_a_patch_makes(document: Any, patch: list[Any], result: Any) -> None:
    before = repr(document)
    assert patched(document, patch) == result
    assert repr(document) == before, "the original stays as it was"


@pytest.mark.parametrize(("document", "patch", "why"), REFUSED)
def test_a_patch_that_does_not_fit_is_refused_whole(document: Any, patch: list[Any], why: str) -> None:
    with pytest.raises(InvalidArgument, match=why):
        patched(document, patch)
