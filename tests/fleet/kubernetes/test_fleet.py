"""The fleet on a cluster that is none, and what only such a one can be made to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from trunkline.ambient import RealAmbient
from trunkline.errors import FailedPrecondition, NotFound, Unavailable
from trunkline.fleet.kubernetes.access import Access
from trunkline.fleet.kubernetes.api import PODS, REPLICA_SETS, SECRETS, Change, HttpCluster, Stale
from trunkline.fleet.kubernetes.fleet import PodFleet
from trunkline.fleet.kubernetes.names import OWNER
from trunkline.fleet.kubernetes.seen import Known
from trunkline.fleet.kubernetes.wanted import House
from trunkline.testing.cluster import FakeCluster
from trunkline.testing.contracts.fleets import NOWHERE, FleetContract, Listener, eventually, version


@pytest.fixture
def fake() -> Iterator[FakeCluster]:
    with FakeCluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(fake: FakeCluster) -> HttpCluster:
    return HttpCluster(Access(fake.url, "default", token=lambda: "secret"))


@pytest.fixture
def namespace() -> str:
    return "default"


class TestOnAFake(FleetContract):
    """The contract."""


HERE = {"transform": {"image": "localhost/edges:1", "cmd": ["true"]}}


class TestDisturbed(FleetContract):
    """The contract, while everything is said twice, and watches break off whenever something is done."""

    @pytest.fixture(autouse=True)
    def disturb(self, fake: FakeCluster) -> None:
        fake.twice = True
        refused = {"kind": "Status", "code": 503, "message": "starting"}
        count = 0

        def refuse(method: str, path: str) -> dict[str, Any] | None:
            nonlocal count
            count += method != "GET"  # and not for looking, which the tests themselves do all the time
            if method != "GET" and count % 2 == 0:
                fake.cut()
            if method != "GET" and count % 3 == 0:
                fake.forget()
            return refused if count % 4 == 0 and method == "POST" else None

        fake.refuse = refuse


@pytest.fixture
def running(fake: FakeCluster, cluster: HttpCluster) -> Iterator[tuple[Listener, PodFleet]]:
    owner = Listener()
    house = House("s" * 32, "default", "localhost/worker:1", "198.18.2.1:30650")
    fleet = PodFleet(cluster, house, owner, RealAmbient())
    fleet.start()
    yield owner, fleet
    fleet.stop()


def pods_of(fake: FakeCluster) -> list[str]:
    return sorted(name for plural, name in list(fake.store.items) if plural == "pods")


def test_what_happened_while_the_watch_was_away_is_seen(fake: FakeCluster, running: tuple[Listener, PodFleet]) -> None:
    owner, fleet = running
    owner.versions = [version("edges", **HERE, replicas=2)]
    eventually(lambda: fleet.running("default-edges-v1") == 2)
    before = pods_of(fake)
    fake.refuse = lambda method, path: {"code": 500, "message": "etcd is away"} if method == "GET" else None
    fake.forget()
    eventually(lambda: "etcd is away" in fleet.trouble())
    fake.delete("pods", before[0], "")
    fake.refuse = lambda method, path: None
    eventually(lambda: before[0] in owner.lost)
    eventually(lambda: fleet.running("default-edges-v1") == 2)
    eventually(lambda: fleet.trouble() == "")


def test_a_pod_that_failed_tells_why_until_another_runs_and_is_then_removed(
    fake: FakeCluster, running: tuple[Listener, PodFleet]
) -> None:
    owner, fleet = running
    owner.versions = [version("edges", **HERE)]
    eventually(lambda: fleet.running("default-edges-v1") == 1)
    (name,) = pods_of(fake)
    fake.set_status("pods", name, {"phase": "Failed", "reason": "Evicted", "message": "low on memory"})
    eventually(lambda: name in owner.lost)
    eventually(lambda: "evicted from its node: low on memory" in owner.reasons["default-edges-v1"])
    with fake.store.changed:
        fake._keep(fake.store.items["replicasets", "default-edges-v1"])
    eventually(lambda: owner.reasons["default-edges-v1"] == "")
    eventually(lambda: name not in pods_of(fake))
    assert owner.lost.count(name) >= 1


@pytest.mark.parametrize(
    ("message", "blamed"),
    [
        ("Pod ephemeral local storage usage exceeds the total limit of containers 20Mi. ", True),
        ('Container user exceeded its local ephemeral storage limit "20Mi". ', True),
        ('Usage of EmptyDir volume "pfs" exceeds the limit "20Mi". ', True),
        ("The node was low on resource: memory. Container user was using 2Gi, which exceeds its request of 0. ", False),
    ],
)
def test_an_evicted_pod_tells_why_until_the_one_in_its_place_is_ready(
    fake: FakeCluster, running: tuple[Listener, PodFleet], message: str, blamed: bool
) -> None:
    owner, fleet = running
    owner.versions = [version("edges", **HERE)]
    eventually(lambda: fleet.running("default-edges-v1") == 1)
    (name,) = pods_of(fake)
    well = fake.store.items["pods", name]["status"]
    with fake.store.changed:  # the controller of ReplicaSets is as quick as the kubelet
        fake.set_status("pods", name, {"phase": "Failed", "reason": "Evicted", "message": message})
        fake._keep(fake.store.items["replicasets", "default-edges-v1"])
        (other,) = set(pods_of(fake)) - {name}
        fake.set_status("pods", other, {"phase": "Pending"})
    eventually(lambda: message.strip() in owner.reasons.get("default-edges-v1", ""))
    eventually(lambda: name in owner.lost)
    assert owner.blamed == [name] * blamed
    fake.set_status("pods", other, well)
    eventually(lambda: owner.reasons["default-edges-v1"] == "")
    eventually(lambda: pods_of(fake) == [other])


def test_the_image_that_each_pod_runs_is_told(fake: FakeCluster, running: tuple[Listener, PodFleet]) -> None:
    owner, fleet = running
    owner.versions = [version("edges", **HERE)]
    eventually(lambda: fleet.running("default-edges-v1") == 1)
    (name,) = pods_of(fake)
    assert owner.digests == {}
    digest = "0a" * 32
    status = fake.store.items["pods", name]["status"]
    told = [{**one, "imageID": f"localhost/edges@sha256:{digest}"} for one in status["containerStatuses"]]
    fake.set_status("pods", name, {**status, "containerStatuses": told})
    eventually(lambda: owner.digests == {name: digest})
    owner.versions = []
    eventually(lambda: owner.digests == {})


def test_what_the_cluster_forbids_is_said_and_tried_again_ever_more_rarely(
    fake: FakeCluster, running: tuple[Listener, PodFleet]
) -> None:
    owner, _ = running
    forbidden = {"kind": "Status", "code": 403, "message": "secrets is forbidden"}
    fake.refuse = lambda method, path: forbidden if method == "POST" and "secrets" in path else None
    owner.versions = [version("edges", **HERE)]
    eventually(lambda: "does not let this server" in owner.reasons.get("default-edges-v1", ""))
    assert "secrets is forbidden" in owner.reasons["default-edges-v1"]
    eventually(lambda: fake.calls.count(("POST", "/api/v1/namespaces/default/secrets")) == 2)
    fake.refuse = lambda method, path: None
    eventually(lambda: owner.reasons["default-edges-v1"] == "")


def test_events_of_our_objects_are_passed_on_and_no_others(
    fake: FakeCluster, running: tuple[Listener, PodFleet]
) -> None:
    owner, fleet = running
    owner.versions = [version("edges", **HERE)]
    eventually(lambda: fleet.running("default-edges-v1") == 1)
    fake.tell_event("Pod", "Normal", "somebody-elses", "Pulled", "there")
    fake.tell_event("Pod", "Warning", "default-edges-v1-x", "BackOff", "again")
    eventually(lambda: bool(owner.events))
    assert owner.events == [("Warning", "BackOff", "pod/default-edges-v1-x")]


def test_what_events_tell_of_a_pod_that_waits_is_said_until_it_runs(
    fake: FakeCluster, running: tuple[Listener, PodFleet]
) -> None:
    owner, fleet = running
    owner.versions = [version("edges", **HERE)]
    eventually(lambda: fleet.running("default-edges-v1") == 1)
    (name,) = pods_of(fake)
    ready = fake.store.items["pods", name]["status"]
    creating = {"name": "user", "state": {"waiting": {"reason": "ContainerCreating"}}}
    fake.set_status("pods", name, {"phase": "Pending", "containerStatuses": [creating]})
    eventually(lambda: fleet.running("default-edges-v1") == 0)
    fake.tell_event("Pod", "Warning", name, "FailedMount", 'secret "nowhere" not found', count=4)
    said = f'pod {name}: a volume of it cannot be mounted: secret "nowhere" not found'
    eventually(lambda: owner.reasons.get("default-edges-v1") == said)
    fake.set_status("pods", name, ready)
    eventually(lambda: owner.reasons["default-edges-v1"] == "")


def test_why_pods_are_stuck_is_said_at_the_first_look_after_the_cluster_said_it(cluster: HttpCluster) -> None:
    """And that look comes at once: the news wake who looks."""
    house = House("s" * 32, "default", NOWHERE, "198.18.2.1:30650")
    owner = Listener(versions=[version("edges"), version("huge", resource_requests={"cpu": 900.0})])
    fleet = PodFleet(cluster, house, owner, RealAmbient())
    watchers = [*fleet._watchers.values(), fleet._events]
    for watcher in watchers:
        watcher.start()

    def shown(*words: str) -> bool:
        fleet.step()
        fleet._news.clear()
        pods = str(fleet._watchers[PODS].items())
        return all(word in pods for word in words)

    try:
        eventually(lambda: shown("ErrImagePull", "Unschedulable"))
        fleet.step()
        assert "cannot be pulled" in owner.reasons["default-edges-v1"]
        assert "no node can take it" in owner.reasons["default-huge-v1"]
        owner.versions = []
        eventually(lambda: shown() and not fleet._watchers[PODS].items())
        fleet._news.clear()
        cluster.create(PODS, {"metadata": {"name": "late", "labels": {OWNER: "s" * 32}}, "spec": {}})
        assert fleet._news.wait(60)
    finally:
        fleet.stop()


def test_a_version_that_is_not_allowed_any_more_says_so(running: tuple[Listener, PodFleet]) -> None:
    owner, _ = running
    owner.versions = [version("edges", pod_spec='{"hostNetwork": true}'), version("other", **HERE)]
    eventually(lambda: "hostNetwork" in owner.reasons.get("default-edges-v1", ""))
    eventually(lambda: owner.reasons.get("default-other-v1") == "")


def one(name: str, uid: str, number: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": uid, "resourceVersion": str(number)}}


def test_changes_that_come_late_or_twice_change_nothing() -> None:
    known = Known()
    known.replace([one("a", "1", 5)])
    assert known.apply(Change("MODIFIED", one("a", "1", 7))) == []
    assert known.apply(Change("MODIFIED", one("a", "1", 6))) == []
    assert known.items["a"] == one("a", "1", 7)
    assert known.apply(Change("DELETED", one("a", "0", 9))) == [], "an earlier one of that name"
    assert known.apply(Change("DELETED", one("a", "1", 8))) == [one("a", "1", 8)]
    assert known.apply(Change("DELETED", one("a", "1", 8))) == []
    known.apply(Change("ADDED", one("a", "1", 1)))
    assert known.apply(Change("ADDED", one("a", "2", 2))) == [one("a", "1", 1)], "its end was never told"
    assert known.replace([one("b", "3", 9)]) == [one("a", "2", 2)]


def test_a_cluster_that_is_not_there_is_said_with_its_address() -> None:
    nobody = HttpCluster(Access("http://127.0.0.1:1", "default"))
    with pytest.raises(Unavailable, match=r"the Kubernetes cluster at http://127\.0\.0\.1:1 does not answer"):
        nobody.version()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ({"code": 403, "message": "no"}, FailedPrecondition),
        ({"code": 422, "message": "bad"}, FailedPrecondition),
        ({"code": 429, "message": "slowly"}, Unavailable),
        ({"code": 410, "reason": "Expired"}, Stale),
        ({"code": 404}, NotFound),
    ],
)
def test_refusals_in_our_words(
    fake: FakeCluster, cluster: HttpCluster, status: dict[str, Any], error: type[Exception]
) -> None:
    fake.refuse = lambda method, path: {"kind": "Status", **status}
    with pytest.raises(error):
        cluster.list(PODS)


def test_long_lists_come_whole(fake: FakeCluster, cluster: HttpCluster) -> None:
    for number in range(3):
        cluster.create(SECRETS, {"metadata": {"name": f"s{number}"}, "data": {}})
    assert len(cluster.list(SECRETS).items) == 3
    assert cluster.list(SECRETS, "a=b").items == []
    assert cluster.list(REPLICA_SETS).items == []


def test_a_version_without_objects_yet_tells_what_is_wrong_with_the_cluster(fake: FakeCluster) -> None:
    fake.refuse = lambda method, path: {"code": 500, "message": "etcd is away"}
    owner = Listener(versions=[version("edges", **HERE)])
    house = House("s" * 32, "default", "localhost/worker:1", "198.18.2.1:30650")
    fleet = PodFleet(HttpCluster(Access(fake.url, "default")), replace(house), owner, RealAmbient())
    fleet.start()
    eventually(lambda: "etcd is away" in owner.reasons.get("default-edges-v1", ""))
    fleet.stop()
