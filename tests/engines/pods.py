"""A real cluster with a server whose workers are its pods.

Needs a cluster (KUBECONFIG) that has the images which archives.py makes, an address of this machine that its pods reach
(TRUNKLINE_PODS_HOST), and SeaweedFS (TRUNKLINE_WEED) for what workers and server both read and write: tools/engines.sh
brings all of them.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trunkline.ambient import RealAmbient
from trunkline.fleet.kubernetes.access import find_access
from trunkline.fleet.kubernetes.api import KINDS, PODS, HttpCluster, Kind
from trunkline.testing.seaweed import Seaweed
from trunkline.testing.serving import PachdProcess

sys.path.insert(0, str(Path(__file__).parents[1] / "app"))
from whole import Site

TOOLS = "localhost/tools:1"
FREE: dict[str, Any] = {"resource_requests": {}, "sidecar_resource_requests": {}}
"""In a spec: its pods ask for nothing, so that a node takes as many as it likes."""
OTHERS = (
    *(Kind(name, "api/v1", name.lower()) for name in ("ConfigMaps", "Endpoints", "ServiceAccounts")),
    *(Kind(name, "api/v1", name.lower()) for name in ("PersistentVolumeClaims", "ReplicationControllers")),
    *(Kind(name, "apis/apps/v1", name.lower()) for name in ("Deployments", "StatefulSets", "DaemonSets")),
    Kind("Jobs", "apis/batch/v1", "jobs"),
    *(Kind(name, "apis/rbac.authorization.k8s.io/v1", name.lower()) for name in ("Roles", "RoleBindings")),
)
"""Kinds of objects that we make none of."""


def need(name: str) -> str:
    """A variable's value; without it, what asks is skipped."""
    value = os.environ.get(name, "")
    if not value:
        pytest.skip(f"pods cannot be run: {name} is not set")
    return value


def real_cluster() -> HttpCluster:
    """The cluster of KUBECONFIG."""
    return HttpCluster(find_access({}, need("KUBECONFIG")))


@contextlib.contextmanager
def pod_site(folder: Path, *flags: str) -> Iterator[Site]:
    """A server of its own with pods for workers. With its pipelines all that was not there before must go."""
    host, weed, cluster = need("TRUNKLINE_PODS_HOST"), need("TRUNKLINE_WEED"), real_cluster()
    before = everything(cluster)
    with Seaweed(weed, folder / "weed", host) as store, pytest.MonkeyPatch.context() as patch:
        for name, value in store.environment.items():
            patch.setenv(name, value)
        own = ("--insecure", "--fleet", "kubernetes", "--worker-image", "localhost/trunkline:test", *flags)
        own += ("--kubeconfig", need("KUBECONFIG"), "--storage", "s3://pods/one", "--listen", f"{host}:0")
        with PachdProcess(folder, own) as server:
            site = Site(server)
            yield site
            site.pachctl("delete", "pipeline", "--all", "--force")
            until(lambda: everything(cluster) == before)


@pytest.fixture(scope="module")
def cluster() -> HttpCluster:
    """That cluster, for a module's tests, which name this fixture in their module."""
    return real_cluster()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server of its own for a module's tests, likewise."""
    with pod_site(tmp_path_factory.mktemp("pods")) as made:
        yield made


def everything(cluster: HttpCluster) -> set[tuple[str, str, str]]:
    """All objects of the namespace but events, which the cluster itself forgets: kind, name and identity."""
    found = ((kind, one["metadata"]) for kind in (*KINDS, *OTHERS) for one in cluster.list(kind).items)
    return {(kind.name, one["name"], one["uid"]) for kind, one in found}


def pods_of(cluster: HttpCluster, pipeline: str) -> list[Any]:
    """A pipeline's pods, but those that are leaving."""
    found = cluster.list(PODS, f"pipelineName={pipeline}").items
    return [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]


def until(true: Callable[[], object], within_s: float = 90.0) -> None:
    """Wait for something."""
    ambient = RealAmbient()
    end_s = ambient.ticks_s() + within_s
    while not true():
        assert ambient.ticks_s() < end_s, true
        ambient.sleep(0.2)
