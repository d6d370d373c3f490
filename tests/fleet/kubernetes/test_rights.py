"""What the chart allows `pachd` in its namespace is what the fleet does there, no verb less and none more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trunkline.ambient import RealAmbient
from trunkline.cli.chart.rendered import shipped
from trunkline.cli.chart.values import load
from trunkline.fleet.kubernetes.access import Access
from trunkline.fleet.kubernetes.api import HttpCluster, Kind
from trunkline.fleet.kubernetes.fleet import PodFleet
from trunkline.fleet.kubernetes.wanted import House
from trunkline.testing.cluster import FakeCluster
from trunkline.testing.contracts.fleets import Listener, eventually, version

VERBS = {"POST": "create", "PATCH": "patch", "DELETE": "delete"}


class Noted(HttpCluster):
    """Notes which calls are watches, as paths do not show."""

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        self.watched: set[str] = set()

    def watch(self, kind: Kind, version: str, labels: str = "") -> Iterator[Any]:
        """As `HttpCluster.watch`."""
        self.watched.add(kind.plural)
        return super().watch(kind, version, labels)


def done(cluster: FakeCluster, watched: set[str]) -> set[tuple[str, str]]:
    """Kind and verb of every call that was made."""
    found = {(plural, "watch") for plural in watched}
    for method, path in cluster.calls:
        parts = path.split("/")
        if "namespaces" not in parts:
            continue
        plural = parts[parts.index("namespaces") + 2]
        found.add((plural, VERBS.get(method, "list")))
    return found


def allowed() -> set[tuple[str, str]]:
    chart = shipped()
    documents = map(load, chart.manifests({"pachd": {"storage": {"storageURL": "s3://b"}}}, "t", "data"))
    (role,) = [one for one in documents if one["kind"] == "Role"]
    groups = {"replicasets": "apps"}
    for rule in role["rules"]:
        assert {groups.get(each, "") for each in rule["resources"]} == set(rule["apiGroups"])
    return {(each, verb) for rule in role["rules"] for each in rule["resources"] for verb in rule["verbs"]}


def test_the_role_allows_what_is_done_and_nothing_else() -> None:
    with FakeCluster() as fake:
        cluster = Noted(Access(fake.url, "default"))
        owner = Listener()
        house = House("s" * 32, "default", "trunkline:1", "pachd:30650", "s3://b", {"AWS_ACCESS_KEY_ID": "k"})
        fleet = PodFleet(cluster, house, owner, RealAmbient())
        fleet.start()
        lives(owner, fake)
        fleet.stop()
        assert done(fake, cluster.watched) == allowed()


def lives(owner: Listener, fake: FakeCluster) -> None:
    """Versions of pipelines come, lose a pod, grow and go."""

    def names(plural: str) -> list[str]:
        return [name for kind, name in list(fake.store.items) if kind == plural]

    here = {"transform": {"image": "localhost/edges:1", "cmd": ["true"]}}
    web = version("web", **here, service={"internal_port": 80, "external_port": 30080})
    owner.versions = [version("edges", **here), web]
    eventually(lambda: len(names("pods")) == 2)
    (first,) = [name for name in names("pods") if "edges" in name]
    fake.set_status("pods", first, {"phase": "Failed", "reason": "Evicted"})
    owner.versions = [version("edges", **here, replicas=2), web]
    eventually(lambda: len(names("pods")) == 3 and first not in names("pods"))
    owner.versions = []
    eventually(lambda: not any(map(names, ("pods", "replicasets", "services", "secrets"))))
