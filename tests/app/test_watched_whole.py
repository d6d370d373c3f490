"""What is told while pipelines run, with real workers: jobs and lines as they come, counts, tasks, lost workers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from queue import Queue
from typing import Any

import grpc
import pytest
from whole import Site

from trunkline.ambient import RealAmbient
from trunkline.testing.serving import PachdProcess, documents
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.gen import pps_v2_pb2_grpc, taskapi_pb2

pytestmark = pytest.mark.timeout(180)
COPY = {"cmd": ["sh"], "stdin": ["cp /pfs/in/* /pfs/out/"]}
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with PachdProcess(tmp_path_factory.mktemp("pachd"), ("--workers", "1")) as server:
        yield Site(server)


@pytest.fixture(scope="module")
def calls(site: Site) -> Iterator[Any]:
    with grpc.insecure_channel(site.server.address) as channel:
        yield pps_v2_pb2_grpc.APIStub(channel)


@pytest.fixture
def gate() -> Iterator[Gate]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        yield Gate(listener)


class Gate:
    """A port at which code waits until it is let through."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener

    @property
    def script(self) -> str:
        """What code does there, for bash; its last line is what it was let through with."""
        return f"exec 3<>/dev/tcp/127.0.0.1/{self._listener.getsockname()[1]}; head -n 1 <&3"

    def come(self) -> socket.socket:
        """Whoever waits there next."""
        return self._listener.accept()[0]


def make(site: Site, name: str, transform: dict[str, Any], **spec: Any) -> None:
    site.pachctl("create", "repo", f"{name}-in")
    site.create(name, transform, **spec)


def test_jobs_are_told_as_they_come(site: Site, calls: Any) -> None:
    make(site, "told", COPY)
    stream = calls.SubscribeJob(pps.SubscribeJobRequest(pipeline=pps.Pipeline(name="told"), details=True))
    told: Queue[tuple[str, list[str]]] = Queue()

    def listen() -> None:
        try:
            for info in stream:
                told.put((info.job.id, list(info.details.transform.stdin)))
        except grpc.RpcError:
            return

    listening = threading.Thread(target=listen)
    listening.start()
    heard = [told.get(timeout=PATIENCE_S)]  # of the empty branch, when the pipeline was made
    for text in ("one", "two"):
        site.put("told-in", file=text)
        heard.append(told.get(timeout=PATIENCE_S))
    stream.cancel()
    listening.join()
    there = [job["job"]["id"] for job in documents(site.pachctl("list", "job", "-p", "told", "--raw"))]
    assert [job for job, _ in heard] == there[::-1]
    assert all(stdin == COPY["stdin"] for _, stdin in heard)


def test_lines_of_a_job_that_runs_are_followed_to_its_end(site: Site, gate: Gate) -> None:
    make(site, "slow", {"cmd": ["bash"], "stdin": ["echo begun", gate.script]})
    site.put("slow-in", a="")
    with gate.come() as waiting:
        job = next(documents(site.pachctl("list", "job", "-p", "slow", "--raw")))
        words = [site.server.program("pachctl"), "logs", "--job", f"slow@{job['job']['id']}", "--follow"]
        with subprocess.Popen(words, env=site.server.client_env, stdout=subprocess.PIPE, text=True) as following:
            assert following.stdout is not None
            lines = iter(following.stdout)
            first = next(line for line in lines if "begun" in line)
            info = next(documents(site.pachctl("inspect", "job", f"slow@{job['job']['id']}", "--raw")))
            assert (first.split()[-1], info["state"]) == ("begun", "JOB_RUNNING")
            waiting.sendall(b"let through\n")
            rest = list(lines)
            assert following.wait(PATIENCE_S) == 0
    assert any("let through" in line for line in rest)


def test_a_worker_shows_the_datum_in_its_hands(site: Site, gate: Gate) -> None:
    make(site, "busy", {"cmd": ["bash"], "stdin": [gate.script]})
    site.put("busy-in", held="")
    with gate.come() as waiting:
        job = next(documents(site.pachctl("list", "job", "-p", "busy", "--raw")))["job"]["id"]

        def workers() -> list[Any]:
            info = next(documents(site.pachctl("inspect", "job", f"busy@{job}", "--raw")))
            return [
                each for each in info["details"].get("worker_status", []) if each.get("datum_status", {}).get("data")
            ]

        until(site, lambda: bool(workers()))
        (one,) = workers()
        assert one["job_id"] == job
        assert [each["path"] for each in one["datum_status"]["data"]] == ["/held"]
        waiting.sendall(b"\n")
    assert site.counts("busy") == ("success", 1, 0)


