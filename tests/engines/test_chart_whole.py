"""`pachd` in a real cluster, installed by the chart: several on one PostgreSQL, with an S3 server for the bytes.

Needs what tests of pods need, and TRUNKLINE_NODE, the first process of the cluster's node, in whose network a registry
is served under the address that the container engine pushes to. TRUNKLINE_HELM_PYTHON: an interpreter that has Helm.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import test_opencv_containers as opencv
import yaml
from dockers import engine_url
from registries import registry, served

from trunkline.ambient import RealAmbient
from trunkline.errors import NotFound
from trunkline.fleet.kubernetes.access import find_access
from trunkline.fleet.kubernetes.api import HttpCluster
from trunkline.testing.engines.postgres import PASSWORD, Postgres
from trunkline.testing.seaweed import ACCESS_KEY, SECRET_KEY, Seaweed
from trunkline.testing.serving import PachdProcess
from trunkline.testing.tls.certificates import Made, make

sys.path.insert(0, str(Path(__file__).parents[1] / "app"))
from whole import Site

pytestmark = [pytest.mark.engines, pytest.mark.containers, pytest.mark.kubernetes, pytest.mark.timeout(900)]
CHART = Path(__file__).parents[2] / "deploy" / "helm" / "trunkline"
PORT = 5008
PACHD: dict[str, Any] = {
    "image": {"repository": "localhost/trunkline", "tag": "test", "pullPolicy": "Never"},
    "resources": {"requests": {"cpu": "50m"}},
    "workerAddress": "$(PACHD_SERVICE_HOST):30650",
    "defaultPipelineCPURequest": "0",
    "defaultSidecarCPURequest": "0",
}
PLACES = {
    "": ("namespaces", "pods", "services", "secrets", "configmaps", "serviceaccounts", "persistentvolumeclaims"),
    "apps/v1": ("deployments", "statefulsets", "replicasets"),
    "rbac.authorization.k8s.io/v1": ("roles", "rolebindings", "clusterroles", "clusterrolebindings"),
}
base = opencv.base
example = opencv.example


def need(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        pytest.skip(f"the chart cannot be installed: {name} is not set")
    return value


class Whole(HttpCluster):
    """Every kind of object, in every namespace."""

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return self._ask(method, path, body)

    def apply(self, one: dict[str, Any]) -> None:
        """Make an object."""
        group = one["apiVersion"]
        root = f"apis/{group}" if "/" in group else f"api/{group}"
        plural = f"{one['kind'].lower()}s"
        self.ask("POST", f"{root}/namespaces/{one['metadata']['namespace']}/{plural}", one)

    def everything(self) -> set[str]:
        """What there is, by kind, namespace and name."""
        found = set()
        for group, kinds in PLACES.items():
            root = f"apis/{group}" if group else "api/v1"
            for kind in kinds:
                for one in self.ask("GET", f"{root}/{kind}")["items"]:
                    found.add(f"{kind} {one['metadata'].get('namespace', '')}/{one['metadata']['name']}")
        return found


class Inside(PachdProcess):
    """A `pachd` that runs in the cluster."""

    def reach(self, address: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.address = address
        self._write_client_settings()


@pytest.fixture(scope="module")
def cluster() -> Whole:
    return Whole(find_access({}, need("KUBECONFIG")))


@pytest.fixture(scope="module")
def values(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the chart is told."""
    host, weed = need("TRUNKLINE_PODS_HOST"), need("TRUNKLINE_WEED")
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'psycopg[binary]'")
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="trunkline-postgres-"))
        rows = stack.enter_context(Postgres(Path(folder), host=host))
        store = stack.enter_context(Seaweed(weed, tmp_path_factory.mktemp("weed"), host))
        minio = {"endpoint": store.endpoint.removeprefix("http://"), "id": ACCESS_KEY, "secret": SECRET_KEY}
        yield {
            "deployTarget": "MINIO",
            "global": {
                "postgresql": {
                    "postgresqlHost": host,
                    "postgresqlPort": rows.port,
                    "postgresqlUsername": "tester",
                    "postgresqlDatabase": "postgres",
                    "postgresqlPassword": PASSWORD,
                }
            },
            "pachd": {
                **PACHD,
                "replicas": 2,
                "secretsKey": "0f" * 32,
                "storage": {"minio": {**minio, "bucket": "chart/here"}},
            },
        }


