"""What pod_spec and pod_patch may make of a pod: anything that leaves it our worker, and the node to its owner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from trunkline.errors import InvalidArgument
from trunkline.model.names import Pipeline

_OF_THE_NODE = ("hostNetwork", "hostPID", "hostIPC")
_OF_ACCOUNTS = ("serviceAccountName", "serviceAccount")
_CAPABILITIES = frozenset({"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETUID", "SETGID", "NET_BIND_SERVICE", "KILL"})
_OF_CONTAINERS = ("initContainers", "containers")
_WORKER = "storage"
_ALONE = "which this server does not allow; ask whoever runs it (--trust-pods)"


def check_pod(
    plain: Mapping[str, Any], made: Any, pipeline: Pipeline, *, trusted: bool, kept: Sequence[str] = ()
) -> None:
    """Raise InvalidArgument for a pod that could not work, or, unless trusted, that asks for rights on its node.

    plain: as the spec alone makes it; made: after its patches. kept: names of a Secret and a claim by which all bytes
    of the server are reached, and which workers alone may have.
    """
    asked = chain(_rights(plain, made), _kept(plain, made, kept))
    complaint = next(chain(_broken(plain, made), () if trusted else asked), "")
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


def _kept(plain: Mapping[str, Any], made: Mapping[str, Any], kept: Sequence[str]) -> Iterator[str]:
    """A name that stands more often in what a patch made leads there from one more place."""
    for name in kept:
        if _count(made, name) > _count(plain, name):
            yield f'shows code "{name}", by which the bytes of all repos are reached, {_ALONE}'
    shown = [
        each.get("name")
        for container in _containers(made)
        if container.get("name") != _WORKER
        for mount in container.get("volumeMounts") or ()
        for each in made.get("volumes") or ()
        if mount.get("name") == each.get("name") and _count(each, *kept)
    ]
    for name in shown:
        yield f'shows code the volume "{name}", in which the bytes of all repos lie, {_ALONE}'


def _count(told: Any, *names: str) -> int:
    """How often a text is one of these names."""
    if isinstance(told, Mapping):
        return sum(_count(each, *names) for each in told.values())
    if isinstance(told, list):
        return sum(_count(each, *names) for each in told)
    return int(told in names) if isinstance(told, str) else 0


def _containers(made: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for kind in (*_OF_CONTAINERS, "ephemeralContainers"):
        yield from made.get(kind) or ()


def _rights(plain: Mapping[str, Any], made: Mapping[str, Any]) -> Iterator[str]:
    for name in _OF_THE_NODE:
        if made.get(name):
            yield f"sets {name}, {_ALONE}"
    for name in _OF_ACCOUNTS:
        if made.get(name) not in (None, "", plain.get("serviceAccountName")):
            yield f"sets {name}, and code could act as that account, {_ALONE}"
    if made.get("automountServiceAccountToken"):
        yield f"shows code the token of a service account, {_ALONE}"
    for volume in made.get("volumes") or ():
        if isinstance(volume, Mapping) and "hostPath" in volume:
            yield f"mounts a hostPath, {_ALONE}"
        if isinstance(volume, Mapping) and _has_token(volume):
            yield f"shows code the token of a service account, {_ALONE}"
    for container in _containers(made):
        context = container.get("securityContext") or {}
        if context.get("privileged"):
            yield f'makes the container "{container.get("name")}" privileged, {_ALONE}'
        added = set((context.get("capabilities") or {}).get("add") or ()) - _CAPABILITIES
        if added:
            yield f'gives the container "{container.get("name")}" capability {min(added)}, {_ALONE}'


def _has_token(volume: Mapping[str, Any]) -> bool:
    sources = (volume.get("projected") or {}).get("sources") or ()
    return any(isinstance(each, Mapping) and "serviceAccountToken" in each for each in sources)
