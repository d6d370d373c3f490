"""Why pods do not run, in words."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.fleet.kubernetes.troubles import ending, ready, refused, said_of, trouble, worst


def pod(name: str = "p", **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": status}


def container(name: str, state: dict[str, Any], last: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"name": name, "image": "edges:1.2", "state": state, "lastState": last or {}}


def waiting(reason: str, message: str = "", last: dict[str, Any] | None = None, name: str = "user") -> dict[str, Any]:
    return pod(containerStatuses=[container(name, {"waiting": {"reason": reason, "message": message}}, last)])


UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/1 nodes are available:\n 1 Insufficient cpu.",
}

# fmt: off
CASES = [
    (pod(phase="Pending"), ""),
    (waiting("ContainerCreating"), ""),
    (waiting("PodInitializing"), ""),
    (waiting("ErrImagePull", "not found"),
     'pod p: the code cannot start: its image cannot be pulled ("edges:1.2"): not found'),
    (waiting("ImagePullBackOff"), 'pod p: the code cannot start: its image cannot be pulled ("edges:1.2")'),
    (waiting("ImagePullBackOff", 'Back-off pulling image "edges:1.2"'),
     'pod p: the code cannot start: its image cannot be pulled ("edges:1.2")'),
    (waiting("ErrImagePull", "no match for platform in manifest: not found"),
     'pod p: the code cannot start: its image cannot be pulled ("edges:1.2"): it is made for other kinds of machine '
     "than its node is: no match for platform in manifest: not found"),
    (waiting("InvalidImageName", "bad"),
     'pod p: the code cannot start: its image has a name that cannot be ("edges:1.2"): bad'),
    (waiting("CreateContainerConfigError", 'secret "x" not found', name="storage"),
     'pod p: the worker cannot start: its container cannot be made: secret "x" not found'),
    (waiting("CrashLoopBackOff", "", {"terminated": {"exitCode": 3, "message": "no such\nfile"}}),
     "pod p: the code ended and is started again: exit 3: no such file"),
    (waiting("CrashLoopBackOff", "", {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}),
     "pod p: the code ended and is started again: its memory limit was exceeded, and the kernel killed the container"),
    (waiting("CrashLoopBackOff"), "pod p: the code ends again and again"),
    (pod(containerStatuses=[container("storage", {"terminated": {"exitCode": 1, "signal": 9}})]),
     "pod p: the worker ended and is started again: it was killed by signal 9"),
    (pod(initContainerStatuses=[container("shim", {"terminated": {"exitCode": 0, "reason": "Completed"}})]), ""),
    (pod(initContainerStatuses=[container("shim", {"terminated": {"exitCode": 2, "message": "no space"}})]),
     "pod p: the worker ended and is started again: exit 2: no space"),
    (pod(conditions=[UNSCHEDULABLE]), "pod p: no node can take it: 0/1 nodes are available: 1 Insufficient cpu."),
    ({**pod(conditions=[UNSCHEDULABLE]), "spec": {"nodeSelector": {"gpu": "yes", "disk": "fast"}}},
     "pod p: no node can take it: 0/1 nodes are available: 1 Insufficient cpu. It runs only on nodes with disk=fast, "
     "gpu=yes (scheduling_spec.node_selector)."),
    (pod(phase="Failed", reason="Evicted", message="low on memory"),
     "pod p: it was evicted from its node: low on memory"),
    (pod(phase="Failed", reason="OutOfcpu", message="full"), "pod p: the node refuses it (OutOfcpu): full"),
    (pod(reason="NodeLost"), "pod p: its node is lost"),
    (pod(containerStatuses=[container("user", {"running": {}}, {"terminated": {"exitCode": 1}})]), ""),
]
# fmt: on


@pytest.mark.parametrize(("told", "expected"), CASES)
def test_what_is_said_of_a_pod(told: dict[str, Any], expected: str) -> None:
    assert trouble(told) == expected


def test_long_messages_are_cut_and_the_first_pod_by_name_speaks() -> None:
    first = pod("a", conditions=[{**UNSCHEDULABLE, "message": "x" * 9999}])
    second = pod("b", reason="NodeLost")
    assert len(worst([second, first])) < 450
    assert worst([second, first]).startswith("pod a: no node")
    assert worst([pod("c")]) == ""


def event(reason: str = "FailedMount", count: int = 3, **more: Any) -> dict[str, Any]:
    about = {"kind": "Pod", "uid": "u", "name": "p"}
    plain = {"type": "Warning", "reason": reason, "involvedObject": about, "message": "no\n such", "count": count}
    return {**plain, **more}


def test_what_only_events_tell_is_said_while_a_pod_waits() -> None:
    uid, why = said_of(event())
    assert (uid, why) == ("u", "a volume of it cannot be mounted: no such")
    assert said_of(event(count=0, series={"count": 9})) == (uid, why)
    others = (event(count=2), event("Pulled"), event(type="Normal"), event(involvedObject={"kind": "Node"}))
    assert {said_of(each) for each in others} == {("", "")}
    waits = waiting("ContainerCreating")
    waits["metadata"]["uid"] = uid
    waits["status"]["phase"] = "Pending"
    assert worst([waits], {uid: why}) == f"pod p: {why}"
    assert worst([waits]) == ""
    waits["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "ErrImagePull"}}
    assert "cannot be pulled" in worst([waits], {uid: why})
    waits["status"] |= {"phase": "Running", "containerStatuses": [container("user", {"running": {}})]}
    assert worst([waits], {uid: why}) == ""


def test_what_the_cluster_refuses_is_said_by_the_replica_set() -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: small"}
    assert refused({"status": {"conditions": [condition]}}) == "the cluster refuses its pods: exceeded quota: small"
    assert refused({"status": {"conditions": [{**condition, "status": "False"}]}}) == ""
    assert refused({}) == ""


def test_ready_is_when_code_and_worker_run() -> None:
    both = [container("user", {"running": {}}), container("storage", {"running": {}})]
    assert ready(pod(phase="Running", containerStatuses=both))
    assert not ready(pod(phase="Running", containerStatuses=both[:1]))
    assert not ready(pod(phase="Running", containerStatuses=[both[0], container("storage", {"waiting": {}})]))
    assert ending(pod(phase="Running")) == "its pod was deleted"
