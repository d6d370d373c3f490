"""Jobs on a real catalog: waiting, stops, deletions, bases that still run, listings, logs, datums."""

from __future__ import annotations

import json

import pytest
from pps_world import Failed, Worker, World, copy, cross, glob

from trunkline.catalog.collection.filesets import held_by
from trunkline.catalog.work import instructions as instruction_rows
from trunkline.catalog.work.logs import SegmentRow, plain
from trunkline.errors import FailedPrecondition, InvalidArgument, NotFound
from trunkline.model.jobs import DatumState, JobState
from trunkline.model.names import MASTER, Job, Pipeline
from trunkline.pfs.graph import commits
from trunkline.pps import datums, jobs, logs
from trunkline.pps.logs import LogQuery, Segment
from trunkline.pps.machine import JOB_HOLDER, TABLE_HOLDER

EDGES = Pipeline("default", "edges")


def begin(world: World, repo: str = "data") -> str:
    """An open commit on a repo's master; its id."""
    branch = world.branch(repo)
    return world.files.change(lambda change: commits.start_commit(change, branch)).id


def end(world: World, repo: str = "data") -> None:
    """Close the open commit."""
    world.files.catalog.transact(lambda tx: commits.finish_commit(tx, world.branch(repo).repo, MASTER))


def test_a_job_waits_for_its_inputs_and_says_so(world: World) -> None:
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    commit = begin(world)
    world.pump()
    job = world.last("edges")
    assert (job.job.id, job.state) == (commit, JobState.STARTING)
    assert job.reason == f"waits for data@{commit} to be finished"
    world.put({"/a": b"1"})
    end(world)
    world.pump()
    assert world.counts("edges") == "SUCCESS 1+0/1"


