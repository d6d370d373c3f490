"""The fleet's contract on a real cluster."""

from __future__ import annotations

import os

import pytest

from trunkline.fleet.kubernetes.access import find_access
from trunkline.fleet.kubernetes.api import HttpCluster
from trunkline.testing.contracts.fleets import FleetContract

pytestmark = [pytest.mark.engines, pytest.mark.kubernetes, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def cluster() -> HttpCluster:
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("no Kubernetes cluster: KUBECONFIG is not set")
    return HttpCluster(find_access({}, os.environ["KUBECONFIG"]))


@pytest.fixture
def namespace(cluster: HttpCluster) -> str:
    return cluster.namespace


class TestOnACluster(FleetContract):
    """The contract."""
