"""Cron inputs on a clock that only moves when told: ticks, catching up, stopping, changing, deleting."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from pps_world import copy, cross, glob

from trunkline.errors import FailedPrecondition, InvalidArgument, NotFound
from trunkline.model.infos import Trigger
from trunkline.model.names import Branch, Pipeline, Repo
from trunkline.model.specs import Combination, CronInput
from trunkline.model.specs.scalars import instant_text, instant_us
from trunkline.pfs.graph import branches, repos
from trunkline.pfs.ticker import Ticker, TriggerSchedules
from trunkline.pps import logs, pipelines
from trunkline.pps.schedules.ticks import CronSchedules, run_cron

START = "2026-03-01T10:00:00Z"
TICKS = "clock_tick"
CLOCK = Pipeline("default", "clock")


def cron(spec: str = "@hourly", name: str = "tick", pipeline: str = "clock", **more: object) -> CronInput:
    return CronInput("default", str(more.pop("repo", f"{pipeline}_{name}")), name, spec, **more)  # type: ignore[arg-type]


@pytest.fixture
def clock(world):
    """A world at ten o'clock."""
    world.clock.advance((instant_us(START) - world.clock.now_us()) / 1e6)
    return world


def pass_time(world, seconds: float = 0) -> int:
    """Let time pass, and everything that follows; how many ticks there were."""
    world.clock.advance(seconds)
    ticker = Ticker(world.files, [TriggerSchedules(world.files), CronSchedules(world.files)])
    before = len(world.content(TICKS)) if has_repo(world) else 0
    while ticker.step():
        pass
    world.pump()
    return len(world.content(TICKS)) - before if has_repo(world) else 0


def has_repo(world, name: str = TICKS) -> bool:
    try:
        return bool(world.files.catalog.read(lambda tx: repos.inspect_repo(tx, Repo("default", name))))
    except NotFound:
        return False


def names(world, repo: str = TICKS) -> list[str]:
    return sorted(world.content(repo))


def test_a_tick_is_an_empty_file_named_by_its_hour(clock):
    clock.pipeline("clock", copy, cron())
    clock.pump()
    assert clock.counts("clock") == "SUCCESS 0+0/0"
    assert pass_time(clock, 3599) == 0
    assert pass_time(clock, 2) == 1
    assert clock.content(TICKS) == clock.content("clock") == {"/2026-03-01T11:00:00Z": b""}
    assert clock.counts("clock") == "SUCCESS 1+0/1"
    assert pass_time(clock, 3600) == 1
    assert clock.counts("clock") == "SUCCESS 1+1/2"


def test_ticks_that_were_missed_come_one_by_one(clock):
    clock.pipeline("clock", copy, cron())
    clock.pump()
    assert pass_time(clock, 3 * 3600 + 1) == 3
    assert names(clock) == [f"/2026-03-01T{hour}:00:00Z" for hour in (11, 12, 13)]
    assert len(clock.jobs("clock")) == 4


def test_of_very_many_missed_ticks_the_newest_come(clock, monkeypatch):
    monkeypatch.setattr("trunkline.pps.schedules.ticks.MISSED", 3)
    clock.pipeline("clock", copy, cron("@hourly", start_us=instant_us("2016-03-01T12:00:00Z")))
    assert pass_time(clock) == 3
    assert names(clock) == [f"/2026-03-01T{hour}:00:00Z" for hour in ("08", "09", "10")]
    query = logs.LogQuery(pipeline=CLOCK, master=True)
    said = [line.message for line in clock.files.catalog.read(lambda tx: logs.page(tx, query)).lines]
    assert "more than 3 ticks were missed: those before 2026-03-01T08:00:00Z are left out" in said
    assert pass_time(clock, 3600) == 1


def test_a_start_in_the_past_is_made_up_for(clock):
    clock.pipeline("clock", copy, cron("@daily", start_us=instant_us("2026-02-26T12:00:00Z")))
    assert pass_time(clock) == 3
    assert names(clock) == ["/2026-02-27T00:00:00Z", "/2026-02-28T00:00:00Z", "/2026-03-01T00:00:00Z"]
    assert pass_time(clock) == 0


