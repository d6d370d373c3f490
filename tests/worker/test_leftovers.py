"""What somebody who was killed has left: whose is whose."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.worker.containers import leftovers
from trunkline.worker.containers.engine import RUN, WORKER, Container, Engine


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(leftovers, "MEMORY", tmp_path)
    return tmp_path


def test_secrets_of_a_worker_are_forgotten_and_those_of_others_are_not(memory: Path) -> None:
    whose = [("one", "worker-1"), ("one", "worker-10"), ("one", "worker-2"), ("two", "worker-1")]
    folders = [leftovers.secret_folder(*each, "x") for each in whose]
    for each in folders:
        (each / "0").mkdir(parents=True)
        (each / "0" / "password").write_text("hidden")
    (memory / "of somebody else").mkdir()
    leftovers.forget_secrets("one", "worker-1")
    assert [each.exists() for each in folders] == [False, True, True, True]
    leftovers.forget_secrets("one")
    assert [each.exists() for each in folders] == [False, False, False, True]
    assert (memory / "of somebody else").exists()


def test_only_containers_of_this_run_whose_workers_live_are_in_use() -> None:
    engine = Engine("unix:///nowhere")

    def used(**labels: str) -> bool:
        spared = leftovers.in_use("now", {"worker-0-1"})
        return spared(Container(engine, "x", {RUN: labels.get("run", ""), WORKER: labels["worker"]}))

    assert used(run="now", worker="worker-0-2")
    assert not used(run="now", worker="worker-0-1")
    assert not used(run="before", worker="worker-0-2")
    assert not used(worker="worker-0-2")
