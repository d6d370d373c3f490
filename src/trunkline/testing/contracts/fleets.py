"""What a fleet of pods promises, whatever cluster it is on: a fake one here, a real one where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from trunkline.ambient import RealAmbient
from trunkline.fleet.kubernetes.api import KINDS, PODS, REPLICA_SETS, SECRETS, SERVICES, Cluster, Kind, Object
from trunkline.fleet.kubernetes.fleet import PodFleet
from trunkline.fleet.kubernetes.names import OWNER
from trunkline.fleet.kubernetes.wanted import House, Wanted
from trunkline.model.names import Pipeline
from trunkline.model.specs import PipelineSpec

NOWHERE = "localhost:1/nothing/here:1"
"""An image that nobody has."""


@dataclass
class Listener:
    """Fills `fleet.Owner`, and keeps what it was told."""

    versions: list[Wanted] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    blamed: list[str] = field(default_factory=list)
    events: list[tuple[str, str, str]] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)

    def wanted(self) -> Sequence[Wanted]:
        """As set."""
        return list(self.versions)

    def told(self, one: Wanted, reason: str) -> None:
        """Keep it."""
        self.reasons[one.name] = reason

    def gone(self, worker: str, why: str, counts: bool) -> None:
        """Keep it."""
        if counts:
            self.blamed.append(worker)
        self.lost.append(worker)

    def images(self, digests: Mapping[str, str]) -> None:
        """Keep them."""
        self.digests = dict(digests)

    def happened(self, kind: str, reason: str, about: str, message: str) -> None:
        """Keep it."""
        self.events.append((kind, reason, about))


def version(name: str, number: int = 1, **fields: object) -> Wanted:
    """A version whose pods ask for nothing."""
    replicas = int(str(fields.pop("replicas", 1)))
    spec = {
        "pipeline": {"name": name, "project": {"name": "default"}},
        "transform": {"image": NOWHERE, "cmd": ["true"]},
        "resource_requests": {},
        "sidecar_resource_requests": {},
        **fields,
    }
    return Wanted(Pipeline("default", name), number, PipelineSpec.from_dict(spec), replicas=replicas)


def eventually(true: Callable[[], bool], within_s: float = 90.0) -> None:
    """Wait until something is so. Raises AssertionError."""
    ambient = RealAmbient()
    until_s = ambient.ticks_s() + within_s
    while not true():
        assert ambient.ticks_s() < until_s, f"not so within {within_s:g} s"
        ambient.sleep(0.02)


class FleetContract:
    """Subclasses bring the fixtures `cluster` and `namespace`."""

    @pytest.fixture
    def server(self) -> str:
        """Whose objects these are: one of each test's own."""
        return RealAmbient().new_id()

    @pytest.fixture
    def owner(self) -> Listener:
        """Wants nothing yet."""
        return Listener()

    @pytest.fixture
    def house(self, server: str, namespace: str) -> House:
        """Whose worker's image nobody has either."""
        return House(server, namespace, NOWHERE, "198.18.2.1:30650", given={"AWS_ACCESS_KEY_ID": "k"})

    @pytest.fixture
    def fleet(self, cluster: Cluster, house: House, owner: Listener) -> Iterator[PodFleet]:
        """Running; at its end nothing of it is left."""
        fleet = PodFleet(cluster, house, owner, RealAmbient())
        fleet.start()
        yield fleet
        owner.versions = []
        eventually(lambda: not any(self.names(cluster, house.server, kind) for kind in KINDS))
        fleet.stop()

    @staticmethod
    def names(cluster: Cluster, server: str, kind: Kind) -> dict[str, Object]:
        """Objects of a server, by name."""
        found = cluster.list(kind, f"{OWNER}={server}").items
        return {one["metadata"]["name"]: one for one in found}

    def test_pods_come_are_scaled_and_go(self, cluster: Cluster, server: str, owner: Listener, fleet: PodFleet) -> None:
        """And a version that follows takes the place of the one before."""
        owner.versions = [version("edges", replicas=2), version("still", replicas=0)]
        eventually(lambda: len(self.names(cluster, server, PODS)) == 2)
        both = {"default-edges-v1", "default-still-v1"}
        eventually(lambda: set(self.names(cluster, server, REPLICA_SETS)) == both)
        owner.versions = [version("edges", replicas=1), version("still", replicas=0)]
        eventually(lambda: len(self.names(cluster, server, PODS)) == 1)
        owner.versions = [version("edges", 2)]
        eventually(lambda: set(self.names(cluster, server, REPLICA_SETS)) == {"default-edges-v2"})
        eventually(lambda: all(name.startswith("default-edges-v2-") for name in self.names(cluster, server, PODS)))

    def test_an_object_is_made_anew_when_what_is_wanted_of_it_changes(
        self, cluster: Cluster, server: str, owner: Listener, fleet: PodFleet
    ) -> None:
        """And one that is as it should be stays, whoever looks after it."""
        owner.versions = [version("edges")]
        eventually(lambda: bool(self.names(cluster, server, REPLICA_SETS)))
        before = self.names(cluster, server, REPLICA_SETS)["default-edges-v1"]["metadata"]["uid"]
        owner.versions = [version("edges", resource_limits={"memory": "64Mi"})]

        def anew() -> bool:
            found = self.names(cluster, server, REPLICA_SETS).get("default-edges-v1")
            return found is not None and found["metadata"]["uid"] != before

        eventually(anew)

    def test_a_fleet_that_starts_again_goes_on_with_what_is_there(
        self, cluster: Cluster, house: House, owner: Listener, fleet: PodFleet
    ) -> None:
        """No pod is made twice."""
        owner.versions = [version("edges", replicas=2)]
        eventually(lambda: len(self.names(cluster, house.server, PODS)) == 2)
        before = set(self.names(cluster, house.server, PODS))
        other = Listener(versions=owner.versions)
        second = PodFleet(cluster, house, other, RealAmbient())
        second.start()
        eventually(lambda: bool(other.reasons.get("default-edges-v1")))
        second.stop()
        assert set(self.names(cluster, house.server, PODS)) == before

    def test_a_pod_that_somebody_deletes_is_mourned_and_replaced(
        self, cluster: Cluster, server: str, owner: Listener, fleet: PodFleet
    ) -> None:
        """So that what it worked on is given to others at once."""
        owner.versions = [version("edges")]
        eventually(lambda: bool(owner.reasons.get("default-edges-v1")))  # then the fleet has seen the pod
        ((name, pod),) = self.names(cluster, server, PODS).items()
        cluster.delete(PODS, name, pod["metadata"]["uid"])
        eventually(lambda: name in owner.lost)
        eventually(lambda: set(self.names(cluster, server, PODS)) not in (set(), {name}))

    def test_an_image_that_nobody_has_is_said(self, owner: Listener, fleet: PodFleet) -> None:
        """In words, with the image's name."""
        owner.versions = [version("edges")]
        eventually(lambda: "cannot be pulled" in owner.reasons.get("default-edges-v1", ""))
        assert NOWHERE in owner.reasons["default-edges-v1"]

    def test_what_no_node_can_take_is_said(self, owner: Listener, fleet: PodFleet) -> None:
        """And what changes that is noticed."""
        owner.versions = [version("edges", resource_requests={"cpu": 900.0})]
        eventually(lambda: "no node can take it" in owner.reasons.get("default-edges-v1", ""))
        owner.versions = [version("edges", replicas=0)]
        eventually(lambda: owner.reasons["default-edges-v1"] == "")

    def test_services_and_secrets_are_there_and_go_with_their_version(
        self, cluster: Cluster, server: str, owner: Listener, fleet: PodFleet
    ) -> None:
        """The secret with the workers' token goes with the last one."""
        told = version("shown", service={"internal_port": 8080, "type": "ClusterIP"})
        owner.versions = [replace(told, env={"PASSWORD": b"hush"}, kind="SERVICE")]
        eventually(lambda: set(self.names(cluster, server, SERVICES)) == {"default-shown-v1-user"})
        names = {"default-shown-v1", f"trunkline-worker-{server[:12]}"}
        eventually(lambda: set(self.names(cluster, server, SECRETS)) == names)
        owner.versions = []
        eventually(lambda: not self.names(cluster, server, SECRETS) and not self.names(cluster, server, SERVICES))

    def test_what_is_not_ours_is_left_alone_and_named_when_it_is_in_the_way(
        self, cluster: Cluster, server: str, owner: Listener, fleet: PodFleet
    ) -> None:
        """Also what another server of ours has made."""
        labels = {OWNER: "another", "suite": "pachyderm"}
        name = f"default-taken{server[:6]}-v1"
        metadata = {"name": name, "labels": labels}
        data = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": {}}
        made = cluster.create(SECRETS, data)
        try:
            taken = version(f"taken{server[:6]}")
            owner.versions = [replace(taken, env={"A": b"1"})]
            eventually(lambda: "not this server's" in owner.reasons.get(taken.name, ""))
            owner.versions = []
            eventually(lambda: not self.names(cluster, server, REPLICA_SETS))
            found = {one["metadata"]["name"]: one for one in cluster.list(SECRETS).items}
            assert found[name]["metadata"]["uid"] == made["metadata"]["uid"]
        finally:
            cluster.delete(SECRETS, name, made["metadata"]["uid"])
