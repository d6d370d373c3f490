"""How pipelines are doing: standby, at work, paused, failed, crashing; what is worth an alert."""

from __future__ import annotations

from typing import Any

from pps_world import World, copy, glob

from trunkline.model.jobs import PipelineState
from trunkline.model.names import Branch, Job, Pipeline
from trunkline.pfs.graph import branches
from trunkline.pps import jobs, pipelines
from trunkline.pps.states.condition import alerts, with_workers

HOUR_US = 3_600_000_000


def info(world: World, name: str = "edges") -> Any:
    return world.files.catalog.read(lambda tx: jobs.inspect_pipeline(tx, Pipeline("default", name)))


def state(world: World, name: str = "edges") -> str:
    return str(info(world, name).state.value)


def test_a_pipeline_that_scales_stands_by_while_there_is_nothing_to_do(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"), autoscaling=True)
    assert state(world) == "RUNNING"
    world.pump()
    assert state(world) == "STANDBY"
    assert info(world).workers_requested == 0
    assert "nothing to do" in info(world).reason
    world.put({"/b": b"2"})
    assert state(world) == "RUNNING"
    assert info(world).workers_requested == 1
    world.pump()
    assert state(world) == "STANDBY"
    world.reopen()
    assert state(world) == "STANDBY"


def test_a_pipeline_that_does_not_scale_runs_always(world: World) -> None:
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    assert state(world) == "RUNNING"


def test_it_is_up_until_its_last_job_is_over(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"), autoscaling=True)
    began = info(world).up_us
    world.clock.advance(60)
    world.put({"/b": b"2"})
    world.pump(work=False)
    assert info(world).up_us == began
    world.pump()
    assert info(world).up_us is None


def test_a_job_that_is_deleted_keeps_nobody_up(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"), autoscaling=True)
    world.pump(work=False)
    name = world.last("edges").job
    world.files.catalog.transact(lambda tx: jobs.delete_job(tx, Job(name.pipeline, name.id)))
    assert state(world) == "STANDBY"


def test_stopped_and_started(world: World) -> None:
    edges = Pipeline("default", "edges")
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"), autoscaling=True)
    world.files.change(lambda change: pipelines.stop_pipeline(change, edges))
    assert state(world) == "PAUSED"
    world.pump()
    assert state(world) == "PAUSED"
    world.files.change(lambda change: pipelines.start_pipeline(change, edges))
    assert state(world) == "RUNNING"
    world.pump()
    assert state(world) == "STANDBY"
    world.files.change(lambda change: pipelines.stop_pipeline(change, edges))
    world.files.change(lambda change: pipelines.start_pipeline(change, edges))
    assert state(world) == "STANDBY"  # its inputs are those of a job that went well


def test_too_long_at_work_is_an_alert(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"), autoscaling=True, maximum_expected_uptime_us=HOUR_US)
    now_us = world.clock.now_us()
    assert alerts(info(world), now_us + HOUR_US - 10**6) == []
    late = alerts(info(world), now_us + HOUR_US + 305 * 10**6)
    assert late == ["up for 1h5m5s, and 1h is the most that its spec expects"]
    world.pump()
    assert alerts(info(world), now_us + 9 * HOUR_US) == []


def test_a_pipeline_whose_input_is_gone_has_failed(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    branch = Branch(Pipeline("default", "data").output, "master")
    world.files.change(lambda change: branches.delete_branch(change, branch, force=True))
    assert state(world) == "FAILURE"
    assert alerts(info(world), 0) == [
        "failure: its input branch default/data@master was deleted; update the pipeline to read another"
    ]


def test_who_has_work_and_no_worker_crashes_and_comes_back(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"), autoscaling=True)
    crashing = with_workers(info(world), "none of 2 runs; a worker died (killed)")
    assert crashing.state is PipelineState.CRASHING
    assert alerts(crashing, 0) == ["crashing: its jobs wait for a worker: none of 2 runs; a worker died (killed)"]
    assert with_workers(info(world), "").state is PipelineState.RUNNING
    world.pump()
    assert with_workers(info(world), "none of 2 runs").state is PipelineState.STANDBY
    world.files.change(lambda change: pipelines.stop_pipeline(change, Pipeline("default", "edges")))
    assert with_workers(info(world), "none of 2 runs").state is PipelineState.PAUSED
