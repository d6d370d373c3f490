"""One pod: an init container that brings the shim, the container with the user's code, and the worker beside it."""

from __future__ import annotations

import json
from typing import Any

from trunkline.errors import InvalidArgument
from trunkline.fleet.kubernetes.names import SETTINGS, TOKEN
from trunkline.fleet.kubernetes.objects.admission import check_pod
from trunkline.fleet.kubernetes.objects.patches import patched
from trunkline.fleet.kubernetes.objects.resources import resources
from trunkline.fleet.kubernetes.wanted import House, Wanted
from trunkline.model.specs.spec import Toleration
from trunkline.model.specs.writing import merged

USER, STORAGE, INIT = "user", "storage", "shim"
SHIM_FOLDER = "/.shim"
WORK_FOLDER = "/worker"
STORED_FOLDER = "/stored"
"""Where the bytes of files lie for a worker that has no object store."""
STORED_PATH = "blobs"
"""Where they lie in the volume, which is the server's data folder."""
TOKEN_KEY = "worker-token"
"""Its key in the version's Secret, of which the container with the code sees other keys only."""
PATIENCE_S = 86_400
"""How long code waits for a worker that is started again; the kubelet does that much sooner."""

_PREPARED = {"pfs": "/new/pfs/pfs", "staging": "/new/own/staging"}
"""Folders that the init container makes in the volumes, so that they are the worker's and not root's."""

_EFFECTS = {"NO_SCHEDULE": "NoSchedule", "PREFER_NO_SCHEDULE": "PreferNoSchedule", "NO_EXECUTE": "NoExecute"}
_OPERATORS = {"EXISTS": "Exists", "EQUAL": "Equal"}

Body = dict[str, Any]


def pod_spec(wanted: Wanted, house: House) -> Body:
    """The `spec` of the pod. Raises InvalidArgument where pod_spec or pod_patch make of it what must not be."""
    spec = wanted.spec
    plain = _plain(wanted, house)
    made: Any = plain
    if spec.pod_spec:
        made = merged(made, json.loads(spec.pod_spec))
    if spec.pod_patch:
        try:
            made = patched(made, json.loads(spec.pod_patch))
        except InvalidArgument as error:
            raise InvalidArgument(f"pipeline {wanted.pipeline}: pod_patch: {error}") from None
    if made is not plain:
        check_pod(
            plain, made, wanted.pipeline, trusted=house.trusted, kept=tuple(filter(None, (house.secret, house.claim)))
        )
    done: Body = made
    return done


def _plain(wanted: Wanted, house: House) -> Body:
    spec = wanted.spec
    body: Body = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 0,
        "initContainers": [_init(wanted, house)],
        "containers": [_user(wanted, house), _storage(wanted, house)],
        "volumes": _volumes(wanted, house),
    }
    if house.account:
        body["serviceAccountName"] = house.account
    if spec.node_selector:
        body["nodeSelector"] = dict(spec.node_selector)
    if spec.priority_class_name:
        body["priorityClassName"] = spec.priority_class_name
    if spec.tolerations:
        body["tolerations"] = [_toleration(one) for one in spec.tolerations]
    names = [*house.pull_secrets, *(login_name(wanted, number) for number in range(len(wanted.logins)))]
    if names:
        body["imagePullSecrets"] = [{"name": name} for name in names]
    return body


