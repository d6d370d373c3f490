"""What a pod's status says: whether it runs, in which image, and why not, in words that somebody can act on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from trunkline.fleet.kubernetes.objects.pods import STORAGE, USER

_CODE = {
    "ErrImagePull": "its image cannot be pulled",
    "ImagePullBackOff": "its image cannot be pulled",
    "ErrImageNeverPull": "its image is not on the node, and may not be pulled",
    "InvalidImageName": "its image has a name that cannot be",
    "ImageInspectError": "its image cannot be read",
    "RegistryUnavailable": "the registry of its image does not answer",
    "CreateContainerConfigError": "its container cannot be made",
    "CreateContainerError": "its container cannot be made",
    "RunContainerError": "its container cannot be started",
    "StartError": "its container cannot be started",
}
_EVENTS = {
    "FailedMount": "a volume of it cannot be mounted",
    "FailedAttachVolume": "a volume of it cannot be attached to its node",
    "FailedCreatePodSandBox": "its node cannot make room for it",
}
"""What only events tell, while a pod looks as if it were on its way."""
_ON_ITS_WAY = frozenset({"ContainerCreating", "PodInitializing", ""})
_OFTEN = 3
"""An event that comes this often is no accident: a kubelet may find a fresh Secret only at its second look."""
_OUT_OF_MEMORY = "OOMKilled"
_FOREIGN = "no match for platform"
_WAITS = "Back-off pulling image"
_WORDS = 400
_OVERDRAWN = re.compile(r"exceed(?:s|ed) (?:the limit|the total limit|its local ephemeral storage limit)\b")
"""How kubelets say so; where the node itself ran out, they name a request that the pod exceeded."""
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})\Z")


def trouble(pod: Mapping[str, Any]) -> str:
    """Why a pod does not run, in a sentence without its end; "" if it does, or may be on its way."""
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    told = _unplaced(pod) or _of_pod(status) or next(filter(None, map(_of_container, _containers(status))), "")
    return f"pod {name}: {told}" if told else ""


def worst(pods: Iterable[Mapping[str, Any]], said: Mapping[str, str] = MappingProxyType({})) -> str:
    """The trouble of the first of these pods that has one, by name; "". said: what events told of pods, by uid."""
    told = (trouble(pod) or _waiting(pod, said) for pod in sorted(pods, key=lambda each: each["metadata"]["name"]))
    return next(filter(None, told), "")


def said_of(event: Mapping[str, Any]) -> tuple[str, str]:
    """The uid of the pod that an event keeps from starting, and why; two empty texts for any other event."""
    about, why = event.get("involvedObject") or {}, _EVENTS.get(event.get("reason") or "")
    count = int(event.get("count") or (event.get("series") or {}).get("count") or 1)
    if why is None or about.get("kind") != "Pod" or event.get("type") != "Warning" or count < _OFTEN:
        return "", ""
    return str(about.get("uid", "")), f"{why}: {_brief(event.get('message') or '')}"


def _waiting(pod: Mapping[str, Any], said: Mapping[str, str]) -> str:
    why, status = said.get(pod["metadata"].get("uid", ""), ""), pod.get("status") or {}
    states = [one.get("state") or {} for one in status.get("containerStatuses") or ()]
    on_its_way = all((each.get("waiting") or {}).get("reason", "") in _ON_ITS_WAY for each in states)
    if not why or status.get("phase") != "Pending" or not on_its_way:
        return ""
    return f"pod {pod['metadata']['name']}: {why}"


def refused(one: Mapping[str, Any]) -> str:
    """Why a ReplicaSet gets no pods at all, which the cluster says of it; ""."""
    for condition in (one.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return f"the cluster refuses its pods: {_brief(condition.get('message', ''))}"
    return ""


def ready(pod: Mapping[str, Any]) -> bool:
    """Whether all containers of a pod run."""
    status = pod.get("status") or {}
    found = status.get("containerStatuses") or ()
    return status.get("phase") == "Running" and len(found) > 1 and all("running" in each["state"] for each in found)


def gone(pod: Mapping[str, Any]) -> bool:
    """Whether a pod has ended for good, or is about to."""
    phase = (pod.get("status") or {}).get("phase")
    return phase in ("Failed", "Succeeded") or bool(pod["metadata"].get("deletionTimestamp"))


def image_of(pod: Mapping[str, Any]) -> str:
    """The digest of the image that a pod's code runs in, in hex; "" as long as the cluster does not tell."""
    for one in (pod.get("status") or {}).get("containerStatuses") or ():
        found = _DIGEST.search(one.get("imageID") or "")
        if one.get("name") == USER and found:
            return found[1]
    return ""


