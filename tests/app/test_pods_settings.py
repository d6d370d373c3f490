"""A server whose workers are pods: its settings, what it tells a pod, and what it wants of the fleet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trunkline.ambient import SimulatedAmbient
from trunkline.app.config import parse
from trunkline.app.pods import start
from trunkline.app.pods.main import settings_of
from trunkline.app.pods.settings import PodConfig
from trunkline.app.pods.side import store_keys
from trunkline.app.worker import Only, Standing
from trunkline.errors import FailedPrecondition, InvalidArgument
from trunkline.fleet.happened import Happened
from trunkline.fleet.kubernetes.objects.pods import pod_spec
from trunkline.fleet.kubernetes.wanted import House, Wanted
from trunkline.model.names import Pipeline
from trunkline.model.specs import PipelineSpec, Resources

FLEET = ["--fleet", "kubernetes"]
PODS = [*FLEET, "--worker-image", "trunkline:1", "--storage", "s3://bucket/one"]


def test_pods_in_place_of_processes() -> None:
    told = parse([*PODS, "--worker-address", "198.18.2.1:30650", "--namespace", "data", "--trust-pods"], {})
    assert told.pods == PodConfig("trunkline:1", "198.18.2.1:30650", "", "data", True)
    assert (told.worker_count, told.containers) == (0, "")
    assert parse([], {}).pods is None
    environ = {"TRUNKLINE_FLEET": "kubernetes", "TRUNKLINE_WORKER_IMAGE": "w:1", "TRUNKLINE_STORAGE": "s3://b/x"}
    assert parse([], environ).pods == PodConfig("w:1")


def test_what_pods_ask_for_and_how_their_image_is_pulled() -> None:
    flags = [
        "--worker-pull-policy",
        "Always",
        "--worker-pull-secrets",
        "one,two",
        "--sidecar-requests",
        "cpu=0,memory=0",
    ]
    told = parse([*PODS, *flags, "--pipeline-requests", "memory=1Gi"], {}).pods
    assert told is not None
    assert (told.pull_policy, told.pull_secrets) == ("Always", ("one", "two"))
    assert told.requests == Resources(cpu=1.0, memory="1Gi", disk="1Gi")
    assert told.sidecar_requests == Resources(cpu=0.0, memory="", disk="1Gi")


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        ([*FLEET, "--storage", "s3://b/x"], "need an image of Trunkline; name it with --worker-image"),
        ([*FLEET, "--worker-image", "w:1"], "keep bytes in an object store.*or say by --storage-claim"),
        ([*PODS, "--storage-claim", "data-pachd-0"], "give --storage or --storage-claim"),
        ([*PODS, "--worker-address", "nowhere"], "HOST:PORT"),
        ([*PODS, "--worker-pull-policy", "sometimes"], "choose one of Always, IfNotPresent, Never"),
        ([*PODS, "--pipeline-requests", "cpu=fast"], 'pipeline-requests "cpu=fast" is invalid'),
        ([*PODS, "--sidecar-requests", "ram=1"], "write cpu=1,memory=256Mi,disk=1Gi"),
    ],
)
def test_what_pods_need_is_asked_for(flags: list[str], why: str) -> None:
    with pytest.raises(InvalidArgument, match=why):
        parse(flags, {})


@pytest.mark.parametrize("kind", ["TRANSFORM", "SERVICE", "SPOUT"])
def test_a_pod_understands_what_its_manifest_says(kind: str) -> None:
    house = House("s" * 32, "data", "trunkline:1", "198.18.2.1:30650", "s3://bucket/one")
    spec = PipelineSpec.from_dict({"pipeline": {"name": "edges"}, "transform": {"image": "edges:1", "cmd": ["x"]}})
    worker: dict[str, Any] = pod_spec(Wanted(Pipeline("default", "edges"), 3, spec, kind), house)["containers"][1]
    environ = {one["name"]: one.get("value", "default-edges-v3-abcde") for one in worker["env"]}
    told = settings_of(environ)
    assert (told.name, told.address, told.blobs) == (
        "default-edges-v3-abcde",
        "grpc://198.18.2.1:30650",
        "s3://bucket/one",
    )
    assert told.only == Only("default", "edges", 3)
    assert told.standing == (None if kind == "TRANSFORM" else Standing("default", "edges", 3, kind, ""))
    assert told.variables == {
        "PACHD_PEER_SERVICE_HOST": "198.18.2.1",
        "PACHD_PEER_SERVICE_PORT": "30650",
        "PACH_NAMESPACE": "data",
        "PPS_NAMESPACE": "data",
        "PPS_POD_NAME": "default-edges-v3-abcde",
    }


def test_what_the_init_container_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "program").write_bytes(b"shim")
    monkeypatch.setattr(start, "program", lambda: tmp_path / "program")
    for _ in range(2):  # a pod may be started again
        assert start.main([str(tmp_path / "shim"), str(tmp_path / "pfs")]) == 0
    assert (tmp_path / "shim").read_bytes() == b"shim"
    assert (tmp_path / "shim").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "pfs").is_dir()


def test_workers_get_the_keys_of_the_store_and_nothing_else() -> None:
    assert store_keys({"AWS_ACCESS_KEY_ID": "a", "HOME": "/h", "GOOGLE_X": "b"}, "s3://b") == {
        "AWS_ACCESS_KEY_ID": "a",
        "GOOGLE_X": "b",
    }


RIGHTS = [
    ("s3://b", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ACCESS_KEY_ID"),
    ("gcs://b", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT_KEY"),
    ("abfss://b", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_STORAGE_ACCOUNT_KEY"),
]


@pytest.mark.parametrize(("blobs", "file", "key"), RIGHTS)
def test_a_right_that_lies_in_a_file_is_no_right_of_workers(blobs: str, file: str, key: str) -> None:
    environ = {file: "/var/run/token", "AWS_REGION": "eu"}
    with pytest.raises(FailedPrecondition, match=rf"by the file of {file}, which pods do not have: give {key}, or"):
        store_keys(environ, blobs)
    assert store_keys(environ, blobs, "workers") == {"AWS_REGION": "eu"}
    assert store_keys({**environ, key: "k"}, blobs) == {"AWS_REGION": "eu", key: "k"}
    assert store_keys(environ, "/data/blobs") == {"AWS_REGION": "eu"}


def test_a_worker_finds_the_bytes_in_the_volume_of_its_server() -> None:
    told = parse([*FLEET, "--worker-image", "w:1", "--storage-claim", "data-pachd-0", "--worker-account", "w"], {}).pods
    assert told is not None
    assert (told.claim, told.account) == ("data-pachd-0", "w")
    house = House("s" * 32, "data", "trunkline:1", "198.18.2.1:30650", "/data/blobs", claim="data-pachd-0")
    spec = PipelineSpec.from_dict({"pipeline": {"name": "edges"}, "transform": {"image": "edges:1", "cmd": ["x"]}})
    pod = pod_spec(Wanted(Pipeline("default", "edges"), 3, spec), house)
    worker = pod["containers"][1]
    environ = {one["name"]: one.get("value", "x") for one in worker["env"]}
    (mount,) = [one for one in worker["volumeMounts"] if one["mountPath"] == settings_of(environ).blobs]
    assert mount == {"name": "stored", "mountPath": "/stored", "subPath": "blobs"}
    assert {"name": "stored", "persistentVolumeClaim": {"claimName": "data-pachd-0"}} in pod["volumes"]
    assert "stored" not in str(pod["containers"][0]) + str(pod["initContainers"])


def test_events_of_the_cluster_are_kept_as_they_are_named() -> None:
    happened = Happened(SimulatedAmbient())
    happened.note("Warning", "BackOff", "", "again", "pod/edges-v1-x")
    assert '"object": "pod/edges-v1-x"' in happened.since(0)[0]
