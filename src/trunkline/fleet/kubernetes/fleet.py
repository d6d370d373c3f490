"""The fleet: sees what the cluster has, does what is missing, and says why pods are stuck."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from trunkline.ambient import Ambient
from trunkline.errors import AlreadyExists, InvalidArgument, NotFound, TrunklineError
from trunkline.fleet.kubernetes.api import EVENTS, KINDS, PODS, REPLICA_SETS, Change, Cluster, Kind, Object
from trunkline.fleet.kubernetes.names import OWNER
from trunkline.fleet.kubernetes.objects.manifests import house_secret, objects_of
from trunkline.fleet.kubernetes.plans import Action, Create, Delete, plan, pods_of
from trunkline.fleet.kubernetes.seen import Watcher
from trunkline.fleet.kubernetes.troubles import ending, gone, image_of, overdrew, ready, refused, said_of, worst
from trunkline.fleet.kubernetes.wanted import House, Wanted

LOOK_S = 1.0
"""How long a change of what is wanted may go unnoticed."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0

_log = logging.getLogger("trunkline.kubernetes")


class Owner(Protocol):
    """Whom the fleet works for. All may raise TrunklineError, and are asked again later."""

    def wanted(self) -> Sequence[Wanted]:
        """What is to run now."""
        ...

    def told(self, one: Wanted, reason: str) -> None:
        """Why a version's pods do not run, whenever that changes; "" once they do."""
        ...

    def gone(self, worker: str, why: str, counts: bool) -> None:
        """A pod is gone, and what it worked on is not being worked on. counts: by the fault of what it worked on."""
        ...

    def images(self, digests: Mapping[str, str]) -> None:
        """All pods whose code runs, with the digest of the image it runs in; whenever that changes."""
        ...

    def happened(self, kind: str, reason: str, about: str, message: str) -> None:
        """The cluster tells an event of one of our objects; kind: Normal or Warning."""
        ...


@dataclass
class _Pause:
    """An action that failed: when it is tried again, in steady seconds, and why it failed."""

    until_s: float
    pause_s: float
    why: str


