"""What a job says that nobody works on, when no worker runs at all."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from trunkline.api.rpc.bridge import Bridge
from trunkline.api.rpc.call import Call
from trunkline.api.rpc.events import Events
from trunkline.api.work.jobs import JobDoor
from trunkline.catalog.engine import Wake
from trunkline.model.infos_pps import JobInfo, ProcessStats
from trunkline.model.jobs import JobState
from trunkline.model.names import Commit, Job, Pipeline
from trunkline.pps import jobs as pps_jobs
from trunkline.wire.gen import pps_v2_pb2 as pps

JOB = Job(Pipeline("default", "edges"), "a" * 32)
DEAD = "none of 2 runs; a worker died (exit 1: no space left on device)"


def info(reason: str) -> JobInfo:
    commit = Commit(JOB.pipeline.output, JOB.id)
    return JobInfo(JOB, 1, commit, 0, 0, 0, 0, 0, 4, ProcessStats(), JobState.RUNNING, reason, 1, 1, None, 1)


@pytest.mark.parametrize(
    ("reason", "trouble", "told"),
    [
        ("waits for a worker: none works now", DEAD, f"waits for a worker: {DEAD}"),
        ("waits for a worker: 2 are busy with montage", "", "waits for a worker: 2 are busy with montage"),
        ("waits for images@1 to be finished", DEAD, "waits for images@1 to be finished"),
    ],
)
def test_dead_workers_are_the_reason(monkeypatch: pytest.MonkeyPatch, reason: str, trouble: str, told: str) -> None:
    monkeypatch.setattr(pps_jobs, "inspect_job", lambda tx, job: info(reason))
    files: Any = SimpleNamespace(catalog=SimpleNamespace(read=lambda f: f(None)))
    request = pps.InspectJobRequest(job=pps.Job(pipeline=pps.Pipeline(name="edges"), id=JOB.id))

    async def ask() -> pps.JobInfo:
        bridge = Bridge()
        door = JobDoor(files, bridge, Events(Wake(), asyncio.get_running_loop()), trouble=lambda: trouble)
        answer = await door.InspectJob(request, Call("/pps_v2.API/InspectJob"))
        bridge.close()
        return answer

    assert asyncio.run(ask()).reason == told
