"""From a spec to objects of Kubernetes: the two golden ones whole, then each field by itself."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from clusters import HOUSE, SERVER, wanted

from trunkline.errors import InvalidArgument
from trunkline.fleet.kubernetes.names import KEY, OWNER, RENDERED, label_value, object_name
from trunkline.fleet.kubernetes.objects.manifests import check, house_secret, objects_of
from trunkline.fleet.kubernetes.objects.pods import pod_spec
from trunkline.model.names import Pipeline
from trunkline.model.specs import Resources

GOLDEN = Path(__file__).parent / "golden"
FULL: dict[str, Any] = {
    "transform": {"image": "registry.local/edges:2", "user": "1001:1002", "memory_volume": True},
    "replicas": 3,
    "env": {"PASSWORD": b"hush"},
    "folders": {"/keys": {"id": b"key"}},
    "logins": (b'{"auths": {}}',),
    "token": "default-edges-v1:cafe",
    "kind": "SERVICE",
    "service": {"internal_port": 8080, "external_port": 30080, "type": "NodePort"},
    "resource_requests": {"cpu": 0.5, "memory": "1Gi", "disk": "2Gi"},
    "resource_limits": {"cpu": 2.0, "memory": "2Gi", "gpu": {"type": "nvidia.com/gpu", "number": 1}},
    "sidecar_resource_limits": {"memory": "512Mi"},
    "scheduling_spec": {"node_selector": {"disk": "fast"}, "priority_class_name": "high"},
    "tolerations": [
        {"key": "gpu", "operator": "EQUAL", "value": "yes", "effect": "NO_EXECUTE", "toleration_seconds": 60},
        {"operator": "EXISTS"},
    ],
    "metadata": {"labels": {"team": "vision"}, "annotations": {"why": "a test"}},
    "pod_spec": '{"dnsPolicy": "Default"}',
    "pod_patch": '[{"op": "add", "path": "/containers/0/env/-", "value": {"name": "MORE", "value": "1"}}]',
}


@pytest.mark.parametrize(("name", "fields"), [("plain", {}), ("full", FULL)])
def test_the_golden_manifests(name: str, fields: dict[str, Any]) -> None:
    """Where a change is meant, the file is written anew from what the failure shows."""
    made = objects_of(wanted(**fields), HOUSE)
    assert list(yaml.safe_load_all((GOLDEN / f"{name}.yaml").read_text())) == made, yaml.safe_dump_all(made)


def pod(**fields: Any) -> dict[str, Any]:
    return pod_spec(wanted(**fields), HOUSE)


def user(**fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = pod(**fields)["containers"][0]
    return found


def test_the_token_is_shown_to_the_container_beside_the_code_only() -> None:
    beside = pod(token="t", env={"A": b"x"}, folders={"/keys": {"id": b"x"}})
    code, worker = beside["containers"]
    (told,) = [each for each in worker["env"] if each["name"] == "TRUNKLINE_WORKER_TOKEN"]
    assert told["valueFrom"]["secretKeyRef"] == {"name": "default-edges-v1", "key": "worker-token"}
    assert "worker-token" not in str(code) + str(beside["initContainers"]) + str(beside["volumes"])
    assert "envFrom" not in code


def test_only_kinds_that_every_cluster_has() -> None:
    kinds = {(one["apiVersion"], one["kind"]) for one in objects_of(wanted(**FULL), HOUSE)}
    assert kinds == {("v1", "Secret"), ("v1", "Service"), ("apps/v1", "ReplicaSet")}


DEFAULT = {"requests": {"cpu": "1", "memory": "256Mi", "ephemeral-storage": "1Gi"}}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, DEFAULT),
        ({"resource_requests": {}}, {}),
        ({"resource_requests": {"cpu": 0.0001}}, {"requests": {"cpu": "1m"}}),
        ({"resource_requests": {"cpu": 2.0}}, {"requests": {"cpu": "2"}}),
        ({"resource_requests": {"cpu": 1.5}}, {"requests": {"cpu": "1500m"}}),
        ({"resource_limits": {"memory": "64Mi"}}, {"limits": {"memory": "64Mi"}}),
        ({"resource_requests": {"memory": "0"}}, {}),
        (
            {"resource_requests": {"gpu": {"type": "amd.com/gpu", "number": 2}}},
            {"requests": {"amd.com/gpu": "2"}, "limits": {"amd.com/gpu": "2"}},
        ),
        (
            {"resource_limits": {"gpu": {"type": "nvidia.com/gpu", "number": 1}, "disk": "3Gi"}},
            {"limits": {"nvidia.com/gpu": "1", "ephemeral-storage": "3Gi"}},
        ),
    ],
)
def test_resources_of_the_code_and_of_what_starts_it(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    made = pod(**fields)
    assert made["containers"][0]["resources"] == expected
    assert made["initContainers"][0]["resources"] == expected
    assert made["containers"][1]["resources"] == DEFAULT


def test_the_worker_has_resources_of_its_own_and_what_lies_in_memory_counts_for_it() -> None:
    made = pod(sidecar_resource_requests={"cpu": 0.25}, sidecar_resource_limits={"memory": "512Mi"})
    assert made["containers"][1]["resources"] == {"requests": {"cpu": "250m"}, "limits": {"memory": "512Mi"}}
    limits = {"sidecar_resource_limits": {"memory": "512Mi"}, "resource_limits": {"memory": "1Gi"}}
    made = pod(transform={"memory_volume": True}, **limits)
    assert made["containers"][1]["resources"]["limits"] == {"memory": str((512 << 20) + (1 << 30))}
    assert made["volumes"][0] == {"name": "pfs", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("", None),
        ("1001", {"runAsUser": 1001}),
        ("1001:1002", {"runAsUser": 1001, "runAsGroup": 1002}),
        ("daemon", {"runAsUser": 0}),
        ("1001:staff", {"runAsUser": 0}),
    ],
)
def test_who_the_code_runs_as(told: str, expected: dict[str, Any] | None) -> None:
    assert user(transform={"user": told}).get("securityContext") == expected


def test_where_pods_may_run() -> None:
    made = pod(**{name: FULL[name] for name in ("scheduling_spec", "tolerations")})
    assert made["nodeSelector"] == {"disk": "fast"}
    assert made["priorityClassName"] == "high"
    assert made["tolerations"] == [
        {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoExecute", "tolerationSeconds": 60},
        {"operator": "Exists"},
    ]


def test_secrets_go_to_the_code_and_the_servers_own_to_the_worker_only() -> None:
    version = wanted(env={"PASSWORD": b"hush"}, folders={"/keys": {"id": b"key", "id.pub": b"open"}})
    secret, replica_set = objects_of(version, HOUSE)
    assert {name: base64.b64decode(value) for name, value in secret["data"].items()} == {
        "env.PASSWORD": b"hush",
        "folder-0.id": b"key",
        "folder-0.id.pub": b"open",
    }
    made = replica_set["spec"]["template"]["spec"]
    code, worker = made["containers"]
    assert [each["name"] for each in code["env"]] == ["PASSWORD"]
    assert {"name": "secret-0", "mountPath": "/keys", "readOnly": True} in code["volumeMounts"]
    assert "envFrom" not in code
    assert worker["envFrom"] == [{"secretRef": {"name": HOUSE.secret}}]
    assert "hush" not in json.dumps(replica_set)
    assert made["automountServiceAccountToken"] is False
    assert house_secret(HOUSE)["metadata"]["name"] == HOUSE.secret


def test_a_digest_tells_a_version_that_changed_and_not_one_that_was_scaled() -> None:
    def digest(**fields: Any) -> str:
        return str(objects_of(wanted(**fields), HOUSE)[-1]["metadata"]["annotations"][RENDERED])

    assert digest() == digest(replicas=7)
    assert digest() != digest(resource_limits={"cpu": 1.0})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"internal_port": 80, "external_port": 30080, "type": "NodePort"}, {"type": "NodePort", "nodePort": 30080}),
        ({"internal_port": 80, "external_port": 8080, "type": "ClusterIP"}, {"type": "ClusterIP", "port": 8080}),
        ({"internal_port": 80, "type": "LoadBalancer", "ip": "198.18.9.9"}, {"loadBalancerIP": "198.18.9.9"}),
        ({"internal_port": 80, "type": "ClusterIP", "ip": "198.18.0.9"}, {"clusterIP": "198.18.0.9"}),
    ],
)
@pytest.mark.parametrize("kind", ["SERVICE", "SPOUT"])
def test_the_address_of_a_service(kind: str, fields: dict[str, Any], expected: dict[str, Any]) -> None:
    told = {"service": fields} if kind == "SERVICE" else {"spout": {"service": fields}}
    service, replica_set = objects_of(wanted(kind=kind, **told), HOUSE)
    found = {**service["spec"], **service["spec"]["ports"][0]}
    assert found.items() >= {"targetPort": 80, **expected}.items()
    labels = replica_set["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()


def test_names_tell_pipelines_apart_whatever_they_are_called() -> None:
    addresses = [
        ("default", "a-b"),
        ("default", "a_b"),
        ("default", "A-b"),
        ("a", "b-c"),
        ("a-b", "c"),
        ("x", "y" * 63),
    ]
    names = [object_name(Pipeline(*one), 12) for one in addresses]
    assert names[0] == "default-a-b-v12"
    assert len(set(names)) == len(names)
    assert all(len(name) <= 54 and name == name.lower() and "_" not in name for name in names)


def test_labels_are_ours_whatever_the_spec_says() -> None:
    told = {"labels": {OWNER: "another", "team": "vision", KEY: "x"}}
    *_, replica_set = objects_of(wanted(name="Edges_", metadata=told), HOUSE)
    labels = replica_set["metadata"]["labels"]
    assert labels[OWNER] == SERVER
    assert labels["team"] == "vision"
    assert labels["pipelineName"] == "Edges"
    assert label_value("x" * 80) == "x" * 63


REFUSED = [
    ({"pod_spec": '{"containers": []}'}, 'lacks the container "user"'),
    ({"pod_spec": '{"containers": 3}'}, "containers is no list"),
    ({"pod_spec": '{"volumes": null}'}, 'lacks the volume "pfs"'),
    ({"pod_spec": '{"restartPolicy": "Never"}'}, "restartPolicy must be Always"),
    ({"pod_spec": '{"hostNetwork": true}'}, "sets hostNetwork, which this server does not allow"),
    ({"pod_spec": '{"serviceAccountName": "admin"}'}, "sets serviceAccountName"),
    ({"pod_spec": '{"automountServiceAccountToken": true}'}, "token of a service account"),
    ({"pod_patch": '[{"op": "remove", "path": "/containers/1"}]'}, 'lacks the container "storage"'),
    ({"pod_patch": '[{"op": "replace", "path": "/containers/0/command", "value": ["sh"]}]'}, "changes the command"),
    ({"pod_patch": '[{"op": "remove", "path": "/containers/0/volumeMounts/0"}]'}, "takes /pfs from the container"),
    ({"pod_patch": '[{"op": "remove", "path": "/nothing"}]'}, "pod_patch: operation 0"),
    ({"pod_patch": '[{"op": "replace", "path": "", "value": 1}]'}, "is no object"),
    (
        {"pod_patch": '[{"op": "add", "path": "/volumes/-", "value": {"name": "x", "hostPath": {"path": "/"}}}]'},
        "mounts a hostPath",
    ),
    (
        {"pod_patch": '[{"op": "add", "path": "/containers/0/securityContext", "value": {"privileged": true}}]'},
        "privileged",
    ),
    (
        {
            "pod_patch": '[{"op": "add", "path": "/containers/0/securityContext", "value": '
            '{"capabilities": {"add": ["SYS_ADMIN"]}}}]'
        },
        "capability SYS_ADMIN",
    ),
]


@pytest.mark.parametrize(("fields", "why"), REFUSED)
def test_patches_that_would_break_pods_or_take_the_node_are_refused(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidArgument, match=why):
        check(wanted(**fields), HOUSE)


KEPT = replace(HOUSE, claim="data-pachd-0", account="workers")
SHOWN = [
    ("/containers/0/envFrom", [{"secretRef": {"name": KEPT.secret}}], f'shows code "{KEPT.secret}"'),
    ("/volumes/-", {"name": "x", "secret": {"secretName": KEPT.secret}}, f'shows code "{KEPT.secret}"'),
    ("/volumes/-", {"name": "x", "persistentVolumeClaim": {"claimName": KEPT.claim}}, 'shows code "data-pachd-0"'),
    ("/containers/0/volumeMounts/-", {"name": "stored", "mountPath": "/x"}, 'shows code the volume "stored"'),
    ("/initContainers/0/volumeMounts/-", {"name": "stored", "mountPath": "/x"}, 'shows code the volume "stored"'),
    ("/serviceAccountName", "admin", "sets serviceAccountName"),
]


@pytest.mark.parametrize(("path", "value", "why"), SHOWN)
def test_the_bytes_of_all_repos_are_not_shown_to_code(path: str, value: Any, why: str) -> None:
    told = wanted(pod_patch=json.dumps([{"op": "add", "path": path, "value": value}]))
    with pytest.raises(InvalidArgument, match=why):
        check(told, KEPT)
    check(told, replace(KEPT, trusted=True))


def test_a_volume_of_ones_own_may_be_shown_and_nothing_else_changes() -> None:
    claim = {"name": "mine", "persistentVolumeClaim": {"claimName": "mine"}}
    patch = [
        {"op": "add", "path": "/volumes/-", "value": claim},
        {"op": "add", "path": "/containers/0/volumeMounts/-", "value": {"name": "mine", "mountPath": "/mine"}},
    ]
    check(wanted(pod_patch=json.dumps(patch)), KEPT)


def test_an_account_gives_its_rights_to_workers_alone() -> None:
    template = objects_of(wanted(metadata={"annotations": {"a": "b"}}), KEPT)[-1]["spec"]["template"]
    assert template["spec"]["serviceAccountName"] == "workers"
    assert template["spec"]["automountServiceAccountToken"] is False
    assert template["metadata"]["annotations"]["eks.amazonaws.com/skip-containers"] == "user,shim"


def test_a_server_may_trust_its_users_with_the_node() -> None:
    trusting = HOUSE.__class__(SERVER, "data", "w:1", "h:1", trusted=True)
    made = pod_spec(wanted(pod_spec='{"hostNetwork": true}'), trusting)
    assert made["hostNetwork"] is True


def test_defaults_are_the_servers_to_say() -> None:
    modest = HOUSE.__class__(SERVER, "data", "w:1", "h:1", requests=Resources(), sidecar_requests=Resources(cpu=0.1))
    code, worker = pod_spec(wanted(), modest)["containers"]
    assert code["resources"] == {}
    assert worker["resources"] == {"requests": {"cpu": "100m"}}
