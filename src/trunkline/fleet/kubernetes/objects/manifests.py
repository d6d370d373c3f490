"""The objects of a version of a pipeline, made of its spec alone: same spec, same objects."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from trunkline.fleet.kubernetes.names import ADDRESS, KEY, OWNER, RENDERED, VERSION, labels_of
from trunkline.fleet.kubernetes.objects import pods
from trunkline.fleet.kubernetes.wanted import House, Wanted
from trunkline.model.specs.spec import Service

Object = dict[str, Any]
"""An object of Kubernetes, as JSON."""


def objects_of(wanted: Wanted, house: House) -> list[Object]:
    """All objects of a version: what others refer to comes first. Raises InvalidArgument as `check` does."""
    found = [secret(wanted, house), *logins(wanted, house), service(wanted, house), replica_set(wanted, house)]
    return [stamped(one) for one in found if one is not None]


def check(wanted: Wanted, house: House) -> None:
    """Raise InvalidArgument for a version whose pods cannot be made: a bad pod_spec or pod_patch."""
    pods.pod_spec(wanted, house)


def replica_set(wanted: Wanted, house: House) -> Object:
    """Keeps as many pods as are wanted."""
    labels = labels_of(house.server, wanted.pipeline, wanted.version)
    mine = {name: labels[name] for name in (OWNER, KEY, VERSION)}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": _metadata(wanted, house),
        "spec": {
            "replicas": wanted.replicas,
            "selector": {"matchLabels": mine},
            "template": {
                "metadata": {
                    "labels": {**wanted.spec.labels, **labels},
                    "annotations": {**wanted.spec.annotations, ADDRESS: _address(wanted), **_apart(house)},
                },
                "spec": pods.pod_spec(wanted, house),
            },
        },
    }


def secret(wanted: Wanted, house: House) -> Object | None:
    """The secrets of the version's code, and the token of its workers."""
    data = {pods.TOKEN_KEY: wanted.token.encode()} if wanted.token else {}
    data |= {pods.env_key(name): value for name, value in wanted.env.items()}
    for number, files in enumerate(wanted.folders.values()):
        data |= {pods.file_key(number, name): value for name, value in files.items()}
    return _secret(_metadata(wanted, house), "Opaque", data) if data else None


def logins(wanted: Wanted, house: House) -> list[Object]:
    """What the kubelet shows to registries."""
    found = []
    for number, document in enumerate(wanted.logins):
        metadata = _metadata(wanted, house) | {"name": pods.login_name(wanted, number)}
        kind, key = pods.login_kind(document)
        found.append(_secret(metadata, kind, {key: document}))
    return found


def service(wanted: Wanted, house: House) -> Object | None:
    """The address of a service, or of a spout that listens."""
    told = wanted.spec.spout.service if wanted.spec.spout is not None else wanted.spec.service
    if told is None:
        return None
    labels = labels_of(house.server, wanted.pipeline, wanted.version)
    body: dict[str, Any] = {
        "type": told.type or "NodePort",
        "selector": {name: labels[name] for name in (OWNER, KEY, VERSION)},
        "ports": [_port(told)],
    }
    if told.ip and told.type == "LoadBalancer":
        body["loadBalancerIP"] = told.ip
    elif told.ip:
        body["clusterIP"] = told.ip
    metadata = _metadata(wanted, house) | {"name": f"{wanted.name}-user"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": body}


def house_secret(house: House) -> Object:
    """What the worker's container of every pod is given."""
    metadata = {"name": house.secret, "namespace": house.namespace, "labels": {OWNER: house.server}}
    return stamped(_secret(metadata, "Opaque", {name: text.encode() for name, text in house.given.items()}))


def stamped(one: Object) -> Object:
    """An object with a digest of itself; how many replicas there are is no part of it."""
    spec = {name: value for name, value in one.get("spec", {}).items() if name != "replicas"}
    told = json.dumps({**one, "spec": spec}, sort_keys=True, ensure_ascii=False)
    annotations = {**one["metadata"].get("annotations", {}), RENDERED: hashlib.sha256(told.encode()).hexdigest()[:40]}
    return {**one, "metadata": {**one["metadata"], "annotations": annotations}}


def _metadata(wanted: Wanted, house: House) -> Object:
    labels = labels_of(house.server, wanted.pipeline, wanted.version)
    return {
        "name": wanted.name,
        "namespace": house.namespace,
        "labels": {**wanted.spec.labels, **labels},
        "annotations": {**wanted.spec.annotations, ADDRESS: _address(wanted)},
    }


def _apart(house: House) -> dict[str, str]:
    """Keep a role of Amazon's, which their webhook gives to containers, from those with code."""
    return {"eks.amazonaws.com/skip-containers": f"{pods.USER},{pods.INIT}"} if house.account else {}


def _address(wanted: Wanted) -> str:
    return f"{wanted.pipeline.project}/{wanted.pipeline.name}"


def _secret(metadata: Object, kind: str, data: Mapping[str, bytes]) -> Object:
    told = {name: base64.b64encode(value).decode() for name, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind, "data": told}


def _port(told: Service) -> Object:
    port: dict[str, Any] = {
        "name": "user-port",
        "port": told.external_port or told.internal_port,
        "targetPort": told.internal_port,
    }
    if told.external_port and (told.type or "NodePort") == "NodePort":
        port["nodePort"] = told.external_port
    return port
