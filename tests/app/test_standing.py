"""The thread that keeps services and spouts: it is told what happens, and asks nothing while nothing does."""

from __future__ import annotations

from pathlib import Path
from queue import Queue
from types import SimpleNamespace
from typing import Any

import pytest

from trunkline.app import standing
from trunkline.catalog.engine import Tx
from trunkline.pps.pipelines import PIPELINE_TOPIC
from trunkline.testing.catalogs import open_catalog


def test_it_looks_when_a_pipeline_changes_and_ends_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: Queue[Tx] = Queue()

    def wishes(tx: Tx) -> list[Any]:
        looks.put(tx)
        return []

    monkeypatch.setattr(standing, "wishes", wishes)
    monkeypatch.setattr(standing, "RETRY_S", 3600)  # nothing below waits for a time to pass
    site: Any = SimpleNamespace(config=SimpleNamespace(data=tmp_path))
    with open_catalog(tmp_path / "catalog") as catalog:
        keeper = standing.StandingWorkers(site, catalog)
        keeper.start()
        looks.get(timeout=60)
        for _ in range(5):
            catalog.transact(lambda tx: tx.emit("word", {}))
        assert looks.empty()
        catalog.transact(lambda tx: tx.emit(PIPELINE_TOPIC, {}))
        looks.get(timeout=60)
        keeper.stop()  # would wait for ever for news that nobody brings
        assert looks.empty()