def test_overwrite_keeps_the_newest_tick_only(clock):
    clock.pipeline("clock", copy, cron(overwrite=True))
    clock.pump()
    pass_time(clock, 2 * 3600 + 1)
    assert names(clock) == ["/2026-03-01T12:00:00Z"]
    assert clock.content("clock") == clock.content(TICKS)
    assert clock.counts("clock") == "SUCCESS 1+0/1"


@pytest.mark.parametrize("jump", [3600, -3600])
def test_a_clock_that_steps_an_hour_and_back_ticks_once_a_tick(clock, jump):
    clock.pipeline("clock", copy, cron("@every 10m"))
    clock.pump()
    for seconds in (1201, jump, 0, -jump, 300, 301, 3600, 3600):
        pass_time(clock, seconds)
    found = names(clock)
    wanted, at_us = [], instant_us(START)
    while (at_us := at_us + 600_000_000) <= clock.clock.now_us():
        wanted.append(f"/{instant_text(at_us)}")
    assert found == wanted
    assert len(clock.jobs("clock")) == len(wanted) + 1  # a tick is a job, and there is the first one


def test_a_tick_once_made_is_not_made_again_after_a_kill(clock):
    clock.pipeline("clock", copy, cron())
    clock.pump()
    clock.clock.advance(3601)
    schedules = CronSchedules(clock.files)
    ((key, tick_us),) = clock.files.catalog.read(lambda tx: schedules.due(tx, clock.clock.now_us()))
    schedules.tick(key, tick_us)
    clock.reopen()
    CronSchedules(clock.files).tick(key, tick_us)  # what a loop would do that had not heard of it
    assert pass_time(clock) == 0
    assert names(clock) == ["/2026-03-01T11:00:00Z"]


def test_a_kill_before_the_transaction_leaves_the_tick_to_be_made(clock, monkeypatch):
    clock.pipeline("clock", copy, cron())
    clock.pump()
    clock.clock.advance(3601)
    catalog = clock.files.catalog
    transact, left = type(catalog).transact, [1]

    def die(self, function, seed=None):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return transact(self, function, seed)

    for alive in range(4):  # transactions of a tick: the session, then the tick itself
        left[0] = alive
        with monkeypatch.context() as patch:
            patch.setattr(type(catalog), "transact", die)
            with suppress(KeyboardInterrupt):
                Ticker(clock.files, [CronSchedules(clock.files)]).step()
        clock.reopen()
        catalog = clock.files.catalog
    assert pass_time(clock) in (0, 1)
    assert names(clock) == ["/2026-03-01T11:00:00Z"]
    assert len(clock.jobs("clock")) == 2


def test_run_cron_ticks_at_once_and_leaves_the_schedule_alone(clock):
    clock.pipeline("clock", copy, cron())
    clock.pump()
    run_cron(clock.files, CLOCK)
    run_cron(clock.files, CLOCK)
    clock.pump()
    assert names(clock) == ["/2026-03-01T10:00:00.000001Z", "/2026-03-01T10:00:00Z"]
    assert clock.counts("clock") == "SUCCESS 1+1/2"
    assert pass_time(clock, 3601) == 1
    assert names(clock)[-1] == "/2026-03-01T11:00:00Z"


def test_run_cron_with_several_inputs_is_one_job(clock):
    both = Combination("cross", (cron(), cron("@daily", "day")))
    clock.pipeline("clock", copy, both)
    clock.pump()
    run_cron(clock.files, CLOCK)
    clock.pump()
    assert len(clock.jobs("clock")) == 2
    assert names(clock) == names(clock, "clock_day") == ["/2026-03-01T10:00:00Z"]
    assert clock.counts("clock") == "SUCCESS 1+0/1"


def test_run_cron_says_why_it_cannot(clock):
    clock.pipeline("plain", copy, glob("/*"))
    with pytest.raises(FailedPrecondition, match="plain has no cron input; `pachctl rerun pipeline`"):
        run_cron(clock.files, Pipeline("default", "plain"))
    with pytest.raises(NotFound, match="pipeline default/plan not found; did you mean plain"):
        run_cron(clock.files, Pipeline("default", "plan"))
    clock.pipeline("clock", copy, cron())
    clock.files.change(lambda change: pipelines.stop_pipeline(change, CLOCK))
    with pytest.raises(FailedPrecondition, match="is stopped; start it with `pachctl start pipeline clock`"):
        run_cron(clock.files, CLOCK)