def test_new_datums_run_while_the_base_still_does(world: World) -> None:
    world.put({"/a": b"1", "/b": b"2"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump(work=False)
    assert world.worker.claim()  # holds both datums of the first job
    world.put({"/c": b"3"})
    world.pump(work=False)
    other = Worker(world, "w2")
    assert other.work()
    assert other.ran == [("edges", "/c")]
    world.pump(work=False)
    second = world.last("edges")
    first = world.jobs("edges")[1].job
    assert second.state is JobState.RUNNING
    assert second.reason == f"waits for job edges@{first.id}, on which it builds"
    world.pump()
    assert [job.state for job in world.jobs("edges")] == [JobState.SUCCESS, JobState.SUCCESS]
    assert world.counts("edges") == "SUCCESS 1+2/3"
    assert world.content("edges") == {"/a": b"1", "/b": b"2", "/c": b"3"}


def test_a_killed_base_hands_on_what_it_has_done(world: World) -> None:
    world.put({"/a": b"1", "/b": b"2"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump(work=False)
    world.worker.work(1)
    world.put({"/c": b"3"})
    world.pump(work=False)
    first = world.jobs("edges")[1].job
    world.files.catalog.transact(lambda tx: jobs.stop_job(tx, first))
    world.worker = Worker(world, "w2")
    world.pump()
    assert [job.state for job in world.jobs("edges")] == [JobState.SUCCESS, JobState.KILLED]
    assert world.counts("edges") == "SUCCESS 2+1/3"
    assert world.content("edges") == {"/a": b"1", "/b": b"2", "/c": b"3"}
    assert sorted(path for _, path in world.worker.ran) == ["/b", "/c"]


def test_the_output_of_a_killed_job_can_be_read(world: World) -> None:
    world.put({"/a": b"1", "/b": b"2"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump(work=False)
    world.worker.work(1)
    job = world.last("edges").job
    world.files.catalog.transact(lambda tx: jobs.stop_job(tx, job, "enough"))
    world.worker.handed = None
    world.pump()
    assert world.content("edges", job.id) == {"/a": b"1"}
    info = world.files.catalog.read(lambda tx: commits.inspect_commit(tx, EDGES.output, job.id))
    assert info.error == "enough"


def test_a_failure_upstream_makes_everything_downstream_unrunnable(world: World) -> None:
    def bad(inputs: object) -> dict[str, bytes]:
        raise Failed("always")

    world.put({"/a": b"1"})
    world.pipeline("edges", bad, glob("/*"))
    world.pipeline("mid", copy, glob("/*", "edges"))
    world.pipeline("end", copy, cross(glob("/*", "mid"), glob("/", "data")))
    world.put({"/b": b"2"})
    world.pump()
    assert world.last("edges").state is JobState.FAILURE
    assert [world.last(name).state for name in ("mid", "end")] == [JobState.UNRUNNABLE] * 2
    assert "the upstream pipeline edges failed" in world.last("mid").reason
    assert world.last("end").reason == world.last("mid").reason  # what went wrong, once, however far away


def test_a_stopped_set_is_stopped_as_a_whole(world: World) -> None:
    world.pipeline("edges", copy, glob("/*"))
    world.pipeline("down", copy, glob("/*", "edges"))
    world.pump()
    commit = world.put({"/a": b"1"})
    members = [Job(Pipeline("default", name), commit) for name in ("edges", "down")]
    world.files.catalog.transact(lambda tx: [jobs.stop_job(tx, member) for member in members])
    world.pump()
    found = world.files.catalog.read(lambda tx: jobs.inspect_set(tx, commit))
    assert [(one.job.pipeline.name, one.state) for one in found.jobs] == [
        ("edges", JobState.KILLED),
        ("down", JobState.KILLED),
    ]


def test_a_deleted_job_is_no_base_and_gives_nothing_to_adopt(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    job = world.last("edges").job
    world.files.catalog.transact(lambda tx: jobs.delete_job(tx, job))
    assert world.jobs("edges") == []
    assert world.content("edges") == {"/a": b"1"}
    world.put({"/b": b"2"})
    world.pump()
    assert world.counts("edges") == "SUCCESS 2+0/2"
    assert world.content("edges") == {"/a": b"1", "/b": b"2"}


def test_a_base_whose_record_is_deleted_takes_no_output_with_it(world: World) -> None:
    world.put({"/a": b"1", "/b": b"2"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    base = world.last("edges").job
    world.put({"/c": b"3"})
    for number in range(40):
        world.controller.step()
        world.worker.work()
        if number % 2 and world.last("edges").job != base and world.last("edges").state is JobState.FINISHING:
            break
    world.files.catalog.transact(lambda tx: jobs.delete_job(tx, base))
    world.pump()
    assert world.last("edges").state is JobState.SUCCESS
    assert world.content("edges") == {"/a": b"1", "/b": b"2", "/c": b"3"}


def test_a_job_that_runs_can_be_deleted(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump(work=False)
    assert world.worker.claim()
    job = world.last("edges").job
    world.put({"/b": b"2"})
    world.pump(work=False)
    world.files.catalog.transact(lambda tx: jobs.delete_job(tx, job))
    world.pump()
    assert [one.state for one in world.jobs("edges")] == [JobState.SUCCESS]
    assert world.content("edges") == {"/a": b"1", "/b": b"2"}
    with pytest.raises(NotFound):
        world.files.catalog.read(lambda tx: jobs.inspect_job(tx, job))


def test_datums_say_why_they_ran_and_what_became_of_them(world: World) -> None:
    world.put({"/a": b"1", "/b": b"2"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    first = world.last("edges").job
    world.pipeline("edges", copy, glob("/*"), update=True, transform=world.transform("other"))
    world.put({"/b": b"3", "/c": b"4"})
    world.pump()
    job = world.last("edges").job
    found = datums.list_datums(world.files, world.pps.tables, job)
    by_path = {one.files[0].path: one for one in found}
    assert [one.id for one in found] == sorted(one.id for one in found)
    assert {path: one.state for path, one in by_path.items()} == {
        "/a": DatumState.SKIPPED,
        "/b": DatumState.SUCCESS,
        "/c": DatumState.SUCCESS,
    }
    assert {path: one.index for path, one in by_path.items()} == {"/a": 0, "/b": 1, "/c": 2}
    assert by_path["/a"].ran_in == first
    assert by_path["/a"].code_is_older
    assert not by_path["/b"].code_is_older
    assert by_path["/a"].reason.startswith("unchanged")
    assert by_path["/b"].reason.startswith("changed")
    assert by_path["/c"].reason.startswith("new")
    assert by_path["/c"].stats.process_us == 5
    one = datums.inspect_datum(world.files, world.pps.tables, job, found[1].id)
    assert one == found[1]
    with pytest.raises(NotFound, match="not found in job"):
        datums.inspect_datum(world.files, world.pps.tables, job, "00" * 32)
    with pytest.raises(InvalidArgument, match="64 hex digits"):
        datums.inspect_datum(world.files, world.pps.tables, job, "a")


def test_datums_are_listed_in_pages_and_by_state_while_the_job_runs(world: World) -> None:
    world.put({f"/{n}": b"%d" % n for n in range(7)})
    world.pipeline("edges", copy, glob("/*"))
    world.pump(work=False)
    world.worker.work(2)
    job = world.last("edges").job

    def page(**given: object) -> list[str]:
        return [one.id for one in datums.list_datums(world.files, world.pps.tables, job, **given)]  # type: ignore[arg-type]

    everything = page()
    assert len(everything) == 7
    assert page(number=3) + page(after=everything[2], number=3) + page(after=everything[5]) == everything
    assert page(reverse=True) == everything[::-1]
    assert page(reverse=True, after=everything[3]) == everything[2::-1]
    assert len(page(states=[DatumState.SUCCESS])) == 2
    assert len(page(states=[DatumState.STARTING])) == 1
    assert len(page(states=[DatumState.UNKNOWN])) == 4


def test_a_preview_makes_the_datums_of_an_input_without_a_job(world: World) -> None:
    world.put({"/a": b"1", "/b": b"2"})
    world.repo("other")
    world.put({"/x": b"1"}, "other")
    world.pump()
    root = cross(glob("/*"), glob("/*", "other"))
    table = datums.preview(root, "default", world.opened(root))
    assert [[one.path for one in table.datum(row)] for row in range(len(table))] == [["/a", "/x"], ["/b", "/x"]]


def line(message: str, datum: str = "", user: bool = True, at_us: int = 5) -> bytes:
    """A line as workers write it."""
    return json.dumps({"ts": at_us, "datum": datum, "user": user, "message": message}).encode() + b"\n"


GOLDEN_SEGMENT = bytes.fromhex(
    "7801ab562a2956b25230d451504a492c29cd05b295129328834a40c34a8b538b8066951495a60279b9a9c5c589e9a920c30fef512828ca"
    "cc2b494d51aae5aa86d86e846c3b92eeb4c49c6234edc58999208d001c7f3bdd"
)
"""A segment of two lines, as the catalog keeps it."""


def test_lines_that_were_written_once_are_read_for_ever() -> None:
    assert [json.loads(line) for line in plain(SegmentRow(1, 1, None, "w", 1, 2, 2, GOLDEN_SEGMENT)).splitlines()] == [
        {"ts": 1, "datum": "ab" * 32, "user": True, "message": "\u00fc printed"},
        {"ts": 2, "datum": "", "user": False, "message": "said"},
    ]


def test_logs_are_kept_and_found_by_job_pipeline_and_datum(world: World) -> None:
    world.put({"/a": b"1", "/b": b"2"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump(work=False)
    assert world.worker.claim()
    assert world.worker.handed is not None
    claim = world.worker.handed.leased.claim.id
    data = line("begins", user=False) + line("one", "aa") + line("two", "bb", at_us=9)
    world.pump()
    late = Segment(claim, 5, 9, 3, data)  # the claim has ended by now
    world.files.catalog.transact(lambda tx: logs.write(tx, "w1", [late]))
    world.reopen()
    job = world.last("edges").job

    def found(**given: object) -> list[str]:
        page = world.files.catalog.read(lambda tx: logs.page(tx, LogQuery(**given)))  # type: ignore[arg-type]
        return [one.message for one in page.lines]

    assert found(job=job) == ["begins", "one", "two"]
    assert found(pipeline=EDGES) == ["begins", "one", "two"]
    assert found(job=job, datums=frozenset({"bb"})) == ["two"]
    assert found(job=job, datums=frozenset()) == []
    assert found(job=job, since_us=6) == ["two"]
    told = found(job=job, master=True)
    assert "2 datums: 2 to run, 0 skipped" in told
    assert told[-1] == "the job ended: SUCCESS"
    with pytest.raises(InvalidArgument, match="pipeline or a job"):
        found()
    ids = datums.matching_ids(world.files, world.pps.tables, job, ["/a"])
    assert len(ids) == 1
    world.files.catalog.transact(lambda tx: jobs.delete_job(tx, job))
    assert found(pipeline=EDGES) == []


def test_lines_are_found_by_the_files_of_their_datums(world: World) -> None:
    world.put({"/a": b"1", "/b": b"2"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump(work=False)
    assert world.worker.claim()
    handed = world.worker.handed
    assert handed is not None
    said = [(raw.as_py().hex(), path) for raw, path in zip(handed.datums.ids, ("/a", "/b"), strict=True)]
    data = line("begins", user=False) + b"".join(line(f"on {path}", name) for name, path in said)
    world.files.catalog.transact(lambda tx: logs.write(tx, "w1", [Segment(handed.leased.claim.id, 5, 9, 3, data)]))
    page = world.files.catalog.read(lambda tx: logs.page(tx, LogQuery(pipeline=EDGES)))

    def found(*filters: str) -> list[tuple[str, tuple[str, ...]]]:
        lines = datums.with_inputs(world.files, world.pps.tables, page.lines, filters)
        return [(one.message, tuple(path for path, _ in one.inputs)) for one in lines]

    assert found() == [("begins", ()), ("on /a", ("/a",)), ("on /b", ("/b",))]
    assert found("/b") == [("on /b", ("/b",))]
    told = datums.with_inputs(world.files, world.pps.tables, page.lines, ["/b"])
    assert found(told[0].inputs[0][1].hex()) == [("on /b", ("/b",))]
    assert found("/c") == []
    job = world.last("edges").job
    world.files.catalog.transact(lambda tx: jobs.delete_job(tx, job))
    assert found() == [("begins", ()), ("on /a", ()), ("on /b", ())]


def test_a_log_is_followed_page_by_page(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump(work=False)
    assert world.worker.claim()
    assert world.worker.handed is not None
    claim = world.worker.handed.leased.claim.id
    job = world.last("edges").job
    query = LogQuery(job=job)
    seen: list[str] = []
    after = 0
    for number in range(50):
        one = Segment(claim, 5, 5, 1, line(str(number)))
        world.files.catalog.transact(lambda tx, one=one: logs.write(tx, "w1", [one]))
        page = world.files.catalog.read(lambda tx, at=after: logs.page(tx, query, at))
        seen += [each.message for each in page.lines]
        after = page.after
        assert not page.ended
    assert seen == [str(number) for number in range(50)]
    world.pump()
    assert world.files.catalog.read(lambda tx: logs.page(tx, query, after)).ended


def test_what_a_job_held_is_let_go_when_it_is_over(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    seq = world.row(world.last("edges").job).seq
    assert world.files.catalog.read(lambda tx: held_by(tx, JOB_HOLDER, str(seq))) == []
    assert len(world.files.catalog.read(lambda tx: held_by(tx, TABLE_HOLDER, str(seq)))) == 1
    assert world.files.catalog.read(instruction_rows.list_all) == []


def test_a_job_says_which_pipelines_keep_the_workers_busy(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump(work=False)
    assert world.last("edges").reason == "waits for a worker: none works now"
    assert world.worker.claim()
    world.pipeline("other", copy, glob("/*"))
    world.pump(work=False)
    assert world.last("edges").reason == ""
    assert world.last("other").reason == "waits for a worker: 1 is busy with edges"


@pytest.mark.parametrize("open_input", [True, False])
@pytest.mark.parametrize("state", [JobState.KILLED, JobState.FAILURE])
def test_a_job_is_ended_in_the_state_that_is_asked_for(world: World, open_input: bool, state: JobState) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump(work=False)
    if open_input:
        world.pump()
        begin(world)
        world.pump(work=False)
    job = world.last("edges").job

    def told(wanted: JobState | None, reason: str = "") -> None:
        world.files.catalog.transact(lambda tx: jobs.set_state(tx, job, wanted, reason))

    for wrong in (JobState.SUCCESS, JobState.UNRUNNABLE, JobState.EGRESSING):
        with pytest.raises(FailedPrecondition, match="from outside a job can only be ended"):
            told(wrong)
    with pytest.raises(InvalidArgument):
        told(None)
    told(world.last("edges").state)  # where it is already
    told(state, "enough")
    world.pump(work=False)
    info = world.last("edges")
    assert (info.state, info.reason) == (state, "enough")
    told(state)
    with pytest.raises(FailedPrecondition, match=f"has ended: it is {state.value}"):
        told(JobState.KILLED if state is JobState.FAILURE else JobState.FAILURE)
    commit = world.files.catalog.read(lambda tx: commits.inspect_commit(tx, job.pipeline.output, job.id))
    assert commit.error == "enough"
