"""What pod_spec and pod_patch may make of a pod: anything that leaves it our worker, and the node to its owner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from trunkline.errors import InvalidArgument
from trunkline.model.names import Pipeline

_OF_THE_NODE = ("hostNetwork", "hostPID", "hostIPC")
_OF_ACCOUNTS = ("serviceAccountName", "serviceAccount")
_CAPABILITIES = frozenset({"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETUID", "SETGID", "NET_BIND_SERVICE", "KILL"})
_OF_CONTAINERS = ("initContainers", "containers")


def check_pod(plain: Mapping[str, Any], made: Any, pipeline: Pipeline, *, trusted: bool) -> None:
    """Raise InvalidArgument for a pod that could not work, or, unless trusted, that asks for rights on its node.

    plain: as the spec alone makes it; made: after its patches.
    """
    complaint = next(chain(_broken(plain, made), () if trusted else _rights(made)), "")
    if complaint:
        raise InvalidArgument(f"pipeline {pipeline}: what pod_spec and pod_patch make of its pods {complaint}")


def _broken(plain: Mapping[str, Any], made: Any) -> Iterator[str]:
    if not isinstance(made, dict):
        yield "is no object"
        return
    for kind in _OF_CONTAINERS:
        found = made.get(kind)
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            yield f"is unusable: {kind} is no list of containers"
            return
        named = {each.get("name"): each for each in found}
        if len(named) != len(found):
            yield f"is unusable: two of its {kind} have one name"
        for one in plain[kind]:
            yield from _missing(one, named.get(one["name"]))
    volumes = {each.get("name") for each in made.get("volumes") or () if isinstance(each, dict)}
    for volume in plain["volumes"]:
        if volume["name"] not in volumes:
            yield f'lacks the volume "{volume["name"]}", which workers need'
    if made.get("restartPolicy") != "Always":
        yield "cannot be kept running: restartPolicy must be Always"


def _missing(one: Mapping[str, Any], found: Mapping[str, Any] | None) -> Iterator[str]:
    if found is None:
        yield f'lacks the container "{one["name"]}", without which no datum runs; a patch replaces whole lists'
        return
    if found.get("command") != one["command"]:
        yield f'changes the command of the container "{one["name"]}", which starts the code; use transform.cmd'
    places = {each.get("mountPath") for each in found.get("volumeMounts") or () if isinstance(each, dict)}
    for mount in one["volumeMounts"]:
        if mount["mountPath"] not in places:
            yield f'takes {mount["mountPath"]} from the container "{one["name"]}", which needs it'


def _rights(made: Mapping[str, Any]) -> Iterator[str]:
    reason = "which this server does not allow; ask whoever runs it (--trust-pods)"
    for name in _OF_THE_NODE:
        if made.get(name):
            yield f"sets {name}, {reason}"
    for name in _OF_ACCOUNTS:
        if made.get(name):
            yield f"sets {name}, and code could act as that account, {reason}"
    if made.get("automountServiceAccountToken"):
        yield f"shows code the token of a service account, {reason}"
    for volume in made.get("volumes") or ():
        if isinstance(volume, Mapping) and "hostPath" in volume:
            yield f"mounts a hostPath, {reason}"
        if isinstance(volume, Mapping) and _has_token(volume):
            yield f"shows code the token of a service account, {reason}"
    for container in (each for kind in (*_OF_CONTAINERS, "ephemeralContainers") for each in made.get(kind) or ()):
        context = container.get("securityContext") or {}
        if context.get("privileged"):
            yield f'makes the container "{container.get("name")}" privileged, {reason}'
        added = set((context.get("capabilities") or {}).get("add") or ()) - _CAPABILITIES
        if added:
            yield f'gives the container "{container.get("name")}" capability {min(added)}, {reason}'


def _has_token(volume: Mapping[str, Any]) -> bool:
    sources = (volume.get("projected") or {}).get("sources") or ()
    return any(isinstance(each, Mapping) and "serviceAccountToken" in each for each in sources)