def _init(wanted: Wanted, house: House) -> Body:
    return {
        "name": INIT,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "image": house.image,
        "imagePullPolicy": house.image_pull_policy,
        "command": ["python3", "-m", "trunkline.app.pods.start", f"{SHIM_FOLDER}/shim", *_PREPARED.values()],
        "resources": _user_resources(wanted, house),
        "securityContext": _confined(house),
        "volumeMounts": [
            {"name": "shim", "mountPath": SHIM_FOLDER},
            {"name": "pfs", "mountPath": "/new/pfs"},
            {"name": "work", "mountPath": "/new/own"},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }


def _user(wanted: Wanted, house: House) -> Body:
    body: Body = {
        "name": USER,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "image": wanted.spec.transform.image,
        "imagePullPolicy": "IfNotPresent",
        "command": [f"{SHIM_FOLDER}/shim", "--inherit", "--patience", str(PATIENCE_S), "/.pfs/agent.sock"],
        "env": _user_env(wanted),
        "resources": _user_resources(wanted, house),
        "volumeMounts": [
            {"name": "pfs", "mountPath": "/pfs", "subPath": "pfs"},
            {"name": "work", "mountPath": "/.pfs", "subPath": "staging", "readOnly": True},
            {"name": "shim", "mountPath": SHIM_FOLDER, "readOnly": True},
            *(
                {"name": _folder_name(number), "mountPath": path, "readOnly": True}
                for number, path in enumerate(wanted.folders)
            ),
        ],
    }
    if context := _user_context(wanted.spec.transform.user):
        body["securityContext"] = context
    told = wanted.spec.spout.service if wanted.spec.spout is not None else wanted.spec.service
    if told is not None:
        body["ports"] = [{"name": "user-port", "containerPort": told.internal_port}]
    return body


def _storage(wanted: Wanted, house: House) -> Body:
    spec = wanted.spec
    settings = {
        "address": f"grpc://{house.address}",
        "folder": WORK_FOLDER,
        "blobs": STORED_FOLDER if house.claim else house.blobs,
        "server": house.server,
        "namespace": house.namespace,
        "project": wanted.pipeline.project,
        "pipeline": wanted.pipeline.name,
        "version": wanted.version,
        "kind": wanted.kind,
    }
    body: Body = {
        "name": STORAGE,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "image": house.image,
        "imagePullPolicy": house.image_pull_policy,
        "command": ["python3", "-m", "trunkline.app.pods.main"],
        "env": [
            {"name": "PPS_POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": SETTINGS, "value": json.dumps(settings, sort_keys=True)},
            *_token(wanted),
        ],
        "envFrom": [{"secretRef": {"name": house.secret}}],
        "resources": resources(spec.sidecar_resource_requests, _sidecar_limits(wanted), house.sidecar_requests),
        "securityContext": _confined(house),
        "volumeMounts": [
            {"name": "work", "mountPath": WORK_FOLDER},
            {"name": "pfs", "mountPath": f"{WORK_FOLDER}/pfs", "subPath": "pfs"},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }
    if house.claim:
        body["volumeMounts"].append({"name": "stored", "mountPath": STORED_FOLDER, "subPath": STORED_PATH})
    return body


def _token(wanted: Wanted) -> list[Body]:
    if not wanted.token:
        return []
    return [{"name": TOKEN, "valueFrom": {"secretKeyRef": {"name": wanted.name, "key": TOKEN_KEY}}}]


def _volumes(wanted: Wanted, house: House) -> list[Body]:
    in_memory = wanted.spec.transform.memory_volume
    limits = wanted.spec.resource_limits
    pfs: Body = {"medium": "Memory"} if in_memory else {}
    if in_memory and limits is not None and limits.memory_bytes:
        pfs["sizeLimit"] = limits.memory
    found: list[Body] = [
        {"name": "pfs", "emptyDir": pfs},
        *({"name": name, "emptyDir": {}} for name in ("shim", "work", "tmp")),
    ]
    if house.claim:
        found.append({"name": "stored", "persistentVolumeClaim": {"claimName": house.claim}})
    for number, files in enumerate(wanted.folders.values()):
        items = [{"key": file_key(number, name), "path": name} for name in files]
        found.append({"name": _folder_name(number), "secret": {"secretName": wanted.name, "items": items}})
    return found


def _user_env(wanted: Wanted) -> list[Body]:
    """Variables from secrets; all others come with each datum."""
    return [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": wanted.name, "key": env_key(name)}}}
        for name in wanted.env
    ]


def _user_resources(wanted: Wanted, house: House) -> Body:
    return resources(wanted.spec.resource_requests, wanted.spec.resource_limits, house.requests)


def _sidecar_limits(wanted: Wanted) -> Any:
    """Those of the spec; what lies in a /pfs in memory counts for the worker, who writes it."""
    spec = wanted.spec
    limits, more = spec.sidecar_resource_limits, spec.resource_limits
    if limits is None or not limits.memory_bytes or not spec.transform.memory_volume or more is None:
        return limits
    return type(limits)(limits.cpu, str(limits.memory_bytes + more.memory_bytes), limits.disk, limits.gpu)


def _confined(house: House) -> Body:
    return {
        "runAsUser": house.user,
        "runAsGroup": house.user,
        "runAsNonRoot": house.user != 0,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _user_context(user: str) -> Body:
    """Who the code's container runs as. A name is looked up in the image by the shim, which must be root for that."""
    name, _, group = user.partition(":")
    if not name:
        return {}
    if not name.isdigit() or (group and not group.isdigit()):
        return {"runAsUser": 0}
    return {"runAsUser": int(name)} | ({"runAsGroup": int(group)} if group else {})


def _toleration(told: Toleration) -> Body:
    body: Body = {"operator": _OPERATORS[told.operator]}
    if told.key:
        body["key"] = told.key
    if told.value:
        body["value"] = told.value
    if told.effect in _EFFECTS:
        body["effect"] = _EFFECTS[told.effect]
    if told.seconds is not None:
        body["tolerationSeconds"] = told.seconds
    return body


def env_key(name: str) -> str:
    """The key of a variable in the version's Secret."""
    return f"env.{name}"


def file_key(number: int, name: str) -> str:
    """The key of a file in the version's Secret; number: of its folder."""
    return f"folder-{number}.{name}"


def login_name(wanted: Wanted, number: int) -> str:
    """The name of a Secret with a registry's credentials."""
    return f"{wanted.name}-pull-{number}"


def login_kind(document: bytes) -> tuple[str, str]:
    """The type and the key of a Secret with such a document: of the present form, or of Docker's first."""
    try:
        modern = "auths" in json.loads(document)
    except (ValueError, TypeError):
        modern = True
    if modern:
        return "kubernetes.io/dockerconfigjson", ".dockerconfigjson"
    return "kubernetes.io/dockercfg", ".dockercfg"


def _folder_name(number: int) -> str:
    return f"secret-{number}"
