"""What a server does about containers whose workers have died."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from trunkline.ambient import SimulatedAmbient
from trunkline.app.containers.side import ContainerSide
from trunkline.worker.containers import leftovers
from trunkline.worker.containers.engine import RUN, WORKER


def test_no_folder_stays_that_docker_made_anew_for_a_container_it_was_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It makes what it is to bind and does not find, so between our forgetting and our removing there is one again."""
    monkeypatch.setattr(leftovers, "MEMORY", tmp_path)
    side = ContainerSide("", "server", SimulatedAmbient(1))
    secrets = leftovers.secret_folder("server", "worker-0-1", "x")
    (secrets / "0").mkdir(parents=True)
    labels = {RUN: side.run, WORKER: "worker-0-1"}
    dying = SimpleNamespace(labels=labels, remove=lambda: (secrets / "0").mkdir(parents=True))
    engine: Any = SimpleNamespace(leftovers=lambda *whose: [dying])
    assert side._sweep_once(engine, {"worker-0-1"})
    assert list(tmp_path.iterdir()) == []
