"""Published shapes of pipelines that no example runs: files grouped by two keys, and a union over two projects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from whole import Site

from trunkline.testing.serving import PachdProcess

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with PachdProcess(tmp_path_factory.mktemp("pachd"), ("--workers", "2")) as server:
        yield Site(server)


def test_results_are_grouped_by_hospital_and_by_patient_and_each_group_is_counted(site: Site) -> None:
    """The number of a laboratory, or that of a patient, is what a glob caught in the names of the files."""
    site.pachctl("create", "repo", "labresults")
    results = {
        "T1-LIPID-PATID1-CLIA7.txt": "a\n",
        "T2-LIPID-PATID2-CLIA7.txt": "b\n",
        "T3-BLOOD-PATID1-CLIA9.txt": "c\n",
    }
    site.put("labresults", **results)
    globs = {"hospital": "/*-CLIA(*).txt", "patient": "/*-PATID(*)-*.txt"}
    for kind, pattern in globs.items():
        grouped = {"group": [{"pfs": {"repo": "labresults", "glob": pattern, "group_by": "$1"}}]}
        gather = 'mkdir /pfs/out/$PACH_DATUM_labresults_GROUP_BY && cp /pfs/labresults/* "$_"'
        site.create(f"by-{kind}", {"cmd": ["bash"], "stdin": [gather]}, input=grouped)
        reduce = "for d in /pfs/in/*; do cat $d/* | wc -l > /pfs/out/$(basename $d); done"
        each = {"pfs": {"repo": f"by-{kind}", "name": "in", "glob": "/*"}}
        site.create(f"reduce-{kind}", {"cmd": ["bash"], "stdin": [reduce]}, input=each)
    assert site.counts("by-hospital") == site.counts("by-patient") == ("success", 2, 0)
    assert site.counts("reduce-hospital") == ("success", 2, 0)
    assert site.tree("reduce-hospital") == {"/7": "2\n", "/9": "1\n"}
    assert site.counts("reduce-patient") == ("success", 2, 0)
    assert site.tree("reduce-patient") == {"/1": "2\n", "/2": "1\n"}
    site.put("labresults", **{"T4-BLOOD-PATID3-CLIA9.txt": "d\n"})
    assert site.counts("by-hospital") == ("success", 1, 1), "the other hospital's group is as it was"


def test_pictures_of_two_projects_are_drawn_as_one_union(site: Site) -> None:
    site.pachctl("create", "project", "staging")
    site.pachctl("create", "repo", "images")
    site.pachctl("create", "repo", "images", "--project", "staging")
    site.put("images", liberty="liberty", one="same")
    for path, data in {"/kitten": b"kitten", "/two": b"same"}.items():
        site.pachctl("put", "file", f"images@master:{path}", "--project", "staging", stdin=data)
    both: list[dict[str, Any]] = [
        {"pfs": {"repo": "images", "glob": "/*", "name": "images"}},
        {"pfs": {"project": "staging", "repo": "images", "glob": "/*", "name": "images"}},
    ]
    draw = "for f in /pfs/images/*; do tr a-z A-Z < $f > /pfs/out/$(basename $f); done"
    site.create("edges", {"cmd": ["sh"], "stdin": [draw]}, input={"union": both})
    assert site.counts("edges") == ("success", 4, 0)
    assert site.tree("edges") == {"/liberty": "LIBERTY", "/one": "SAME", "/kitten": "KITTEN", "/two": "SAME"}
    site.pachctl("put", "file", "images@master:/three", "--project", "staging", stdin=b"third")
    assert site.counts("edges") == ("success", 1, 4)
    branch = json.loads(site.pachctl("inspect", "branch", "edges@master", "--raw"))
    projects = {each["repo"]["project"]["name"] for each in branch["direct_provenance"]}
    assert projects == {"default", "staging"}


EDGES = """
function(suffix, src) {
  pipeline: { name: "edges-" + suffix },
  transform: { cmd: ["sh"], stdin: ["tr a-z A-Z < $%s > /pfs/out/$(basename $%s)" % [src, src]] },
  input: { pfs: { name: src, glob: "/*", repo: src } },
}
"""
MONTAGE = """
function(suffix, left, right) {
  pipeline: { name: "montage-" + suffix },
  transform: { cmd: ["sh"], stdin: ["cat /pfs/%s/* /pfs/%s/* > /pfs/out/montage" % [left, right]] },
  input: { cross: [{ pfs: { glob: "/", repo: each } } for each in [left, right]] },
}
"""


@pytest.mark.skipif(find_spec("_gojsonnet") is None, reason="needs gojsonnet")
def test_one_template_of_each_kind_makes_a_dag_of_any_repo(site: Site, tmp_path: Path) -> None:
    for name, text in (("edges", EDGES), ("montage", MONTAGE)):
        (tmp_path / f"{name}.jsonnet").write_text(text)
    for suffix, source in (("1", "cats"), ("2", "dogs")):
        site.pachctl("create", "repo", source)
        site.put(source, a=f"{source} a\n", b=f"{source} b\n")
        for name, given in (
            ("edges", {"suffix": suffix, "src": source}),
            ("montage", {"suffix": suffix, "left": source, "right": f"edges-{suffix}"}),
        ):
            arguments = [word for key, value in given.items() for word in ("--arg", f"{key}={value}")]
            site.pachctl("create", "pipeline", "--jsonnet", str(tmp_path / f"{name}.jsonnet"), *arguments)
        assert site.counts(f"edges-{suffix}") == ("success", 2, 0)
        assert site.counts(f"montage-{suffix}") == ("success", 1, 0)
        lines = [f"{source} a", f"{source} b"]
        assert site.tree(f"montage-{suffix}")["/montage"].splitlines() == lines + [line.upper() for line in lines]
    said = site.refused("create", "pipeline", "--jsonnet", str(tmp_path / "edges.jsonnet"), "--arg", "suffix=3")
    assert "src" in said