def ending(pod: Mapping[str, Any]) -> str:
    """How a pod ended, for who asks about its datums."""
    status = pod.get("status") or {}
    return _of_pod(status) or "its pod was deleted"


def overdrew(pod: Mapping[str, Any]) -> bool:
    """Whether a pod was evicted because it used more of the node's disk than its own limits allow."""
    status = pod.get("status") or {}
    return status.get("reason") == "Evicted" and _OVERDRAWN.search(status.get("message") or "") is not None


def _of_pod(status: Mapping[str, Any]) -> str:
    reason, message = status.get("reason", ""), _brief(status.get("message", ""))
    if reason == "Evicted":
        return f"it was evicted from its node: {message}"
    if reason == "NodeLost":
        return "its node is lost"
    if status.get("phase") == "Failed" and reason:
        return f"the node refuses it ({reason}): {message}"
    return ""


def _unplaced(pod: Mapping[str, Any]) -> str:
    """Why no node takes a pod, with the labels that it wants of one, which the cluster does not name; ""."""
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            asked = (pod.get("spec") or {}).get("nodeSelector") or {}
            labels = _brief(", ".join(f"{name}={value}" for name, value in sorted(asked.items())))
            wants = f" It runs only on nodes with {labels} (scheduling_spec.node_selector)." if labels else ""
            return f"no node can take it: {_brief(condition.get('message', ''))}{wants}"
    return ""


def _containers(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _of_container(status: Mapping[str, Any]) -> str:
    whose = {USER: "the code", STORAGE: "the worker"}.get(status.get("name", ""), "the worker")
    waiting = (status.get("state") or {}).get("waiting") or {}
    reason, message = waiting.get("reason", ""), _brief(waiting.get("message", ""))
    if reason in _CODE:
        image = f' ("{status.get("image")}")' if "mage" in reason else ""
        if message.startswith(_WAITS):
            message = ""  # it takes the place of the reason, which is known from before
        if _FOREIGN in message:
            message = f"it is made for other kinds of machine than its node is: {message}"
        return f"{whose} cannot start: {_CODE[reason]}{image}" + (f": {message}" if message else "")
    ended = (status.get("state") or {}).get("terminated") or (status.get("lastState") or {}).get("terminated") or {}
    if reason == "CrashLoopBackOff" or (ended and (status.get("state") or {}).get("terminated")):
        if not ended or (ended.get("reason") == "Completed" and status.get("name") not in (USER, STORAGE)):
            return f"{whose} ends again and again" if reason else ""
        return f"{whose} ended and is started again: {_ended(ended)}"
    return ""


def _ended(ended: Mapping[str, Any]) -> str:
    if ended.get("reason") == _OUT_OF_MEMORY:
        return "its memory limit was exceeded, and the kernel killed the container"
    message = _brief(ended.get("message", ""))
    if ended.get("signal"):
        return f"it was killed by signal {ended['signal']}" + (f": {message}" if message else "")
    return f"exit {ended.get('exitCode')}" + (f": {message}" if message else "")


def _brief(text: str) -> str:
    """A message in one line, not longer than a person reads."""
    line = " ".join(text.split())
    return line if len(line) <= _WORDS else f"{line[:_WORDS]}…"