def test_lines_are_searched_by_a_pattern(site: Site) -> None:
    make(site, "chatty", {"cmd": ["sh"], "stdin": ["for each in 1 2 3; do echo line $each; done; echo other 2"]})
    site.put("chatty-in", a="")
    site.job("chatty")

    def kept(*words: str) -> list[str]:
        return [line.strip() for line in site.pachctl("logs", "--pipeline", "chatty", *words).splitlines()]

    assert kept("--grep", "^line [23]$") == ["line 2", "line 3"]
    assert kept("--grep", "2$") == ["line 2", "other 2"]
    assert kept("--grep", "2$", "--tail", "1") == ["other 2"]
    assert kept("--grep", "nothing of the kind") == []
    assert "pattern" in site.refused("logs", "--pipeline", "chatty", "--grep", "(")


def test_what_became_of_a_worker_is_told(site: Site, gate: Gate) -> None:
    make(site, "struck", {"cmd": ["bash"], "stdin": [gate.script]})
    site.put("struck-in", a="")
    with gate.come():
        for worker in workers_of(site.server.pid):
            os.kill(worker, signal.SIGKILL)
    until(site, lambda: any(event["type"] == "Warning" for event in events(site)))
    with gate.come() as waiting:  # somebody has begun the datum anew
        waiting.sendall(b"\n")
        assert site.counts("struck") == ("success", 1, 0)
    told = next(event for event in events(site) if event["type"] == "Warning")
    assert told["object"].startswith("worker/")
    assert "kill" in told["message"].lower()


def test_pipelines_are_counted_by_how_they_do(site: Site, calls: Any) -> None:
    site.pachctl("create", "project", "counted")
    site.pachctl("config", "update", "context", "--project", "counted")
    try:
        for name in ("well", "paused", "bereft", "wrong"):
            make(site, name, {"cmd": ["false"]} if name == "wrong" else COPY, autoscaling=False)
            site.put(f"{name}-in", a="")
            site.job(name)
        site.pachctl("stop", "pipeline", "paused")
        site.pachctl("delete", "branch", "bereft-in@master", "--force")
        asked = pps.PipelinesSummaryRequest(projects=[pfs.ProjectPicker(name="counted")])
        until(site, lambda: calls.PipelinesSummary(asked).summaries[0].failed_pipelines == 1)
        (found,) = calls.PipelinesSummary(asked).summaries
    finally:
        site.pachctl("config", "update", "context", "--project", "default")
    assert found.project.name == "counted"
    assert (found.active_pipelines, found.paused_pipelines, found.failed_pipelines) == (2, 1, 1)
    assert found.unhealthy_pipelines == 1  # its last job failed


def test_tasks_that_are_under_way_are_listed(site: Site, calls: Any, gate: Gate) -> None:
    make(site, "tasked", {"cmd": ["bash"], "stdin": [gate.script]})
    site.put("tasked-in", a="")
    with gate.come() as waiting:
        tasks = list(calls.ListTask(taskapi_pb2.ListTaskRequest()))
        waiting.sendall(b"\n")
    assert [task.state for task in tasks] == [taskapi_pb2.CLAIMED]
    assert site.counts("tasked") == ("success", 1, 0)
    assert list(calls.ListTask(taskapi_pb2.ListTaskRequest())) == []


def events(site: Site) -> list[dict[str, Any]]:
    return [json.loads(line) for line in site.pachctl("kube-events", "--raw").splitlines() if line.startswith("{")]


def workers_of(server: int) -> list[int]:
    """The processes of a server that are its workers."""
    listed = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(server)], capture_output=True, text=True, check=True
    )
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if "worker" in line]


def until(site: Site, what: Any) -> None:
    clock = RealAmbient()
    end_s = clock.ticks_s() + PATIENCE_S
    while not what():
        assert clock.ticks_s() < end_s, site.server.last_words()
        clock.sleep(0.1)
