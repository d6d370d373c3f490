"""The few calls of Kubernetes' API that a fleet needs: list, watch, create, scale, delete."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlencode

import urllib3

from trunkline.errors import Aborted, AlreadyExists, FailedPrecondition, NotFound, Unavailable
from trunkline.fleet.kubernetes.access import Access

Object = dict[str, Any]

_ANSWER_S = 30.0
_WATCH_S = 240
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object: its group's path, and its name in paths."""

    name: str
    group: str
    plural: str


REPLICA_SETS = Kind("ReplicaSet", "apis/apps/v1", "replicasets")
PODS = Kind("Pod", "api/v1", "pods")
SERVICES = Kind("Service", "api/v1", "services")
SECRETS = Kind("Secret", "api/v1", "secrets")
EVENTS = Kind("Event", "api/v1", "events")
KINDS = (REPLICA_SETS, PODS, SERVICES, SECRETS)
"""Those of which we have objects."""


class Stale(Unavailable):
    """The history from which a watch was to go on is gone: list again."""


@dataclass(frozen=True, slots=True)
class Listed:
    """Objects as they were at an instant, `version`, from which a watch goes on."""

    items: list[Object]
    version: str


@dataclass(frozen=True, slots=True)
class Change:
    """What a watch tells: ADDED, MODIFIED, DELETED or BOOKMARK, with the object as it then was."""

    type: str
    item: Object


class Cluster(Protocol):
    """The calls. All raise Unavailable while the cluster does not answer, FailedPrecondition where it refuses."""

    def version(self) -> str:
        """As `v1.20.2`."""
        ...

    def list(self, kind: Kind, labels: str = "") -> Listed:
        """All objects of a kind with these labels."""
        ...

    def watch(self, kind: Kind, version: str, labels: str = "") -> Iterator[Change]:
        """Changes from a version on, until the server ends it. Raises Stale."""
        ...

    def create(self, kind: Kind, one: Object) -> Object:
        """Make an object; as it then is. Raises AlreadyExists."""
        ...

    def scale(self, kind: Kind, name: str, replicas: int) -> Object:
        """Say how many pods there shall be. Raises NotFound."""
        ...

    def delete(self, kind: Kind, name: str, uid: str) -> None:
        """Remove an object and what it owns, if it is still that one. Raises NotFound."""
        ...


class HttpCluster:
    """A cluster by its API server. Safe to share between threads."""

    def __init__(self, access: Access, namespace: str = "") -> None:
        self.namespace = namespace or access.namespace
        self._access = access
        self._pool = urllib3.PoolManager(maxsize=16, ssl_context=access.context, retries=False)

    def version(self) -> str:
        """As `Cluster.version`."""
        return str(self._ask("GET", "version").get("gitVersion", ""))

    def list(self, kind: Kind, labels: str = "") -> Listed:
        """As `Cluster.list`; in pages, so that no answer is huge."""
        items: list[Object] = []
        more = ""
        while True:
            asked = {"labelSelector": labels, "limit": str(_PAGE), "continue": more}
            told = self._ask("GET", self._path(kind), query=asked)
            items += told.get("items") or ()
            more = told["metadata"].get("continue", "")
            if not more:
                return Listed(items, told["metadata"]["resourceVersion"])

    def watch(self, kind: Kind, version: str, labels: str = "") -> Iterator[Change]:
        """As `Cluster.watch`."""
        asked = {
            "labelSelector": labels,
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_S),
        }
        response = self._send("GET", self._path(kind), query=asked, stream=True)
        try:
            for line in _lines(response):
                told = json.loads(line)
                if told["type"] == "ERROR":
                    raise _error(told["object"])
                yield Change(told["type"], told["object"])
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise Unavailable(f"the watch of {kind.plural} broke off: {error}") from None
        finally:
            response.close()

    def create(self, kind: Kind, one: Object) -> Object:
        """As `Cluster.create`."""
        return self._ask("POST", self._path(kind), one)

    def scale(self, kind: Kind, name: str, replicas: int) -> Object:
        """As `Cluster.scale`."""
        return self._ask("PATCH", self._path(kind, name), {"spec": {"replicas": replicas}})

    def delete(self, kind: Kind, name: str, uid: str) -> None:
        """As `Cluster.delete`."""
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid},
        }
        self._ask("DELETE", self._path(kind, name), options)

    def _path(self, kind: Kind, name: str = "") -> str:
        whole = f"{kind.group}/namespaces/{quote(self.namespace)}/{kind.plural}"
        return f"{whole}/{quote(name)}" if name else whole

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, query: Mapping[str, str] | None = None
    ) -> Object:
        response = self._send(method, path, body, query)
        try:
            told = json.loads(response.data)
        except ValueError:
            raise Unavailable(f"{self._access.url} answers {method} {path} with something else than JSON") from None
        if not isinstance(told, dict):
            raise Unavailable(f"{self._access.url} answers {method} {path} with something else than an object")
        return told

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        *,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        asked = urlencode({name: value for name, value in (query or {}).items() if value})
        headers = {"Accept": "application/json", "User-Agent": "trunkline"}
        if body is not None:
            patch = "merge-patch+" if method == "PATCH" else ""
            headers["Content-Type"] = f"application/{patch}json"
        if token := self._access.token():
            headers["Authorization"] = f"Bearer {token}"
        try:
            response = self._pool.request(
                method,
                f"{self._access.url}/{path}" + (f"?{asked}" if asked else ""),
                body=json.dumps(body).encode() if body is not None else None,
                headers=headers,
                timeout=urllib3.Timeout(connect=_ANSWER_S, read=_WATCH_S + _ANSWER_S if stream else _ANSWER_S),
                preload_content=not stream,
            )
            if response.status >= 300:
                raise _error(_status(response))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unavailable(f"the Kubernetes cluster at {self._access.url} does not answer: {error}") from None
        return response


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Whole lines of a stream, each as soon as it is there."""
    rest = b""
    for piece in response.stream(64 << 10):
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line for line in whole if line)


def _status(response: urllib3.BaseHTTPResponse) -> Mapping[str, Any]:
    data = response.data
    try:
        told = json.loads(data)
        if isinstance(told, dict) and told.get("kind") == "Status":
            return told
    except ValueError:
        pass
    return {"code": response.status, "message": data.decode(errors="replace")[:500] or response.reason}


def _error(status: Mapping[str, Any]) -> Exception:
    """A refusal in our words."""
    code, told = int(status.get("code") or 500), " ".join(str(status.get("message") or "").split())
    if code == 404:
        return NotFound(f"the cluster has no such object: {told}")
    if code == 410 or status.get("reason") == "Expired":
        return Stale(f"the cluster has forgotten what came before: {told}")
    if code == 409 and status.get("reason") == "AlreadyExists":
        return AlreadyExists(f"the cluster has such an object already: {told}")
    if code == 409:
        return Aborted(f"the object in the cluster is another one by now: {told}")
    if code == 429 or code >= 500:
        return Unavailable(f"the cluster cannot answer now: {told}")
    if code in (401, 403):
        return FailedPrecondition(f"the cluster does not let this server do that: {told}")
    return FailedPrecondition(f"the cluster refuses: {told}")
