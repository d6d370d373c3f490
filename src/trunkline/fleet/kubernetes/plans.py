"""What is to be done in a cluster: the difference between what is wanted and what is there. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trunkline.fleet.kubernetes.api import KINDS, PODS, REPLICA_SETS, Kind, Object
from trunkline.fleet.kubernetes.names import OWNER, RENDERED
from trunkline.fleet.kubernetes.troubles import gone, ready

Seen = Mapping[Kind, Mapping[str, Object]]
"""What there is of each kind, by name."""

_OF = {kind.name: kind for kind in KINDS}


@dataclass(frozen=True)
class Create:
    """Make an object."""

    kind: Kind
    item: Object

    @property
    def name(self) -> str:
        """Of the object."""
        return str(self.item["metadata"]["name"])


@dataclass(frozen=True)
class Scale:
    """Say how many pods a ReplicaSet keeps."""

    kind: Kind
    name: str
    replicas: int


@dataclass(frozen=True)
class Delete:
    """Remove an object, if it is still that one."""

    kind: Kind
    name: str
    uid: str


Action = Create | Scale | Delete


def plan(wanted: Sequence[Object], seen: Seen, server: str) -> list[Action]:
    """What brings a cluster from `seen` to `wanted`; nothing but what has the label of `server` is ever touched."""
    found: list[Action] = []
    names = {(_OF[one["kind"]], one["metadata"]["name"]) for one in wanted}
    for kind in KINDS:
        for name, there in seen.get(kind, {}).items():
            if kind is not PODS and (kind, name) not in names and _ours(there, server) and not _leaving(there):
                found.append(Delete(kind, name, there["metadata"]["uid"]))
    for one in wanted:
        found += _step(one, seen.get(_OF[one["kind"]], {}).get(one["metadata"]["name"]), server)
    return found + list(_spent(wanted, seen, server))


def _step(one: Object, there: Object | None, server: str) -> Iterator[Action]:
    kind, name = _OF[one["kind"]], one["metadata"]["name"]
    if there is None:
        yield Create(kind, one)
    elif not _ours(there, server) or _leaving(there):
        return
    elif _digest(there) != _digest(one):
        yield Delete(kind, name, there["metadata"]["uid"])  # and the next plan makes it as it is to be
    elif kind is REPLICA_SETS and there["spec"].get("replicas") != one["spec"]["replicas"]:
        yield Scale(kind, name, one["spec"]["replicas"])


def _spent(wanted: Sequence[Object], seen: Seen, server: str) -> Iterator[Delete]:
    """Pods that have failed, once others have taken their places: until then they tell why."""
    for one in wanted:
        if one["kind"] != REPLICA_SETS.name:
            continue
        mine = [pod for pod in pods_of(one, seen.get(PODS, {})) if _ours(pod, server)]
        living = [pod for pod in mine if not gone(pod)]
        if len(living) >= one["spec"]["replicas"] and all(map(ready, living)):
            for pod in mine:
                if gone(pod) and not _leaving(pod):
                    yield Delete(PODS, pod["metadata"]["name"], pod["metadata"]["uid"])


def pods_of(replica_set: Object, pods: Mapping[str, Object]) -> list[Object]:
    """Those pods that a ReplicaSet counts as its own, whichever of that name made them."""
    mine: Mapping[str, Any] = replica_set["spec"]["selector"]["matchLabels"]
    return [pod for pod in pods.values() if mine.items() <= (pod["metadata"].get("labels") or {}).items()]


def _ours(there: Object, server: str) -> bool:
    return bool((there["metadata"].get("labels") or {}).get(OWNER) == server)


def _leaving(there: Object) -> bool:
    return bool(there["metadata"].get("deletionTimestamp"))


def _digest(one: Object) -> str:
    return str((one["metadata"].get("annotations") or {}).get(RENDERED, ""))
