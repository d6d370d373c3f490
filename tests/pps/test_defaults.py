"""Defaults of the cluster and of projects: what pipelines get from them, and when."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pps_world import World, copy

from trunkline.catalog.work.pipelines import VersionRow
from trunkline.errors import InvalidArgument, NotFound
from trunkline.model.names import Pipeline
from trunkline.model.specs.defaults import read_defaults
from trunkline.pfs.graph import repos
from trunkline.pps import jobs
from trunkline.pps.images.resolving import Rules
from trunkline.pps.specs import defaults, requests
from trunkline.pps.specs.defaults import CLUSTER, EMPTY, Outcome, Wish
from trunkline.pps.specs.requests import Request

SPEC: dict[str, Any] = {
    "pipeline": {"name": "edges"},
    "transform": {"cmd": ["run", "edges"]},
    "input": {"pfs": {"repo": "data", "glob": "/*"}},
}
REGENERATE = Wish(regenerate=True)


def document(**fields: object) -> str:
    return json.dumps({"createPipelineRequest": fields})


def set_defaults(
    world: World, text: str, project: str = CLUSTER, wish: Wish = Wish(), rules: Rules = Rules()
) -> Outcome:
    return world.files.change(
        lambda change: defaults.set_defaults(change, text, rules, project=project, wish=wish, by="ada")
    )


def create(world: World, rules: Rules = Rules(), **fields: object) -> VersionRow:
    request = Request({**SPEC, **fields}, update=True)
    return world.files.change(lambda change: requests.create(change, request, rules)).row


def effective(world: World, name: str = "edges") -> dict[str, Any]:
    return json.loads(inspect(world, name).effective_spec)


def inspect(world: World, name: str = "edges") -> jobs.PipelineInfo:
    return world.files.catalog.read(lambda tx: jobs.inspect_pipeline(tx, Pipeline("default", name)))


def test_a_spec_lies_on_its_project_and_that_on_the_cluster(world: World) -> None:
    given = Rules(given={"salt": "", "description": "the fleet", "datum_tries": 9})
    set_defaults(world, document(datumTries=5, transform={"env": {"A": "cluster", "B": "cluster", "C": "cluster"}}))
    set_defaults(world, document(transform={"env": {"B": "project", "C": "project"}}), "default")
    create(world, given, transform={"cmd": ["run"], "env": {"C": "spec"}})
    found = effective(world)
    assert found["transform"]["env"] == {"A": "cluster", "B": "project", "C": "spec"}
    assert (found["description"], found["datum_tries"]) == ("the fleet", 5)
    assert "datum_tries" not in json.loads(inspect(world).user_spec)


def test_null_takes_away_what_lies_below(world: World) -> None:
    set_defaults(world, document(datumTries=5, jobTimeout="1h", transform={"env": {"A": "a", "B": "b"}}))
    set_defaults(world, document(jobTimeout=None, transform={"env": {"A": None}}), "default")
    create(world, transform={"cmd": ["run"], "env": {"B": None}}, datum_tries=None)
    found = effective(world)
    assert found["datum_tries"] == 3
    assert "job_timeout" not in found
    assert "env" not in found["transform"]


def test_other_projects_do_not_see_them(world: World) -> None:
    world.files.catalog.transact(lambda tx: repos.create_project(tx, "other"))
    set_defaults(world, document(datum_tries=7), "other")
    create(world)
    assert effective(world)["datum_tries"] == 3
    source = {"pfs": {"project": "default", "repo": "data", "glob": "/*"}}
    row = create(world, pipeline={"name": "edges", "project": {"name": "other"}}, input=source)
    assert json.loads(row.effective_spec)["datum_tries"] == 7


def test_pipelines_keep_what_they_were_made_with_unless_regenerated(world: World) -> None:
    world.put({"/a": b"1", "/b": b"2"})
    world.code = dict.fromkeys(("edges", "fixed"), copy)
    create(world)
    create(world, pipeline={"name": "fixed"}, datum_tries=2)
    world.pump()
    text = document(datumTries=4)
    assert set_defaults(world, text) == Outcome((), (Pipeline("default", "edges"),))
    assert effective(world)["datum_tries"] == 3
    assert set_defaults(world, text, wish=REGENERATE).affected == (Pipeline("default", "edges"),)
    assert (effective(world)["datum_tries"], inspect(world).version, inspect(world, "fixed").version) == (4, 2, 1)
    assert "datum_tries" not in json.loads(inspect(world).user_spec)
    world.pump()
    assert world.counts("edges") == "SUCCESS 0+2/2"
    assert set_defaults(world, text, wish=REGENERATE) == Outcome()


def test_reprocess_regenerates_and_runs_every_datum(world: World) -> None:
    world.put({"/a": b"1", "/b": b"2"})
    world.code = {"edges": copy}
    create(world)
    world.pump()
    assert set_defaults(world, document(datumTries=4), wish=Wish(reprocess=True)).affected
    world.pump()
    assert world.counts("edges") == "SUCCESS 2+0/2"


def test_a_pipeline_that_could_not_be_regenerated_refuses_all(world: World) -> None:
    create(world)
    create(world, pipeline={"name": "busy"}, datum_set_spec={"per_worker": 3})
    with pytest.raises(
        InvalidArgument, match=r"pipeline default/busy cannot be regenerated .*cannot be combined with number"
    ):
        set_defaults(world, document(datumSetSpec={"number": 2}), wish=REGENERATE)
    assert world.files.catalog.read(defaults.get_defaults).document == EMPTY
    assert inspect(world).version == 1


def test_defaults_are_shown_as_they_were_written_and_go_with_their_project(world: World) -> None:
    world.files.catalog.transact(lambda tx: repos.create_project(tx, "other"))
    set_defaults(world, "createPipelineRequest:\n  datumTries: '4'  # why\n", "other")
    row = world.files.catalog.read(lambda tx: defaults.get_defaults(tx, "other"))
    assert (json.loads(row.document), row.created_by) == ({"createPipelineRequest": {"datumTries": "4"}}, "ada")
    assert world.files.catalog.read(defaults.get_defaults).document == EMPTY
    world.files.catalog.transact(lambda tx: repos.delete_project(tx, "other"))
    world.files.catalog.transact(lambda tx: repos.create_project(tx, "other"))
    assert world.files.catalog.read(lambda tx: defaults.get_defaults(tx, "other")).document == EMPTY
    for text in ("{}", EMPTY):
        set_defaults(world, document(datumTries=4))
        set_defaults(world, text)
        assert world.files.catalog.read(defaults.get_defaults).document == EMPTY


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty; write {} for none"),
        ("[1", "line 1"),
        ("{} {}", "one object, found 2"),
        ('{"createPipelineRequests": {}}', 'did you mean "createPipelineRequest"'),
        (
            '{"createPipelineRequest":\n{"datumTrys": 1}}',
            r"createPipelineRequest.datumTrys \(line 2, column 15\): unknown",
        ),
        (document(datumTries=-1), "datumTries .*cannot be negative"),
        (document(pipeline={"name": "x"}), "says which pipeline"),
        (document(salt="x", update=True), "in 2 places"),
        (document(podPatch="{"), "malformed PodPatch"),
        (document(transform={"env": {"A B": "x"}}), "cannot name an environment variable"),
    ],
)
def test_a_document_that_is_none_is_refused(world: World, text: str, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        set_defaults(world, text)
    with pytest.raises(NotFound, match="nowhere"):
        set_defaults(world, "{}", "nowhere")


def test_a_default_may_be_what_a_spec_cannot_be_without() -> None:
    for fields in (
        {"spout": {"service": {"internalPort": 80}}},
        {"transform": {"image": "a"}},
        {"transform": None},
        {},
    ):
        assert read_defaults(document(**fields)).layer.keys() == fields.keys()


def test_a_rerun_keeps_the_defaults_of_its_version(world: World) -> None:
    world.code = {"edges": copy}
    world.put({"/a": b"1"})
    create(world)
    world.pump()
    set_defaults(world, document(datumTries=4))
    pipeline = Pipeline("default", "edges")
    world.files.change(lambda change: requests.rerun(change, pipeline, Rules()))
    assert (effective(world)["datum_tries"], inspect(world).version) == (3, 2)
    world.pump()
    world.files.change(lambda change: requests.rerun(change, pipeline, Rules(), reprocess=True))
    world.pump()
    assert world.counts("edges") == "SUCCESS 1+0/1"


def test_a_salt_in_the_spec_does_not_hinder_reprocessing(world: World) -> None:
    world.put({"/a": b"1"})
    world.code = {"edges": copy}
    create(world, salt="mine")
    world.pump()
    again = Request({**SPEC, "salt": "mine"}, update=True, reprocess=True)
    world.files.change(lambda change: requests.create(change, again, Rules()))
    world.pump()
    assert world.counts("edges") == "SUCCESS 1+0/1"


def test_what_is_about_the_call_is_not_kept(world: World) -> None:
    create(world, update=True, reprocess=True)
    assert json.loads(inspect(world).user_spec).keys() == SPEC.keys()
    assert Request(json.dumps({**SPEC, "dryRun": True})).tries
    assert not Request("{").tries
