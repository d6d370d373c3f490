"""Why datums run and what would run, said in words."""

from __future__ import annotations

import pytest
from pps_world import Failed, Inputs, Recovered, World, copy, cross, glob

from trunkline.errors import FailedPrecondition, InvalidArgument, NotFound
from trunkline.model.names import Job, Pipeline
from trunkline.model.plan import RowClass
from trunkline.model.specs import PipelineSpec, Transform
from trunkline.pps.datums.forecast import Forecast, forecast
from trunkline.pps.datums.reasons import DatumReason, why


def reasons(world: World, name: str = "edges") -> dict[str, DatumReason]:
    """Of the newest job, by the datum's files."""
    found = why(world.files, world.pps.tables, world.last(name).job)
    return {",".join(one.paths): one for one in found}


def test_the_first_job_has_seen_nothing_before(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    one = reasons(world)["/a"]
    assert (one.fate, one.reason) == (RowClass.RUN, "first seen: the pipeline has no job before this one")
    assert one.ran_in == world.last("edges").job


def test_new_changed_and_unchanged(world: World) -> None:
    before = world.put({"/a": b"1", "/b": b"2"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    first = world.last("edges").job
    after = world.put({"/a": b"9", "/c": b"3"})
    world.pump()
    found = reasons(world)
    assert found["/a"].reason == f"changed: data:/a ({before} to {after})"
    assert [(one.path, one.before.id, one.after.id) for one in found["/a"].changes] == [("/a", before, after)]
    assert found["/b"].reason == f"the result of job {first.id} holds: its inputs have not changed"
    assert (found["/b"].fate, found["/b"].ran_in) == (RowClass.SKIP, first)
    assert found["/c"].reason == f"first seen: job {first.id} did not have it"
    (one,) = why(world.files, world.pps.tables, world.last("edges").job, found["/c"].datum)
    assert one == found["/c"]


def test_only_the_side_that_changed_is_named(world: World) -> None:
    world.repo("other")
    world.put({"/a": b"1"})
    world.put({"/x": b"5"}, "other")
    world.pipeline("both", lambda inputs: {"/o": b"1"}, cross(glob("/*"), glob("/", "other")))
    world.pump()
    world.put({"/x": b"6"}, "other")
    world.pump()
    (one,) = reasons(world, "both").values()
    assert [(change.input, change.path) for change in one.changes] == [("other", "/")]


def test_failures_salt_and_every_job(world: World) -> None:
    def fussy(inputs: Inputs) -> dict[str, bytes]:
        made = copy(inputs)
        if "/bad" in made:
            raise Failed("always")
        if "/odd" in made:
            raise Recovered("odd")
        return made

    world.put({"/a": b"1", "/odd": b"2"})
    world.pipeline("edges", fussy, glob("/*"))
    world.pump()
    first = world.last("edges").job
    world.put({"/bad": b"3"})
    world.pump()
    found = reasons(world)
    assert found["/odd"].reason == f"an earlier attempt failed in job {first.id}, and err_cmd made it good: exit 1: odd"
    world.put({"/bad": None, "/c": b"4"})
    world.pump()
    world.pipeline("edges", fussy, glob("/*"), update=True, reprocess=True)
    world.pump()
    assert reasons(world)["/a"].reason == "new salt: the pipeline was updated to reprocess everything"
    world.pipeline("edges", fussy, glob("/*"), update=True, every_job=True)
    world.pump()
    assert reasons(world)["/a"].reason.startswith("every_job: ")


def test_what_a_failed_job_did_well_is_adopted(world: World) -> None:
    def fails(inputs: Inputs) -> dict[str, bytes]:
        made = copy(inputs)
        if made.get("/b") == b"bad":
            raise Failed("no")
        return made

    world.put({"/a": b"1", "/b": b"bad"})
    world.pipeline("edges", fails, glob("/*"))
    world.pump()
    failed = world.last("edges").job
    world.put({"/b": b"good"})
    world.pump()
    found = reasons(world)
    assert (found["/a"].fate, found["/a"].ran_in) == (RowClass.ADOPTED, failed)
    assert found["/a"].reason == f"job {failed.id} had run it well before it ended badly"
    assert found["/b"].reason == f"no job before this one ended well (the last, {failed.id}: FAILURE)"


def test_results_of_older_code_are_marked(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    world.put({"/b": b"2"})
    world.pipeline("edges", copy, glob("/*"), update=True, transform=world.transform("another"))
    world.pump()
    found = reasons(world)
    assert (found["/a"].older_code, found["/b"].older_code) == (True, False)


def test_what_is_not_there_is_refused(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"))
    job = world.last("edges").job
    with pytest.raises(FailedPrecondition, match="inspect job"):
        list(why(world.files, world.pps.tables, job))
    world.pump()
    with pytest.raises(NotFound):
        list(why(world.files, world.pps.tables, job, "0" * 64))
    with pytest.raises(InvalidArgument):
        list(why(world.files, world.pps.tables, job, "a"))
    with pytest.raises(NotFound):
        list(why(world.files, world.pps.tables, Job(Pipeline("default", "edges"), "0" * 32)))


def foreseen(world: World, *, reprocess: bool = False, **more: object) -> Forecast:
    spec = PipelineSpec(Pipeline("default", "edges"), Transform(cmd=("run", "edges")), glob("/*"), **more)  # type: ignore[arg-type]
    return forecast(world.files, world.pps.tables, spec, world.opened(glob("/*")), reprocess=reprocess)


def test_what_would_run_is_foreseen(world: World) -> None:
    world.put({"/a": b"1", "/b": b"2"})
    world.pump()
    first = foreseen(world)
    assert (first.runs, first.total, first.datum_us, first.estimate_us(2)) == (2, 2, 0, 0)
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    same = foreseen(world)
    assert (same.runs, same.total, same.datum_us, same.older_code) == (0, 2, 5, False)
    again = foreseen(world, reprocess=True)
    assert (again.runs, again.estimate_us(1), again.estimate_us(2), again.estimate_us(0)) == (2, 10, 5, 10)
    assert again.reasons[0][1].startswith("new salt")
    assert foreseen(world, every_job=True).runs == 2


def test_a_forecast_knows_other_code(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    spec = PipelineSpec(Pipeline("default", "edges"), Transform(cmd=("run", "else")), glob("/*"))
    found = forecast(world.files, world.pps.tables, spec, world.opened(glob("/*")))
    assert (found.runs, found.older_code) == (0, True)