class PodFleet:
    """Keeps the pods of one server as its owner wants them; by threads of its own, or one `step` at a time."""

    def __init__(self, cluster: Cluster, house: House, owner: Owner, ambient: Ambient) -> None:
        self._cluster, self._house, self._owner, self._ambient = cluster, house, owner, ambient
        self._news = threading.Event()
        self._stop = threading.Event()
        self._watchers = {kind: self._watcher(kind) for kind in KINDS}
        self._events = Watcher(cluster, EVENTS, "", ambient, lambda kind, lost: None, self._event)
        self._pauses: dict[tuple[Kind, str], _Pause] = {}
        self._told: dict[str, str] = {}
        self._made: dict[str, tuple[Wanted, list[Object]]] = {}
        self._bad: dict[str, str] = {}
        self._ended: set[str] = set()
        self._said: dict[str, str] = {}
        self._images: dict[str, str] | None = None
        self._wanted: list[Wanted] = []
        self._thread = threading.Thread(target=self._run, name="pods", daemon=True)

    def start(self) -> None:
        """Begin to watch and to act."""
        for watcher in (*self._watchers.values(), self._events):
            watcher.start()
        self._thread.start()

    def stop(self) -> None:
        """Act no more. Pods go on: their workers wait for a server."""
        self._stop.set()
        self._news.set()
        for watcher in (*self._watchers.values(), self._events):
            watcher.stop()
        if self._thread.ident is not None:
            self._thread.join(2 * LOOK_S)

    def trouble(self) -> str:
        """Why the cluster cannot be seen, as a sentence continues; ""."""
        return next((each.trouble for each in self._watchers.values() if each.trouble), "")

    def running(self, name: str) -> int:
        """How many pods of the version whose ReplicaSet has this name run."""
        there = self._watchers[REPLICA_SETS].items().get(name)
        pods = pods_of(there, self._watchers[PODS].items()) if there is not None else []
        return sum(map(ready, pods))

    def step(self) -> None:
        """Look once, act once. Raises TrunklineError where the owner does."""
        self._wanted = list(self._owner.wanted())
        self._make()
        self._mourn()
        if all(watcher.known.listed for watcher in self._watchers.values()):
            self._tell_images()
            self._act()
        self._report()

    def follow(self, *kinds: Kind) -> None:
        """Take in what the cluster tells of these kinds, or all, until its watches end: for who has no threads."""
        for kind in kinds or KINDS:
            self._watchers[kind].follow()

    def _watcher(self, kind: Kind) -> Watcher:
        return Watcher(self._cluster, kind, f"{OWNER}={self._house.server}", self._ambient, self._changed)

    def _changed(self, kind: Kind, lost: list[Object]) -> None:
        if kind is PODS:
            for pod in lost:
                self._lose(pod)
        self._news.set()

    def _lose(self, pod: Object) -> None:
        try:
            self._owner.gone(pod["metadata"]["name"], ending(pod), overdrew(pod))
        except TrunklineError as error:  # its leases run out by themselves
            _log.warning("%s: %s", pod["metadata"]["name"], error)

    def _mourn(self) -> None:
        """Pods that have failed keep their objects, but work no more."""
        pods = self._watchers[PODS].items()
        ended = {pod["metadata"]["uid"] for pod in pods.values() if gone(pod)}
        for pod in pods.values():
            if pod["metadata"]["uid"] in ended - self._ended:
                self._lose(pod)
        self._ended = ended

    def _tell_images(self) -> None:
        pods = self._watchers[PODS].items()
        found = {name: digest for name, pod in pods.items() if not gone(pod) and (digest := image_of(pod))}
        if found != self._images:
            self._owner.images(found)
            self._images = found

    def _event(self, change: Change) -> None:
        about = change.item.get("involvedObject") or {}
        name = str(about.get("name", ""))
        if change.type == "DELETED" or not any(f"{name}-".startswith(f"{one.name}-") for one in self._wanted):
            return
        pod, why = said_of(change.item)
        if pod:
            self._said[pod] = why
            self._news.set()
        told = " ".join(str(change.item.get("message", "")).split())
        kind, reason = change.item.get("type") or "Normal", change.item.get("reason") or ""
        self._owner.happened(kind, reason, f"{str(about.get('kind', '')).lower()}/{name}", told)

    def _make(self) -> None:
        """The objects of what is wanted; what cannot be made says so."""
        before, self._made, self._bad = self._made, {}, {}
        for one in self._wanted:
            known = before.get(one.name)
            if known is not None and known[0] == one:
                self._made[one.name] = known
                continue
            try:
                self._made[one.name] = (one, objects_of(one, self._house))
            except InvalidArgument as error:  # it was accepted by a server that allowed more
                self._bad[one.name] = str(error)

    def _act(self) -> None:
        objects = [each for _, made in self._made.values() for each in made]
        if objects:
            objects.insert(0, house_secret(self._house))
        seen = {kind: watcher.items() for kind, watcher in self._watchers.items()}
        actions = plan(objects, seen, self._house.server)
        now_s = self._ambient.ticks_s()
        due = {(each.kind, each.name) for each in actions}
        self._pauses = {key: each for key, each in self._pauses.items() if key in due}
        for action in actions:
            paused = self._pauses.get((action.kind, action.name))
            if paused is None or paused.until_s <= now_s:
                self._do(action, paused)

    def _do(self, action: Action, paused: _Pause | None) -> None:
        key = (action.kind, action.name)
        try:
            self._obey(action)
            self._pauses.pop(key, None)
            self._news.set()
        except TrunklineError as error:
            pause_s = min(2 * paused.pause_s, LONGEST_PAUSE_S) if paused else FIRST_PAUSE_S
            why = f"{action.kind.name} {action.name}: {error}"
            if isinstance(error, AlreadyExists):
                why += "; it is not this server's, and is not touched"
            if paused is None or paused.why != why:
                _log.warning("%s", why)
            self._pauses[key] = _Pause(self._ambient.ticks_s() + pause_s, pause_s, why)

    def _obey(self, action: Action) -> None:
        watcher = self._watchers[action.kind]
        if isinstance(action, Delete):
            with contextlib.suppress(NotFound):
                self._cluster.delete(action.kind, action.name, action.uid)
            with watcher.lock:
                watcher.known.forget(action.name, action.uid)
            return
        if isinstance(action, Create):
            made = self._cluster.create(action.kind, action.item)
        else:
            made = self._cluster.scale(action.kind, action.name, action.replicas)
        with watcher.lock:
            watcher.known.apply(Change("MODIFIED", made))

    def _report(self) -> None:
        """Tell what has changed about pods that do not run."""
        pods, sets = self._watchers[PODS].items(), self._watchers[REPLICA_SETS].items()
        known = {pod["metadata"].get("uid") for pod in pods.values()}
        for uid in [*self._said]:  # which another thread adds to
            if uid not in known:
                self._said.pop(uid)
        told: dict[str, str] = {}
        for one in self._wanted:
            reason, before = self._reason(one, pods, sets), self._told.get(one.name)
            if before and reason and before.startswith(reason):
                reason = before  # it says less than was known
            if reason != before:
                self._owner.told(one, reason)
            told[one.name] = reason
        self._told = told

    def _reason(self, one: Wanted, pods: dict[str, Object], sets: dict[str, Object]) -> str:
        if one.name in self._bad:
            return self._bad[one.name]
        for _, made in filter(None, [self._made.get(one.name)]):
            for each in [house_secret(self._house), *made]:
                kind = next(kind for kind in KINDS if kind.name == each["kind"])
                if paused := self._pauses.get((kind, each["metadata"]["name"])):
                    return paused.why
        there = sets.get(one.name)
        if there is None:
            return self.trouble()
        mine = [pod for pod in pods_of(there, pods) if not pod["metadata"].get("deletionTimestamp")]
        living = [pod for pod in mine if not gone(pod)]
        why = worst(living, self._said)
        if len(living) < one.replicas:
            why = refused(there) or why
        if why or (len(living) >= one.replicas and all(map(ready, living))):
            return why
        return worst(mine, self._said)  # why those had to go whose places are not taken yet

    def _run(self) -> None:
        while not self._stop.is_set():
            self._news.clear()
            try:
                self.step()
            except TrunklineError as error:
                _log.warning("pods could not be looked after, which is tried again: %s", error)
            except Exception:
                _log.exception("pods could not be looked after, which is tried again")
            self._news.wait(LOOK_S)
            self._stop.wait(0.02)  # changes come in crowds
