"""What a cluster has of ours, kept up to date by a list and a watch of each kind, through every disconnect."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from trunkline.ambient import Ambient
from trunkline.errors import TrunklineError
from trunkline.fleet.kubernetes.api import Change, Cluster, Kind, Object, Stale

FIRST_RETRY_S = 0.5
LONGEST_RETRY_S = 15.0

_log = logging.getLogger("trunkline.kubernetes")


@dataclass
class Known:
    """Objects of one kind by name, as far as they are known; `listed` once they all were."""

    items: dict[str, Object] = field(default_factory=dict)
    listed: bool = False

    def replace(self, items: list[Object]) -> list[Object]:
        """All there are; those that are gone since."""
        fresh = {one["metadata"]["name"]: one for one in items}
        lost = [one for name, one in self.items.items() if _uid(fresh.get(name)) != _uid(one)]
        self.items, self.listed = fresh, True
        return lost

    def apply(self, change: Change) -> list[Object]:
        """One change, which may come twice, or late; what is gone by it."""
        one = change.item
        name = one["metadata"]["name"]
        known = self.items.get(name)
        same = known is not None and _uid(known) == _uid(one)
        if change.type == "DELETED":
            if known is None or not same:
                return []  # what has the name now is another one
            del self.items[name]
            return [one]
        if known is not None and same and _older(one, known):
            return []
        self.items[name] = one
        return [known] if known is not None and not same else []

    def forget(self, name: str, uid: str) -> None:
        """One that we deleted ourselves."""
        if _uid(self.items.get(name)) == uid:
            del self.items[name]


def _uid(one: Object | None) -> str:
    return str(one["metadata"].get("uid", "")) if one is not None else ""


def _older(one: Object, known: Object) -> bool:
    """Whether an object is an earlier state of what is known; no, if that cannot be told."""
    versions = [str(each["metadata"].get("resourceVersion", "")) for each in (one, known)]
    return all(each.isdigit() for each in versions) and int(versions[0]) < int(versions[1])


class Watcher:
    """Follows one kind until stopped, by a thread of its own. told: called after each change, with what is gone."""

    def __init__(
        self,
        cluster: Cluster,
        kind: Kind,
        labels: str,
        ambient: Ambient,
        told: Callable[[Kind, list[Object]], None],
        changed: Callable[[Change], None] = lambda change: None,
    ) -> None:
        self.kind = kind
        self.known = Known()
        self.lock = threading.Lock()
        self.trouble = ""
        """Why nothing is known, or what is known may be old; "": it is not."""
        self._cluster, self._labels, self._ambient = cluster, labels, ambient
        self._told, self._changed = told, changed
        self._stop = threading.Event()
        self._version = ""
        self._thread = threading.Thread(target=self._run, name=f"watch-{kind.plural}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more in. A watch that waits is not waited for."""
        self._stop.set()

    def items(self) -> dict[str, Object]:
        """What is known, by name."""
        with self.lock:
            return dict(self.known.items)

    def follow(self) -> None:
        """List if need be, then watch until the server ends that. Raises TrunklineError."""
        if not self._version:
            listed = self._cluster.list(self.kind, self._labels)
            with self.lock:
                lost = self.known.replace(listed.items)
            self._version, self.trouble = listed.version, ""
            self._told(self.kind, lost)
        try:
            for change in self._cluster.watch(self.kind, self._version, self._labels):
                if self._stop.is_set():
                    return
                self._take(change)
        except Stale:
            self._version = ""

    def _take(self, change: Change) -> None:
        self.trouble = ""
        self._version = change.item["metadata"].get("resourceVersion", self._version)
        if change.type == "BOOKMARK":
            return
        with self.lock:
            lost = self.known.apply(change)
        self._changed(change)
        self._told(self.kind, lost)

    def _run(self) -> None:
        pause_s = FIRST_RETRY_S
        while not self._stop.is_set():
            since_s = self._ambient.ticks_s()
            try:
                self.follow()
                failed = False
            except TrunklineError as error:
                failed = True
                if str(error) != self.trouble:
                    _log.warning("%s: %s", self.kind.plural, error)
                self.trouble = str(error)
                self._told(self.kind, [])
            if not failed or self._ambient.ticks_s() - since_s > LONGEST_RETRY_S:
                pause_s = FIRST_RETRY_S
            if failed or self._ambient.ticks_s() - since_s < FIRST_RETRY_S:  # a watch that ends at once is no better
                self._stop.wait(pause_s)
                pause_s = min(2 * pause_s, LONGEST_RETRY_S)
