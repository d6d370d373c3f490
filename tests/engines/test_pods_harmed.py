"""What pods, their processes and their node may suffer without harm to a job; what is said of pods that are stuck."""

from __future__ import annotations

import io
import json
import os
import platform
import signal
import tarfile
from typing import Any

import pods
import pytest
from foreign import image_for, registry_of
from harms import HARMS, SHIM, STORAGE, Story, kill, kubelet, processes
from pods import FREE, TOOLS, need, pods_of, until
from whole import Site

from trunkline.fleet.kubernetes.api import PODS, SERVICES, HttpCluster
from trunkline.fleet.kubernetes.troubles import ready
from trunkline.testing.serving import documents
from trunkline.worker.shim.program import program

cluster, site = pods.cluster, pods.site
pytestmark = [pytest.mark.engines, pytest.mark.kubernetes, pytest.mark.timeout(600)]
CODE = {"image": TOOLS, "cmd": ["sh", "-c", "cp /pfs/in/* /pfs/out/"]}


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
        ("placed", {"scheduling_spec": {"node_selector": {"disk": "fast"}}}, "Unschedulable", "disk=fast"),
    ],
)
def test_a_stuck_pod_says_why_as_the_cluster_does(
    site: Site, cluster: HttpCluster, name: str, told: dict[str, Any], sign: str, words: str
) -> None:
    site.pachctl("create", "repo", f"{name}-in")
    site.create(name, **{"transform": CODE, **FREE, **told})
    until(lambda: sign in str(pods_of(cluster, name)) or "ImagePullBackOff" in str(pods_of(cluster, name)))
    until(lambda: state(site, name)[0] == "PIPELINE_CRASHING" and words in state(site, name)[1])
    site.create(name, CODE, verb="update", **FREE)
    until(lambda: state(site, name)[0] == "PIPELINE_RUNNING")
    site.pachctl("delete", "pipeline", name)


def test_an_image_for_another_kind_of_machine_is_said(site: Site) -> None:
    """Of a list that has nothing for its node the cluster says so; an image that is nothing else it runs, and we say it
    of the program.
    """
    need("TRUNKLINE_NODE")
    machine, elf = ("amd64", "x86_64") if platform.machine() == "aarch64" else ("arm64", "aarch64")
    held = image_for(machine, layer_of("bin/true", program(elf).read_bytes()))
    words = {
        "many": "it is made for other kinds of machine than its node is",
        "one": f'command "/bin/true" is made for another kind of machine: this one is {platform.machine()}',
    }
    code = {"cmd": ["true"], "image": "localhost:5000/foreign:many"}
    with registry_of(held, need("TRUNKLINE_PODS_HOST"), 5000):
        site.pachctl("create", "repo", "foreign-in")
        site.put("foreign-in", a="x")
        site.create("foreign", code, **FREE)
        until(lambda: words["many"] in state(site, "foreign")[1])
        assert state(site, "foreign")[0] == "PIPELINE_CRASHING"
        site.create("foreign", code | {"image": "localhost:5000/foreign:one"}, verb="update", **FREE, datum_tries=1)
        assert site.job("foreign")["state"] == "JOB_FAILURE"
        assert words["one"] in site.job("foreign")["reason"]
        site.pachctl("delete", "pipeline", "foreign")