@contextmanager
def namespace(cluster: Whole, name: str) -> Iterator[str]:
    """A namespace for a while; at its end nothing of it is left."""
    before = cluster.everything()
    cluster.ask("POST", "api/v1/namespaces", {"metadata": {"name": name}})
    try:
        eventually(lambda: bool(cluster.ask("GET", f"api/v1/namespaces/{name}/serviceaccounts")["items"]))
        yield name
    finally:
        left = {each for each in cluster.everything() - before if f" {name}/" in each}
        cluster.ask("DELETE", f"api/v1/namespaces/{name}")
        eventually(lambda: cluster.everything() == before)
    assert not [each for each in left if "/default" not in each and "/kube-root-ca.crt" not in each]


def eventually(true: Callable[[], bool], within_s: float = 180.0, why: Callable[[], str] = lambda: "") -> None:
    ambient = RealAmbient()
    end_s = ambient.ticks_s() + within_s
    while not true():
        assert ambient.ticks_s() < end_s, why()
        ambient.sleep(0.3)


def ready(cluster: Whole, name: str, count: int, kind: str = "deployments") -> str:
    """The address of the Service, once so many pachd are behind it."""
    path = f"apis/apps/v1/namespaces/{name}/{kind}/pachd"

    def words() -> str:
        pods = cluster.ask("GET", f"api/v1/namespaces/{name}/pods")["items"]
        return json.dumps([one.get("status") for one in pods], indent=1)

    def there() -> bool:
        return bool(cluster.ask("GET", path).get("status", {}).get("readyReplicas", 0) == count)

    eventually(there, why=words)
    service = cluster.ask("GET", f"api/v1/namespaces/{name}/services/pachyderm-proxy")
    return f"{service['spec']['clusterIP']}:80"


