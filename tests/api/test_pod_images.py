"""What image a pod runs in: its reports wait until the cluster tells, but not for long, and for each only once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from trunkline.api.rpc.bridge import Bridge
from trunkline.api.workers.pod_images import KEPT, LOOK_S, LOOKS, PodImages
from trunkline.catalog.engine import Catalog
from trunkline.catalog.work import containers
from trunkline.testing.catalogs import open_catalog


@dataclass
class Cluster:
    """One that tells images after a number of looks; pauses are counted, not waited."""

    catalog: Catalog
    bridge: Bridge
    tells_after: int = -1
    told: dict[str, str] = field(default_factory=dict)
    pauses: int = 0

    def __post_init__(self) -> None:
        self.images = PodImages(self.catalog, self.bridge, self.pause)

    async def pause(self, seconds: float) -> None:
        assert seconds == LOOK_S
        self.pauses += 1
        if self.pauses == self.tells_after:
            self.tell()

    def tell(self) -> None:
        self.catalog.transact(lambda tx: containers.set_pod_images(tx, self.told))

    def image(self, worker: str) -> tuple[str, int]:
        """What a report of the worker is kept with, and after how many pauses."""
        before = self.pauses
        return asyncio.run(self.images.of(worker)), self.pauses - before


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    bridge = Bridge(ThreadPoolExecutor(1), ThreadPoolExecutor(1))
    with open_catalog(tmp_path) as catalog:
        yield Cluster(catalog, bridge, told={"p-v1-a": "1" * 64})
    bridge.close()


def test_a_first_report_waits_until_the_cluster_tells_the_image(cluster: Cluster) -> None:
    cluster.tells_after = 3
    assert cluster.image("p-v1-a") == ("1" * 64, 3)
    assert cluster.image("p-v1-a") == ("1" * 64, 0)


def test_a_worker_is_waited_for_in_vain_only_once(cluster: Cluster) -> None:
    assert cluster.image("p-v1-a") == ("", LOOKS)
    assert cluster.image("p-v1-a") == ("", 0)
    assert cluster.image("p-v1-b") == ("", LOOKS)
    cluster.tell()  # late, and known from then on
    assert cluster.image("p-v1-a") == ("1" * 64, 0)
    assert cluster.image("p-v1-b") == ("", 0)


def test_only_so_many_workers_without_an_image_are_remembered(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.api.workers.pod_images.KEPT", 2)
    assert KEPT > 1000
    assert [cluster.image(f"p-v1-{name}")[1] for name in "abcba"] == [LOOKS, LOOKS, LOOKS, 0, LOOKS]


def test_reports_that_wait_for_an_image_keep_no_call_waiting(cluster: Cluster) -> None:
    async def waiting() -> int:
        enough = asyncio.Event()
        images = PodImages(cluster.catalog, cluster.bridge, lambda _seconds: enough.wait())
        reports = [asyncio.ensure_future(images.of(f"p-v1-{number}")) for number in range(8)]
        answer = await cluster.bridge.unary(lambda: 42)
        assert not any(report.done() for report in reports)
        enough.set()
        assert await asyncio.gather(*reports) == [""] * 8
        return answer

    assert asyncio.run(waiting()) == 42
