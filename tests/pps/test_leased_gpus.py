"""Ranges of pipelines that ask for GPUs: no more are leased than their machine has devices for."""

from __future__ import annotations

from leased import start
from pps_world import Worker, World

from trunkline.model.names import Pipeline
from trunkline.model.specs.spec import Gpu, Resources
from trunkline.pps import claims


def test_no_more_is_leased_than_there_are_gpus_for(world: World) -> None:
    """Two of a machine's three: one worker has them, a second waits, and others go on with what needs none."""
    start(world, 8, resource_limits=Resources(gpu=Gpu("nvidia.com/gpu", 2)))
    start(world, 8, "plain")
    other, third = Worker(world, "w2"), Worker(world, "w3")
    assert not world.worker.claim(workers=3, gpus=1, pipeline=Pipeline("default", "edges"))
    assert world.worker.claim(workers=3, gpus=3, pipeline=Pipeline("default", "edges"))
    assert not other.claim(workers=3, gpus=3, pipeline=Pipeline("default", "edges"))
    assert other.claim(workers=3, gpus=3)
    assert other.handed is not None
    assert other.handed.leased.job.job.pipeline.name == "plain"
    assert third.claim(workers=3, gpus=4, pipeline=Pipeline("default", "edges"))
    world.files.catalog.transact(lambda tx: claims.worker_gone(tx, "w3", "killed"))
    assert Worker(world, "w4").claim(workers=3, gpus=4, pipeline=Pipeline("default", "edges"))