def test_a_cross_runs_on_commits_and_on_ticks(clock):
    clock.put({"/a": b"1"})
    clock.pipeline("clock", copy, cross(glob("/*"), cron(overwrite=True)))
    clock.pump()
    assert clock.counts("clock") == "SUCCESS 0+0/0"
    pass_time(clock, 3601)
    assert clock.content("clock") == {"/a": b"1", "/2026-03-01T11:00:00Z": b""}
    clock.put({"/a": b"2"})
    clock.pump()
    assert clock.content("clock") == {"/a": b"2", "/2026-03-01T11:00:00Z": b""}


def test_a_stopped_pipeline_makes_up_for_its_ticks_when_it_starts(clock):
    clock.pipeline("clock", copy, cron())
    clock.pump()
    clock.files.change(lambda change: pipelines.stop_pipeline(change, CLOCK))
    assert pass_time(clock, 2 * 3600 + 1) == 0
    clock.files.change(lambda change: pipelines.start_pipeline(change, CLOCK))
    assert pass_time(clock) == 2
    assert clock.counts("clock").startswith("SUCCESS")


def test_an_update_keeps_an_unchanged_schedule_and_begins_a_changed_one_now(clock):
    clock.pipeline("clock", copy, cron("@every 1h"))
    clock.pump()
    clock.clock.advance(1800)
    clock.pipeline("clock", copy, cron("@every 1h"), update=True)
    clock.pump()
    assert pass_time(clock, 1801) == 1
    clock.clock.advance(1800)
    clock.pipeline("clock", copy, cron("@every 50m"), update=True)
    clock.pump()
    assert pass_time(clock, 2000) == 0
    assert pass_time(clock, 1001) == 1
    clock.pipeline("clock", copy, cron("@never"), update=True)
    assert pass_time(clock, 10**6) == 0


def test_an_input_that_comes_back_has_its_ticks_again(clock):
    clock.pipeline("clock", copy, cron())
    assert pass_time(clock, 3601) == 1
    clock.pipeline("clock", copy, glob("/*"), update=True)
    assert pass_time(clock, 7200) == 0
    clock.pipeline("clock", copy, cron(), update=True)
    assert pass_time(clock, 3600) == 1
    assert names(clock) == ["/2026-03-01T11:00:00Z", "/2026-03-01T14:00:00Z"]


def delete(world, **more):
    world.files.change(lambda change: pipelines.delete_pipeline(change, CLOCK, **more))
    world.pump()


def test_ticks_go_with_their_pipeline(clock):
    clock.pipeline("clock", copy, cron())
    pass_time(clock, 3601)
    delete(clock)
    assert not has_repo(clock)
    assert pass_time(clock, 3600) == 0


def test_ticks_that_others_read_stay(clock):
    clock.pipeline("clock", copy, cron())
    clock.pipeline("reader", copy, glob("/*", TICKS))
    pass_time(clock, 3601)
    delete(clock)
    assert names(clock) == ["/2026-03-01T11:00:00Z"]
    assert clock.content("reader") == {"/2026-03-01T11:00:00Z": b""}


def test_a_repo_that_was_there_before_takes_ticks_and_stays(clock):
    clock.repo("mine")
    clock.put({"/kept": b"1"}, "mine")
    clock.pipeline("clock", copy, cron(repo="mine"))
    pass_time(clock, 3601)
    assert sorted(clock.content("mine")) == ["/2026-03-01T11:00:00Z", "/kept"]
    delete(clock)
    assert has_repo(clock, "mine")


def test_repos_that_cannot_take_ticks(clock):
    clock.pipeline("clock", copy, cron())
    with pytest.raises(FailedPrecondition, match="which has those of pipeline default/clock"):
        clock.pipeline("other", copy, cron(repo=TICKS))
    with pytest.raises(FailedPrecondition, match="which belongs to a pipeline"):
        clock.pipeline("other", copy, cron(repo="clock"))
    with pytest.raises(InvalidArgument, match=r"two cron inputs .* into one repo"):
        clock.pipeline(
            "other", copy, cross(cron(pipeline="other"), replace(cron("@daily", pipeline="other"), name="x"))
        )
    assert not clock.has("other")


