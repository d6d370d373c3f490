"""A cluster that is none: the API server's calls over an in-memory store, with a ReplicaSet controller and a kubelet.

It can be told to break watches off, to forget its history, to say everything twice, and to refuse.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]
_MOST_CPU = 64.0
_KINDS = {"replicasets": "ReplicaSet", "pods": "Pod", "services": "Service", "secrets": "Secret", "events": "Event"}


@dataclass
class Store:
    """Objects by (plural, name), and what happened to them."""

    items: dict[tuple[str, str], Object] = field(default_factory=dict)
    history: list[tuple[int, str, str, Object]] = field(default_factory=list)
    version: int = 0
    forgotten: int = 0
    cuts: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def put(self, plural: str, one: Object, kind: str) -> Object:
        """Write an object down; under the lock."""
        self.version += 1
        one = copy.deepcopy(one)
        one["metadata"]["resourceVersion"] = str(self.version)
        name = one["metadata"]["name"]
        if kind == "DELETED":
            self.items.pop((plural, name), None)
        else:
            self.items[plural, name] = one
        self.history.append((self.version, kind, plural, one))
        self.changed.notify_all()
        return one


class FakeCluster:
    """Serves on a free port of this machine, as a context. refuse: asked before each call; a Status to answer with."""

    def __init__(self) -> None:
        self.store = Store()
        self.refuse: Callable[[str, str], Mapping[str, Any] | None] = lambda method, path: None
        self.twice = False
        """Whether watches say everything twice."""
        self.calls: list[tuple[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeCluster:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name="cluster", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.cut()
        self._server.shutdown()
        self._server.server_close()

    def cut(self) -> None:
        """Break off every watch."""
        with self.store.changed:
            self.store.cuts += 1
            self.store.changed.notify_all()

    def forget(self) -> None:
        """Lose the history: watches from before are told 410, and those that run are broken off."""
        with self.store.changed:
            self.store.version += 1
            self.store.forgotten = self.store.version
            self.store.history.clear()
            self.store.cuts += 1
            self.store.changed.notify_all()

    def set_status(self, plural: str, name: str, status: Object) -> None:
        """Say how an object does, as the kubelet would."""
        with self.store.changed:
            one = self.store.items[plural, name]
            self.store.put(plural, {**one, "status": status}, "MODIFIED")

    def tell_event(self, about: str, kind: str, name: str, reason: str, message: str, count: int = 1) -> None:
        """An event of the cluster's own. count: how often it came."""
        with self.store.changed:
            metadata = {"name": f"{name}.{self.store.version}", "namespace": "default", "uid": f"e{self.store.version}"}
            known = self.store.items.get((f"{about.lower()}s", name), {"metadata": {}})
            involved = {"kind": about, "name": name, "uid": known["metadata"].get("uid", "")}
            event = {"metadata": metadata, "involvedObject": involved, "type": kind, "reason": reason, "count": count}
            self.store.put("events", {**event, "message": message}, "ADDED")

    # --- what controllers do

    def create(self, plural: str, one: Object) -> tuple[int, Object]:
        """Make an object, and what follows."""
        with self.store.changed:
            name = one["metadata"].get("name") or ""
            if (plural, name) in self.store.items:
                return 409, _status(409, "AlreadyExists", f'{plural} "{name}" already exists')
            metadata = {**one["metadata"], "uid": f"u{self.store.version}", "creationTimestamp": "2030-01-01T00:00:00Z"}
            made = self.store.put(plural, {**one, "metadata": metadata}, "ADDED")
            if plural == "replicasets":
                self._keep(made)
            return 201, made

    def scale(self, plural: str, name: str, patch: Object) -> tuple[int, Object]:
        """Merge a patch into the spec of an object, and what follows."""
        with self.store.changed:
            one = self.store.items.get((plural, name))
            if one is None:
                return 404, _status(404, "NotFound", f'{plural} "{name}" not found')
            made = self.store.put(plural, {**one, "spec": {**one["spec"], **patch["spec"]}}, "MODIFIED")
            self._keep(made)
            return 200, made

    def delete(self, plural: str, name: str, uid: str) -> tuple[int, Object]:
        """Remove an object and what it owns."""
        with self.store.changed:
            one = self.store.items.get((plural, name))
            if one is None:
                return 404, _status(404, "NotFound", f'{plural} "{name}" not found')
            if uid and one["metadata"]["uid"] != uid:
                return 409, _status(409, "Conflict", "the UID in the precondition does not match")
            self.store.put(plural, one, "DELETED")
            for pod in self._owned(one):
                self.store.put("pods", pod, "DELETED")
            for owner in one["metadata"].get("ownerReferences") or ():
                keeper = self.store.items.get(("replicasets", owner["name"]))
                if keeper is not None and keeper["metadata"]["uid"] == owner["uid"]:
                    self._keep(keeper)
            return 200, _status(200, "", "")

    def _owned(self, one: Object) -> list[Object]:
        uid = one["metadata"]["uid"]
        pods = [item for (plural, _), item in self.store.items.items() if plural == "pods"]
        return [pod for pod in pods if any(each["uid"] == uid for each in pod["metadata"].get("ownerReferences") or ())]

    def _keep(self, keeper: Object) -> None:
        """As many pods as the ReplicaSet is to have."""
        pods, wanted = self._owned(keeper), keeper["spec"]["replicas"]
        living = [pod for pod in pods if pod.get("status", {}).get("phase") != "Failed"]
        for pod in living[wanted:]:
            self.store.put("pods", pod, "DELETED")
        template = keeper["spec"]["template"]
        for _ in range(wanted - len(living)):
            number = self.store.version
            owner = {"kind": "ReplicaSet", "name": keeper["metadata"]["name"], "uid": keeper["metadata"]["uid"]}
            metadata = {**template["metadata"], "name": f"{owner['name']}-{number}", "uid": f"p{number}"}
            pod = {"kind": "Pod", "metadata": {**metadata, "ownerReferences": [owner]}, "spec": template["spec"]}
            self.store.put("pods", {**pod, "status": _start(template["spec"])}, "ADDED")

    # --- what is asked

    def list(self, plural: str, labels: str) -> Object:
        """All objects of a kind with these labels."""
        with self.store.changed:
            items = [one for (kind, _), one in self.store.items.items() if kind == plural and _has(one, labels)]
            return {"items": items, "metadata": {"resourceVersion": str(self.store.version)}}

    def watch(self, plural: str, labels: str, since: int) -> Iterator[Object]:
        """Changes, until it is cut off."""
        with self.store.changed:
            cuts = self.store.cuts
            if since < self.store.forgotten:
                yield {"type": "ERROR", "object": _status(410, "Expired", "too old resource version")}
                return
        while True:
            with self.store.changed:
                while self.store.version <= since and self.store.cuts == cuts:
                    self.store.changed.wait()
                if self.store.cuts != cuts:
                    return
                found = [each for each in self.store.history if each[0] > since]
                since = self.store.version
            for _, kind, of, one in found:
                if of == plural and _has(one, labels):
                    for _ in range(1 + self.twice):
                        yield {"type": kind, "object": one}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        cluster = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                url = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(url.query).items()}
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else {}
                cluster.calls.append((self.command, url.path))
                refusal = cluster.refuse(self.command, url.path)
                if refusal is not None:
                    self._send(int(refusal["code"]), refusal)
                elif query.get("watch"):
                    self._stream(url.path.rpartition("/")[2], query)
                else:
                    self._send(*self._do(url.path, query, body))

            def _do(self, path: str, query: Mapping[str, str], body: Object) -> tuple[int, Mapping[str, Any]]:
                parts = path.split("/")
                if path == "/version":
                    return 200, {"gitVersion": "v1.20.0-fake"}
                plural = next((part for part in parts if part in _KINDS), "")
                name = parts[-1] if parts[-1] != plural else ""
                if self.command == "POST":
                    return cluster.create(plural, body)
                if self.command == "PATCH":
                    return cluster.scale(plural, name, body)
                if self.command == "DELETE":
                    return cluster.delete(plural, name, (body.get("preconditions") or {}).get("uid", ""))
                return 200, cluster.list(plural, query.get("labelSelector", ""))

            def _send(self, status: int, told: Mapping[str, Any]) -> None:
                data = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def _stream(self, plural: str, query: Mapping[str, str]) -> None:
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.close_connection = True
                since = int(query.get("resourceVersion") or 0)
                try:
                    for told in cluster.watch(plural, query.get("labelSelector", ""), since):
                        line = json.dumps(told).encode() + b"\n"
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                        self.wfile.flush()
                except OSError:
                    return  # who watched is gone; and there is no closing chunk: a cut is a cut

            do_GET = do_POST = do_PATCH = do_DELETE = _answer

            def log_message(self, format: str, *args: object) -> None: ...

        return Handler


def _status(code: int, reason: str, message: str) -> Object:
    return {"kind": "Status", "code": code, "reason": reason, "message": message}


def _has(one: Object, labels: str) -> bool:
    wanted = dict(each.split("=", 1) for each in labels.split(",") if each)
    return wanted.items() <= (one["metadata"].get("labels") or {}).items()


def _start(spec: Object) -> Object:
    """How a new pod does: no node has that many processors, and some images nobody has."""
    cpu = sum(_cpu(each["resources"].get("requests", {}).get("cpu", "0")) for each in spec["containers"])
    if cpu > _MOST_CPU:
        message = "0/1 nodes are available: 1 Insufficient cpu."
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        return {"phase": "Pending", "conditions": [condition]}
    states = []
    for each in spec["containers"]:
        state: Object = {"running": {}}
        if each["image"].startswith("localhost:1/"):
            state = {"waiting": {"reason": "ErrImagePull", "message": "connection refused"}}
        states.append({"name": each["name"], "image": each["image"], "state": state, "lastState": {}})
    running = all("running" in each["state"] for each in states)
    return {"phase": "Running" if running else "Pending", "containerStatuses": states}


def _cpu(text: str) -> float:
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)
