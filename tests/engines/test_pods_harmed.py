"""What pods, their processes and their node may suffer without harm to a job; what is said of pods that are stuck."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from harms import HARMS, STORAGE, Story, kubelet, processes
from pods import FREE, TOOLS, need, pod_site, pods_of, real_cluster, until
from whole import Site

from trunkline.fleet.kubernetes.api import PODS, SERVICES, HttpCluster
from trunkline.fleet.kubernetes.troubles import ready
from trunkline.testing.serving import documents

pytestmark = [pytest.mark.engines, pytest.mark.kubernetes, pytest.mark.timeout(600)]
SOON_S = 5.0
CODE = {"image": TOOLS, "cmd": ["sh", "-c", "cp /pfs/in/* /pfs/out/"]}


@pytest.fixture(scope="module")
def cluster() -> HttpCluster:
    return real_cluster()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with pod_site(tmp_path_factory.mktemp("pods")) as site:
        yield site


def test_jobs_end_well_whatever_happens_to_their_pods(site: Site, cluster: HttpCluster) -> None:
    need("TRUNKLINE_NODE")
    story = Story(site, cluster, seed=1)
    story.play(HARMS)
    assert story.done
    site.pachctl("delete", "pipeline", "harmed")


def test_a_node_that_does_not_answer_costs_only_time(site: Site, cluster: HttpCluster) -> None:
    """Its pods are given up, and yet their code runs on and their workers report."""
    node = kubelet(int(need("TRUNKLINE_NODE")))
    site.pachctl("create", "repo", "node-in")
    site.put("node-in", **{f"f{number}": "x" for number in range(8)})
    slow = {"image": TOOLS, "cmd": ["sh", "-c", "sleep 2; cp /pfs/in/* /pfs/out/"]}
    site.create("node", slow, **FREE)
    until(lambda: any(map(ready, pods_of(cluster, "node"))))
    (before,) = pods_of(cluster, "node")
    name = before["metadata"]["name"]
    os.kill(node, signal.SIGSTOP)
    try:
        cluster.delete(PODS, name, before["metadata"]["uid"])
        until(lambda: [pod["metadata"]["name"] for pod in pods_of(cluster, "node")] not in ([], [name]))
        assert list(processes(name, STORAGE))
    finally:
        os.kill(node, signal.SIGCONT)
    assert site.counts("node") == ("success", 8, 0)
    assert len(site.tree("node")) == 8
    until(lambda: state(site, "node") == ("PIPELINE_RUNNING", ""))
    assert not list(processes(name, STORAGE))
    site.pachctl("delete", "pipeline", "node")


def state(site: Site, name: str) -> tuple[str, str]:
    found = next(documents(site.pachctl("inspect", "pipeline", name, "--raw")))
    return found["state"], found.get("reason", "")


@pytest.mark.parametrize(
    ("name", "told", "sign", "words"),
    [
        (
            "pulled",
            {"transform": {**CODE, "image": "localhost:1/none:2"}},
            "ErrImagePull",
            "its image cannot be pulled",
        ),
        ("huge", {"resource_requests": {"cpu": 500}}, "Unschedulable", "no node can take it"),
        ("placed", {"scheduling_spec": {"node_selector": {"a": "b"}}}, "Unschedulable", "no node can take it"),
    ],
)
def test_a_stuck_pod_says_why_as_soon_as_the_cluster_does(
    site: Site, cluster: HttpCluster, name: str, told: dict[str, Any], sign: str, words: str
) -> None:
    site.pachctl("create", "repo", f"{name}-in")
    site.create(name, **{"transform": CODE, **FREE, **told})
    until(lambda: sign in str(pods_of(cluster, name)) or "ImagePullBackOff" in str(pods_of(cluster, name)))
    until(lambda: state(site, name)[0] == "PIPELINE_CRASHING" and words in state(site, name)[1], SOON_S)
    site.create(name, CODE, verb="update", **FREE)
    until(lambda: state(site, name)[0] == "PIPELINE_RUNNING")
    site.pachctl("delete", "pipeline", name)


def test_a_worker_that_dies_again_and_again_is_said(site: Site, cluster: HttpCluster) -> None:
    need("TRUNKLINE_NODE")
    site.pachctl("create", "repo", "dying-in")
    site.create("dying", CODE, **FREE)
    until(lambda: any(map(ready, pods_of(cluster, "dying"))))

    def again() -> bool:
        for pod in pods_of(cluster, "dying"):
            for process in processes(pod["metadata"]["name"], STORAGE):
                os.kill(process, signal.SIGKILL)
        return state(site, "dying")[0] == "PIPELINE_CRASHING"

    until(again)
    assert "the worker ended and is started again" in state(site, "dying")[1]
    until(lambda: state(site, "dying")[0] == "PIPELINE_RUNNING")
    site.pachctl("delete", "pipeline", "dying")


def test_code_that_takes_more_memory_than_it_may_is_said(site: Site) -> None:
    site.pachctl("create", "repo", "greedy-in")
    site.put("greedy-in", a="x")
    greedy = {"image": TOOLS, "cmd": ["sh", "-c", "head -c 300000000 /dev/zero | tail -c 299999999 > /pfs/out/x"]}
    site.create("greedy", greedy, **FREE, resource_limits={"memory": "64Mi"}, datum_tries=1)
    job = site.job("greedy")
    assert job["state"] == "JOB_FAILURE"
    assert "memory" in job["reason"]
    site.pachctl("delete", "pipeline", "greedy")


def test_a_port_of_nodes_that_another_service_has_is_said(site: Site, cluster: HttpCluster) -> None:
    site.pachctl("create", "repo", "ports-in")
    service = {"internal_port": 8080, "external_port": 31_234, "type": "NodePort"}
    code = {"image": TOOLS, "cmd": ["sleep", "600"]}
    for name in ("port", "other"):
        site.create(name, code, service=service, input={"pfs": {"repo": "ports-in", "glob": "/"}}, **FREE)
        if name == "port":
            until(lambda: cluster.list(SERVICES, "pipelineName=port").items)
    until(lambda: "31234" in state(site, "other")[1])
    assert state(site, "other")[0] == "PIPELINE_CRASHING"
    site.pachctl("delete", "pipeline", "other")
    site.pachctl("delete", "pipeline", "port")