def layer_of(path: str, data: bytes) -> bytes:
    """A layer of one program."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        entry = tarfile.TarInfo(path)
        entry.size, entry.mode = len(data), 0o755
        archive.addfile(entry, io.BytesIO(data))
    return layer.getvalue()


def test_a_volume_that_is_not_there_is_said(site: Site) -> None:
    patch = [
        {"op": "add", "path": "/volumes/-", "value": {"name": "mine", "secret": {"secretName": "nowhere"}}},
        {"op": "add", "path": "/containers/0/volumeMounts/-", "value": {"name": "mine", "mountPath": "/mine"}},
    ]
    site.pachctl("create", "repo", "volume-in")
    site.create("volume", CODE, **FREE, pod_patch=json.dumps(patch))
    until(lambda: state(site, "volume")[0] == "PIPELINE_CRASHING")
    assert "a volume of it cannot be mounted: " in state(site, "volume")[1]
    assert 'secret "nowhere" not found' in state(site, "volume")[1]
    site.create("volume", CODE, verb="update", **FREE)
    until(lambda: state(site, "volume") == ("PIPELINE_RUNNING", ""))
    site.pachctl("delete", "pipeline", "volume")


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
    assert "memory limit 64Mi exceeded" in job["reason"]
    (shown,) = documents(site.pachctl("inspect", "pipeline", "greedy", "--raw"))
    assert shown["details"]["recent_error"] == job["reason"]
    assert "memory limit 64Mi exceeded" in site.pachctl("inspect", "pipeline", "greedy")
    site.pachctl("delete", "pipeline", "greedy")


def test_a_pod_that_its_node_evicts_is_said_and_counts_as_a_try(site: Site) -> None:
    """Its code fills the disk again and again, which no other pod helps."""
    site.pachctl("create", "repo", "full-in")
    site.put("full-in", a="x")
    fills = "for n in 1 2 3 4; do head -c 10000000 /dev/zero > /pfs/out/$n; done; sleep 600"
    site.create(
        "full", {"image": TOOLS, "cmd": ["sh", "-c", fills]}, **FREE, resource_limits={"disk": "20Mi"}, datum_tries=2
    )
    words = "it was evicted from its node: "
    until(lambda: state(site, "full")[0] == "PIPELINE_CRASHING" and words in state(site, "full")[1])
    job = site.job("full")
    assert job["state"] == "JOB_FAILURE"
    assert words in job["reason"]
    until(lambda: state(site, "full") == ("PIPELINE_RUNNING", ""))
    site.pachctl("delete", "pipeline", "full")


def test_a_node_that_takes_no_pods_any_more_costs_only_time(site: Site, cluster: HttpCluster) -> None:
    """As when it is drained: the cluster takes its pods away, and they come back with it."""
    site.pachctl("create", "repo", "drained-in")
    site.put("drained-in", **{f"f{number}": "x" for number in range(8)})
    slow = {"image": TOOLS, "cmd": ["sh", "-c", "sleep 1; cp /pfs/in/* /pfs/out/"]}
    site.create("drained", slow, **FREE, parallelism_spec={"constant": 2})
    until(lambda: any(map(ready, pods_of(cluster, "drained"))))
    before = {pod["metadata"]["name"] for pod in pods_of(cluster, "drained")}
    taint(cluster, {"key": "out", "value": "of-order", "effect": "NoExecute"})
    try:
        until(lambda: "taint {out: of-order}" in state(site, "drained")[1])
        assert state(site, "drained")[0] == "PIPELINE_CRASHING"
    finally:
        taint(cluster)
    assert site.counts("drained") == ("success", 8, 0)
    assert len(site.tree("drained")) == 8
    assert not before & {pod["metadata"]["name"] for pod in pods_of(cluster, "drained")}
    site.pachctl("delete", "pipeline", "drained")


def taint(cluster: HttpCluster, *taints: dict[str, str]) -> None:
    """Have the only node have these taints."""
    (node,) = cluster._ask("GET", "api/v1/nodes")["items"]
    cluster._ask("PATCH", f"api/v1/nodes/{node['metadata']['name']}", {"spec": {"taints": list(taints) or None}})


@pytest.mark.parametrize(
    ("name", "told", "words"),
    [
        (
            "patched",
            {"pod_patch": '[{"op": "add", "path": "/containers/0/imagePullPolicy", "value": "Sometimes"}]'},
            'Unsupported value: "Sometimes"',
        ),
        (
            "crossed",
            {"resource_requests": {"memory": "1Gi"}, "resource_limits": {"memory": "64Mi"}},
            "must be less than or equal to memory limit",
        ),
    ],
)
def test_what_the_cluster_refuses_is_said(site: Site, name: str, told: dict[str, Any], words: str) -> None:
    site.pachctl("create", "repo", f"{name}-in")
    site.create(name, CODE, **{**FREE, **told})
    until(lambda: state(site, name)[0] == "PIPELINE_CRASHING" and words in state(site, name)[1])
    site.create(name, CODE, verb="update", **FREE)
    until(lambda: state(site, name) == ("PIPELINE_RUNNING", ""))
    site.pachctl("delete", "pipeline", name)


def test_pods_that_a_quota_does_not_allow_are_said_until_it_does(site: Site, cluster: HttpCluster) -> None:
    quotas = f"api/v1/namespaces/{cluster.namespace}/resourcequotas"
    site.pachctl("create", "repo", "few-in")
    cluster._ask("POST", quotas, {"metadata": {"name": "few"}, "spec": {"hard": {"pods": "1"}}})
    try:
        until(lambda: cluster._ask("GET", f"{quotas}/few").get("status", {}).get("hard"))
        site.create("few", CODE, **FREE, parallelism_spec={"constant": 2})
        until(lambda: "exceeded quota: few" in state(site, "few")[1])
        assert state(site, "few")[0] == "PIPELINE_CRASHING"
        site.put("few-in", a="x")  # the pod that it allows works
        assert site.counts("few") == ("success", 1, 0)
    finally:
        cluster._ask("DELETE", f"{quotas}/few")
    until(lambda: sum(map(ready, pods_of(cluster, "few"))) == 2)
    until(lambda: state(site, "few") == ("PIPELINE_RUNNING", ""))
    site.pachctl("delete", "pipeline", "few")


def test_a_container_that_the_kernel_kills_is_said(site: Site, cluster: HttpCluster) -> None:
    """All of it, its first process too, as kubelets end a container that took too much memory."""
    need("TRUNKLINE_NODE")
    site.pachctl("create", "repo", "ended-in")
    site.put("ended-in", a="x")
    code = {"image": TOOLS, "cmd": ["sh", "-c", "echo up; sleep 600"]}
    site.create("ended", code, **FREE, resource_limits={"memory": "64Mi"}, datum_tries=1)
    until(lambda: "up" in site.pachctl("logs", "-p", "ended"))
    (pod,) = pods_of(cluster, "ended")
    kill(pod["metadata"]["name"], SHIM)
    words = "its container ended; if it has a memory limit, that may have been exceeded"
    until(lambda: words in next(documents(site.pachctl("list", "job", "-p", "ended", "--raw"))).get("reason", ""))
    (shown,) = documents(site.pachctl("inspect", "pipeline", "ended", "--raw"))
    assert words in shown["details"]["recent_error"]
    site.pachctl("delete", "pipeline", "ended")


def test_code_whose_container_ends_again_and_again_is_said(site: Site, cluster: HttpCluster) -> None:
    """The pipeline says so as long as the container is not there, and the job goes on once it is."""
    need("TRUNKLINE_NODE")
    site.pachctl("create", "repo", "loops-in")
    site.create("loops", CODE, **FREE)
    until(lambda: any(map(ready, pods_of(cluster, "loops"))))

    def backs_off() -> bool:
        for pod in pods_of(cluster, "loops"):
            kill(pod["metadata"]["name"], SHIM)
        return "CrashLoopBackOff" in str(pods_of(cluster, "loops"))

    until(backs_off)
    words = "the code ended and is started again: "
    until(lambda: state(site, "loops")[0] == "PIPELINE_CRASHING" and words in state(site, "loops")[1])
    site.put("loops-in", a="x")
    assert site.counts("loops") == ("success", 1, 0)
    until(lambda: state(site, "loops") == ("PIPELINE_RUNNING", ""))
    site.pachctl("delete", "pipeline", "loops")


def test_a_worker_that_takes_more_memory_than_it_may_is_said(site: Site, cluster: HttpCluster) -> None:
    site.pachctl("create", "repo", "tight-in")
    site.create("tight", CODE, **FREE, sidecar_resource_limits={"memory": "16Mi"})
    until(lambda: "OOMKilled" in str(pods_of(cluster, "tight")))
    words = "the worker ended and is started again: its memory limit was exceeded, and the kernel killed the container"
    until(lambda: state(site, "tight")[0] == "PIPELINE_CRASHING" and words in state(site, "tight")[1])
    site.create("tight", CODE, verb="update", **FREE)
    until(lambda: state(site, "tight")[0] == "PIPELINE_RUNNING")
    site.pachctl("delete", "pipeline", "tight")


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
