"""What is processed and what is skipped: behaviour C.16, line by line, through real catalog, storage and claims."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from pps_world import Failed, Inputs, Recovered, World, copy, cross, glob
from sqlalchemy import update

from trunkline.catalog.tables_pps import pipeline_versions
from trunkline.model.names import Pipeline
from trunkline.pps.images.resolving import Rules
from trunkline.pps.specs import requests

OLD = {"/a": b"1", "/b": b"2", "/c": b"3"}


@pytest.mark.parametrize(
    ("pattern", "edit", "counts", "content"),
    [
        ("/*", {"/d": b"4"}, "SUCCESS 1+3/4", {**OLD, "/d": b"4"}),
        ("/*", {"/a": b"9"}, "SUCCESS 1+2/3", {**OLD, "/a": b"9"}),
        ("/*", {"/a": None}, "SUCCESS 0+2/2", {"/b": b"2", "/c": b"3"}),
        ("/", {"/d": b"4"}, "SUCCESS 1+0/1", {**OLD, "/d": b"4"}),
        ("/", {"/a": None}, "SUCCESS 1+0/1", {"/b": b"2", "/c": b"3"}),
        ("/*", {"/b": b"2"}, "SUCCESS 0+3/3", OLD),
        ("/*", {"/a": None, "/b": None, "/c": None}, "SUCCESS 0+0/0", {}),
        ("/*", {"/a": None, "/d": b"1"}, "SUCCESS 1+2/3", {"/b": b"2", "/c": b"3", "/d": b"1"}),
    ],
    ids=["add", "change", "delete", "slash-add", "slash-delete", "same-bytes", "delete-all", "rename"],
)
def test_an_edit_processes_only_what_changed(
    world: World, pattern: str, edit: Mapping[str, bytes | None], counts: str, content: Mapping[str, bytes]
) -> None:
    world.put(OLD)
    world.pipeline("edges", copy, glob(pattern))
    world.pump()
    world.put(edit)
    world.pump()
    assert world.counts("edges") == counts
    assert world.content("edges") == content


def test_empty_inputs_give_a_job_without_datums(world: World) -> None:
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    assert world.counts("edges") == "SUCCESS 0+0/0"
    assert world.content("edges") == {}


def test_an_update_runs_nothing_again_and_reprocess_everything(world: World) -> None:
    world.put(OLD)
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    world.pipeline("edges", lambda inputs: dict.fromkeys(copy(inputs), b"new"), glob("/*"), update=True)
    world.pump()
    assert world.counts("edges") == "SUCCESS 0+3/3"
    assert world.content("edges") == OLD
    world.pipeline("edges", world.code["edges"], glob("/*"), update=True, reprocess=True)
    world.pump()
    assert world.counts("edges") == "SUCCESS 3+0/3"
    assert world.content("edges") == dict.fromkeys(OLD, b"new")
    assert [job.version for job in world.jobs("edges")] == [3, 2, 1]


def test_a_cross_with_the_whole_of_the_other_side_runs_all_again(world: World) -> None:
    world.repo("other")
    world.put({"/a": b"1", "/b": b"2"})
    world.put({"/x": b"5"}, "other")
    world.pipeline(
        "both",
        lambda inputs: {next(iter(inputs["data"])): b"".join(inputs["other"].values())},
        cross(glob("/*"), glob("/", "other")),
    )
    world.pump()
    assert world.counts("both") == "SUCCESS 2+0/2"
    world.put({"/x": b"6"}, "other")
    world.pump()
    assert world.counts("both") == "SUCCESS 2+0/2"
    assert world.content("both") == {"/a": b"6", "/b": b"6"}
    world.put({"/c": b"3"})
    world.pump()
    assert world.counts("both") == "SUCCESS 1+2/3"


def failing_on(bad: bytes) -> object:
    """Code that copies, and fails where it reads `bad`."""

    def code(inputs: Inputs) -> dict[str, bytes]:
        if bad in copy(inputs).values():
            raise Failed("bad bytes")
        return copy(inputs)

    return code


def test_one_datum_fails_and_the_next_commit_starts_from_the_last_good_base(world: World) -> None:
    world.put(OLD)
    world.pipeline("edges", failing_on(b"bad"), glob("/*"))
    world.pipeline("down", copy, glob("/*", "edges"))
    world.pump()
    assert world.counts("down") == "SUCCESS 3+0/3"
    world.put({"/d": b"bad", "/e": b"5"})
    world.pump()
    assert world.counts("edges") == "FAILURE 1+3/5 failed=1"
    assert world.last("edges").reason.startswith("1 of 5 datums failed")
    assert world.counts("down") == "UNRUNNABLE 0+0/0"
    assert "edges" in world.last("down").reason
    ran = len(world.worker.ran)
    world.put({"/d": b"good"})
    world.pump()
    assert world.counts("edges") == "SUCCESS 1+4/5"  # /e was run by the job that failed, and is adopted
    assert world.worker.ran[ran:] == [("edges", "/d"), ("down", "/d"), ("down", "/e")]
    assert world.content("edges") == {**OLD, "/d": b"good", "/e": b"5"}
    assert world.content("down") == world.content("edges")


def test_results_of_failures_are_adopted_through_a_chain_of_them(world: World) -> None:
    world.put({"/a": b"1", "/bad": b"bad"})
    world.pipeline("edges", failing_on(b"bad"), glob("/*"))
    world.pump()
    for number in range(3):
        world.put({f"/{number}": b"%d" % number})
        world.pump()
        assert world.last("edges").state.value == "FAILURE"
    assert [path for _, path in world.worker.ran if path != "/bad"] == ["/a", "/0", "/1", "/2"]
    world.put({"/bad": None})
    world.pump()
    assert world.counts("edges") == "SUCCESS 0+4/4"
    assert world.content("edges") == {"/a": b"1", "/0": b"0", "/1": b"1", "/2": b"2"}


def test_a_rerun_takes_over_what_a_failed_job_did_well(world: World) -> None:
    world.put({"/a": b"1", "/bad": b"bad"})
    world.pipeline("edges", failing_on(b"bad"), glob("/*"))
    world.pump()
    assert world.counts("edges") == "FAILURE 1+0/2 failed=1"
    again = Pipeline("default", "edges")
    world.files.change(lambda change: requests.rerun(change, again, Rules()))
    world.pump()
    assert world.counts("edges") == "FAILURE 0+1/2 failed=1"
    world.pipeline("edges", copy, glob("/*"), update=True, datum_tries=1)  # another version: nothing of those before
    world.pump()
    assert world.counts("edges") == "SUCCESS 2+0/2"
    world.put({"/bad2": b"bad"})
    world.pipeline("edges", failing_on(b"bad"), glob("/*"), update=True)
    world.pump()
    ran = len(world.worker.ran)
    world.files.change(lambda change: requests.rerun(change, again, Rules(), reprocess=True))
    world.pump()
    assert len(world.worker.ran) == ran + 3


def test_a_rerun_takes_nothing_over_that_another_image_made(world: World) -> None:
    world.put({"/a": b"1", "/bad": b"bad"})
    world.pipeline("edges", failing_on(b"bad"), glob("/*"))
    world.pump()
    before = update(pipeline_versions).values(image_digest="0" * 64)  # what the name of its image stood for then
    world.files.catalog.transact(lambda tx: tx.execute(before))
    world.files.change(lambda change: requests.rerun(change, Pipeline("default", "edges"), Rules()))
    world.pump()
    assert world.counts("edges") == "FAILURE 1+0/2 failed=1"


def test_a_recovered_datum_does_not_fail_the_job_and_is_tried_again(world: World) -> None:
    def code(inputs: Inputs) -> dict[str, bytes]:
        if b"odd" in copy(inputs).values():
            raise Recovered("odd bytes")
        return copy(inputs)

    world.put({"/a": b"1", "/b": b"odd"})
    world.pipeline("edges", code, glob("/*"))
    world.pump()
    assert world.counts("edges") == "SUCCESS 1+0/2 recovered=1"
    assert world.content("edges") == {"/a": b"1"}
    world.put({"/c": b"3"})
    world.pump()
    assert world.counts("edges") == "SUCCESS 1+1/3 recovered=1"


def test_two_datums_that_write_one_path_fail_the_job_and_both_are_named(world: World) -> None:
    world.put({"/a": b"1", "/b": b"2"})
    world.pipeline("edges", lambda inputs: {"/same": b"".join(copy(inputs).values())}, glob("/*"))
    world.pump()
    job = world.last("edges")
    assert job.state.value == "FAILURE"
    assert "/same" in job.reason
    world.put({"/c": b"3"})
    world.pump()
    assert world.last("edges").state.value == "FAILURE"
    assert "/same" in world.last("edges").reason
    world.put({"/a": None, "/b": None})
    world.pump()
    assert world.counts("edges") == "SUCCESS 0+1/1"
    assert world.content("edges") == {"/same": b"3"}


def test_a_path_may_move_from_one_datum_to_another(world: World) -> None:
    def code(inputs: Inputs) -> dict[str, bytes]:
        return {b.decode(): b for b in copy(inputs).values()}

    world.put({"/a": b"/x", "/b": b"/y"})
    world.pipeline("edges", code, glob("/*"))
    world.pump()
    world.put({"/a": b"/z", "/b": b"/x"})
    world.pump()
    assert world.counts("edges") == "SUCCESS 2+0/2"
    assert world.content("edges") == {"/z": b"/z", "/x": b"/x"}


def test_every_job_never_skips(world: World) -> None:
    world.put(OLD)
    world.pipeline("edges", copy, glob("/*"), every_job=True)
    world.pump()
    world.put({"/d": b"4"})
    world.pump()
    assert world.counts("edges") == "SUCCESS 4+0/4"
    assert world.content("edges") == {**OLD, "/d": b"4"}


def test_every_job_adopts_nothing_either(world: World) -> None:
    world.put({"/a": b"1", "/b": b"bad"})
    world.pipeline("edges", failing_on(b"bad"), glob("/*"), every_job=True)
    world.pump()
    world.put({"/b": b"good"})
    world.pump()
    assert world.counts("edges") == "SUCCESS 2+0/2"
