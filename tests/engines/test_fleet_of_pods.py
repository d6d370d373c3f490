"""The fleet's contract on a real cluster."""

from __future__ import annotations

import pods
import pytest

from trunkline.fleet.kubernetes.api import HttpCluster
from trunkline.testing.contracts.fleets import FleetContract

cluster = pods.cluster
pytestmark = [pytest.mark.engines, pytest.mark.kubernetes, pytest.mark.timeout(300)]


@pytest.fixture
def namespace(cluster: HttpCluster) -> str:
    return cluster.namespace


class TestOnACluster(FleetContract):
    """The contract."""