def test_a_deleted_repo_of_ticks_stops_them_until_an_update(clock):
    clock.pipeline("clock", copy, cron())
    clock.pump()
    clock.files.change(lambda change: repos.delete_repo(change, Repo("default", TICKS), force=True))
    pass_time(clock, 3601)
    assert not has_repo(clock)
    with pytest.raises(NotFound, match="was deleted; update the pipeline"):
        run_cron(clock.files, CLOCK)
    clock.pipeline("clock", copy, cron(), update=True)
    assert pass_time(clock, 3600) == 1


def test_two_who_ask_at_the_same_time_both_get_a_tick(clock, monkeypatch):
    clock.pipeline("clock", copy, cron())
    clock.pump()
    from trunkline.pps.schedules import ticks

    make, raced = ticks._make, []

    def race(files, wanted, note):
        if not raced:
            raced.append(1)
            run_cron(files, CLOCK)  # somebody else, between the look and the transaction
        return make(files, wanted, note)

    monkeypatch.setattr(ticks, "_make", race)
    run_cron(clock.files, CLOCK)
    assert len(names(clock)) == 2


# --- triggers of inputs


def branch_of(world, name: str, repo: str = "data"):
    return world.files.catalog.read(lambda tx: branches.inspect_branch(tx, Branch(Repo("default", repo), name)))


def test_an_input_with_a_trigger_reads_a_branch_of_its_own(clock):
    clock.pipeline("late", copy, glob("/*", branch="late-trigger-1", trigger=Trigger("master", commits=2)))
    clock.pump()
    assert len(clock.jobs("late")) == 1
    clock.put({"/a": b"1"})
    clock.pump()
    assert len(clock.jobs("late")) == 1
    clock.put({"/b": b"2"})
    clock.pump()
    assert clock.counts("late") == "SUCCESS 2+0/2"
    assert clock.content("late") == {"/a": b"1", "/b": b"2"}
    assert branch_of(clock, "late-trigger-1").head == branch_of(clock, "master").head
    clock.pipeline("late", copy, glob("/*", branch="late-trigger-1", trigger=Trigger("master", commits=1)), update=True)
    clock.put({"/c": b"3"})
    clock.pump()
    assert clock.counts("late") == "SUCCESS 1+2/3"
    clock.files.change(lambda change: pipelines.delete_pipeline(change, Pipeline("default", "late")))
    assert branch_of(clock, "late-trigger-1").trigger == Trigger("master", commits=1)


def test_an_input_with_a_schedule_reads_at_each_tick_what_came(clock):
    clock.pipeline("late", copy, glob("/*", branch="late-trigger-1", trigger=Trigger("master", cron_spec="@hourly")))
    clock.put({"/a": b"1"})
    clock.put({"/b": b"1"})
    pass_time(clock, 10)
    assert clock.counts("late") == "SUCCESS 0+0/0"
    pass_time(clock, 3600)
    assert clock.counts("late") == "SUCCESS 2+0/2"
    pass_time(clock, 3600)
    assert len(clock.jobs("late")) == 2


def test_an_input_with_a_rate_limit_leaves_out_what_comes_too_soon(clock):
    often = Trigger("master", rate_limit_spec="@hourly")
    clock.pipeline("late", copy, glob("/*", branch="late-trigger-1", trigger=often))
    runs = []
    for minutes in (59, 2, 30, 28, 2):  # after ten: 10:59, 11:01, 11:31, 11:59, 12:01
        clock.clock.advance(60 * minutes)
        clock.put({f"/{len(runs)}": b"1"})
        clock.pump()
        runs.append(len(clock.jobs("late")))
    assert runs == [1, 2, 2, 2, 3]
    assert clock.counts("late") == "SUCCESS 3+2/5"


def test_two_inputs_of_one_branch_need_one_trigger(clock):
    with pytest.raises(InvalidArgument, match="different triggers; a branch has one"):
        clock.pipeline(
            "late",
            copy,
            cross(
                glob("/*", branch="x", trigger=Trigger("master", commits=2)),
                glob("/*", name="more", branch="x", trigger=Trigger("master", commits=3)),
            ),
        )
