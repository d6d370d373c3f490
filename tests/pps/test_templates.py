"""Templates of specs: what they give, what is wrong with them, and what they cannot do to the server."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from trunkline.errors import InvalidArgument, ResourceExhausted, Unimplemented
from trunkline.pps.specs import templates
from trunkline.pps.specs.evaluate import refusal
from trunkline.pps.specs.templates import render

pytestmark = pytest.mark.skipif(find_spec("_gojsonnet") is None, reason="needs gojsonnet")

TWO = """\
// edges, then a montage of them
function(suffix, src='images', tries='2')
  assert std.length(suffix) > 0 : 'the suffix is empty';
  local name(stem) = stem + '-' + suffix;
  local spec(stem, input, glob) = {
    pipeline: { name: name(stem) },
    transform: { cmd: ['run', stem] },
    input: { pfs: { repo: input, glob: glob } },
    datumTries: std.parseInt(tries),
  };
  [spec('edges', src, '/*'), spec('montage', name('edges'), '/')]
"""


def test_one_template_gives_several_specs() -> None:
    found = render(TWO, {"suffix": "a", "tries": "4"})
    assert [one["pipeline"]["name"] for one in found.specs] == ["edges-a", "montage-a"]
    assert found.specs[1]["input"] == {"pfs": {"repo": "edges-a", "glob": "/"}}
    assert {one["datum_tries"] for one in found.specs} == {4}
    assert json.loads(found.json)[0]["datumTries"] == 4


def test_a_template_may_be_no_function() -> None:
    assert render("{pipeline: {name: 'ä'}}", {}).specs == ({"pipeline": {"name": "ä"}},)


@pytest.mark.parametrize(
    ("template", "args", "words"),
    [
        (TWO, {}, 'needs the argument "suffix": give --arg suffix=VALUE'),
        (TWO, {"suffix": "a", "sufix": "b"}, 'takes no argument "sufix"'),
        (TWO, {"suffix": ""}, "line 3, column 3: the suffix is empty"),
        ("{}", {"a": "1"}, "takes no arguments, found a"),
        ("function(a)\n  {a: }", {"a": "1"}, "line 2, column 7: Unexpected"),
        ("function(a) {pipeline: b}", {"a": "1"}, "line 1, column 24: Unknown variable: b"),
        ("", {}, "line 1, column 1: "),
        ("function(a) '1'", {"a": "1"}, "expected an object"),
        ("{pipelin: {}}", {}, 'did you mean "pipeline"'),
        ("[{pipeline: {}}, {datumTries: 'x'}]", {}, r"the spec that the template gives is invalid: \[1\].datumTries"),
        ("local f(x) = f(x + 1); f(1)", {}, "max stack frames"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(template: str, args: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        render(template, args)


@pytest.mark.parametrize("verb", ["import", "importstr", "importbin"])
def test_a_template_cannot_read_files_of_the_server(verb: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("{}")
    with pytest.raises(InvalidArgument, match="cannot import anything"):
        render(f"{{pipeline: {{name: {verb} '{tmp_path / 'secret'}'}}}}", {})


def test_a_template_that_never_ends_is_ended() -> None:
    with pytest.raises(ResourceExhausted, match="make it do less"):
        render("std.foldl(function(all, _) all + all, std.range(1, 60), 'much more')", {})
    with pytest.raises(InvalidArgument, match="larger than 1 MiB"):
        render(" " * templates.MAX_BYTES + "{}", {})


def test_without_an_evaluator_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "find_spec", lambda _name: None)
    with pytest.raises(Unimplemented, match="gojsonnet"):
        render("{}", {})


def test_what_the_evaluator_says_without_a_place_is_kept() -> None:
    assert refusal("RUNTIME ERROR: odd\n") == {"error": "odd", "line": 0, "column": 0}