@contextmanager
def volume(cluster: Whole, folder: Path, name: str) -> Iterator[None]:
    """A folder of the node, for the claim that asks for this storage class."""
    folder.mkdir()
    folder.chmod(0o777)
    (node,) = cluster.ask("GET", "api/v1/nodes")["items"]
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node["metadata"]["name"]]}
    spec = {
        "capacity": {"storage": "10Gi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": name,
        "local": {"path": str(folder)},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
    }
    cluster.ask("POST", "api/v1/persistentvolumes", {"metadata": {"name": name}, "spec": spec})
    try:
        yield
    finally:
        cluster.ask("DELETE", f"api/v1/persistentvolumes/{name}")


def remove(cluster: Whole, name: str, objects: list[dict[str, Any]]) -> None:
    """As `kubectl delete -f` does."""
    for one in reversed(objects):
        group = one["apiVersion"]
        root = f"apis/{group}" if "/" in group else f"api/{group}"
        place = f"{root}/namespaces/{name}/{one['kind'].lower()}s/{one['metadata']['name']}"
        cluster.ask("DELETE", place, {"propagationPolicy": "Background"})
    eventually(lambda: not cluster.ask("GET", f"api/v1/namespaces/{name}/pods")["items"])


def rendered(folder: Path, values: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """What `pachctl render` prints."""
    (folder / "values.yaml").write_text(yaml.safe_dump(values))
    pachctl = Path(sys.executable).parent / "pachctl"
    words = [str(pachctl), "render", "-f", str(folder / "values.yaml"), "-n", name, "--kube-version", "1.20"]
    return list(yaml.safe_load_all(subprocess.run(words, check=True, capture_output=True, text=True).stdout))


def test_the_example_in_a_cluster_gives_the_hashes_of_processes(
    cluster: Whole, values: dict[str, Any], base: str, example: Path, tmp_path: Path
) -> None:
    node, storage = need("TRUNKLINE_NODE"), tmp_path / "registry"
    storage.mkdir(mode=0o777)
    with namespace(cluster, f"chart-{os.getpid()}") as name:
        objects = rendered(tmp_path, values, name)
        for one in objects:
            cluster.apply(one)
        server = Inside(tmp_path / "inside")
        server.reach(ready(cluster, name, 2))
        opencv.pictures(server)
        with registry(engine_url(), "chart", PORT, folder=storage) as address, served(node, storage, PORT):
            for pipeline in ("edges", "montage"):
                opencv.push(server, example / f"{pipeline}.json", base, address)
            found = opencv.hashes(server)
        server.pachctl("delete", "pipeline", "--all", "--force")
        eventually(lambda: not [each for each in cluster.everything() if f" {name}/default-" in each and "-v" in each])
        remove(cluster, name, objects)
    assert found == opencv.as_processes(tmp_path / "plain", example)


def test_without_an_object_store_pods_share_the_volume_of_pachd(cluster: Whole, tmp_path: Path) -> None:
    """Nor is there a database, and what was written outlives the pod."""
    name = f"local-{os.getpid()}"
    with volume(cluster, tmp_path / "disk", name), namespace(cluster, name):
        told = {"deployTarget": "LOCAL", "pachd": {**PACHD, "persistence": {"storageClass": name}}}
        objects = rendered(tmp_path, told, name)
        for one in objects:
            cluster.apply(one)
        server = Inside(tmp_path / "inside")
        server.reach(ready(cluster, name, 1, "statefulsets"))
        site = Site(server)
        site.pachctl("create", "repo", "own-in")
        site.put("own-in", a="a" * 100_000)
        site.create("own", {"image": "localhost/tools:1", "cmd": ["sh", "-c", "cp /pfs/in/* /pfs/out/"]})
        assert site.counts("own") == ("success", 1, 0)
        pod = f"api/v1/namespaces/{name}/pods/pachd-0"
        former = cluster.ask("GET", pod)["metadata"]["uid"]
        cluster.ask("DELETE", pod)
        eventually(lambda: former not in str(cluster.ask("GET", f"api/v1/namespaces/{name}/pods")["items"]))
        ready(cluster, name, 1, "statefulsets")
        site.put("own-in", b="b")
        assert site.counts("own") == ("success", 1, 1)
        assert site.tree("own") == {"/a": "a" * 100_000, "/b": "b"}
        assert "No errors" in site.pachctl("fsck")
        site.pachctl("delete", "pipeline", "--all", "--force")
        eventually(lambda: not [each for each in cluster.everything() if f" {name}/default-" in each and "-v" in each])
        remove(cluster, name, objects)
        cluster.ask("DELETE", f"api/v1/namespaces/{name}/persistentvolumeclaims/data-pachd-0")
        eventually(lambda: not any("persistentvolumeclaims" in each and name in each for each in cluster.everything()))


def test_with_tls_and_an_authority_of_ones_own(cluster: Whole, tmp_path: Path) -> None:
    """Clients reach pachd by TLS alone; pachd and its workers reach an S3 server that this authority has signed."""
    host, weed, name = need("TRUNKLINE_PODS_HOST"), need("TRUNKLINE_WEED"), f"tls-{os.getpid()}"
    authority = make()
    (tmp_path / "authority.crt").write_bytes(authority.certificate)
    pair = make(host, issuer=authority, signs=False).write(tmp_path, "store")
    with (
        Seaweed(weed, tmp_path / "weed", host, pair) as store,
        volume(cluster, tmp_path / "disk", name),
        namespace(cluster, name),
    ):
        minio = {"endpoint": store.secure_endpoint.removeprefix("https://"), "id": ACCESS_KEY, "secret": SECRET_KEY}
        pachd = {
            **PACHD,
            "workerAddress": "$(PACHD_PEER_SERVICE_HOST):30653",
            "persistence": {"storageClass": name},
            "tls": {"enabled": True, "secretName": "own"},
            "storage": {"minio": {**minio, "bucket": "tls/here", "secure": "true"}},
        }
        objects = rendered(tmp_path, {"deployTarget": "MINIO", "global": {"customCaCerts": True}, "pachd": pachd}, name)
        objects.sort(key=lambda each: str(each["kind"]) != "Service")
        for number, one in enumerate(objects):
            if one["kind"] != "Service" and objects[number - 1]["kind"] == "Service":
                cluster.apply(certified(cluster, name, authority))  # for an address that is known only now
            cluster.apply(one)
        address = ready(cluster, name, 1, "statefulsets").partition(":")[0]
        server = Inside(tmp_path / "inside")
        server.reach("127.0.0.1:1")
        site = Site(server)
        site.pachctl("connect", f"grpcs://{address}:443", "--server-cas", str(tmp_path / "authority.crt"))
        site.pachctl("create", "repo", "own-in")
        site.put("own-in", a="a" * 100_000)
        site.create("own", {"image": "localhost/tools:1", "cmd": ["sh", "-c", "cp /pfs/in/* /pfs/out/"]})
        assert site.counts("own") == ("success", 1, 0)
        assert site.tree("own") == {"/a": "a" * 100_000}
        site.pachctl("delete", "pipeline", "--all", "--force")
        eventually(lambda: not [each for each in cluster.everything() if f" {name}/default-" in each and "-v" in each])
        remove(cluster, name, objects)
        cluster.ask("DELETE", f"api/v1/namespaces/{name}/secrets/own")
        cluster.ask("DELETE", f"api/v1/namespaces/{name}/persistentvolumeclaims/data-pachd-0")
        eventually(lambda: not any("persistentvolumeclaims" in each and name in each for each in cluster.everything()))


def certified(cluster: Whole, name: str, authority: Made) -> dict[str, Any]:
    """A Secret with a certificate for the address of the Service that clients come to."""
    service = cluster.ask("GET", f"api/v1/namespaces/{name}/services/pachyderm-proxy")
    own = make(service["spec"]["clusterIP"], issuer=authority, signs=False)
    held = {"tls.crt": own.certificate, "tls.key": own.key, "ca.crt": authority.certificate}
    data = {each: base64.b64encode(content).decode() for each, content in held.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own", "namespace": name}, "data": data}


def test_it_is_installed_and_removed_by_helm(cluster: Whole, values: dict[str, Any], tmp_path: Path) -> None:
    python = need("TRUNKLINE_HELM_PYTHON")

    def helm(code: str) -> str:
        begin = f"import helm_python as helm, json, sys\nconfig = helm.Config(namespace={name!r})\n"
        words = [python, "-c", begin + code]
        told = {**values, "pachd": {**values["pachd"], "replicas": 1}}
        environ = {**os.environ, "KUBECONFIG": need("KUBECONFIG"), "HOME": str(tmp_path)}
        done = subprocess.run(words, input=json.dumps(told), capture_output=True, text=True, check=False, env=environ)
        assert done.returncode == 0, done.stderr
        return done.stdout

    with namespace(cluster, f"helm-{os.getpid()}") as name:
        helm(f"config.install({str(CHART)!r}, 'trunkline', json.load(sys.stdin))")
        server = Inside(tmp_path / "inside")
        server.reach(ready(cluster, name, 1))
        assert "pachd" in server.pachctl("version")
        server.pachctl("list", "repo")
        helm("config.uninstall('trunkline')")
        eventually(lambda: not cluster.ask("GET", f"api/v1/namespaces/{name}/pods")["items"])
        with pytest.raises(NotFound):
            cluster.ask("GET", f"api/v1/namespaces/{name}/services/pachd")
