"""Shims, the engine, workers and `pachd` are killed, and memory and disk run out: all jobs end right."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from dockers import make_image
from own_engines import own_engine

from trunkline.testing.engines.killing_boxed import Boxed
from trunkline.testing.serving import PachdProcess
from trunkline.worker.containers.engine import OURS, Wanted

NAME = f"localhost/trunkline-killed:{os.getpid()}"


def story(program: str, folder: Path, seed: int, jobs: int) -> str:
    """What was done, in words. Raises AssertionError."""
    (folder / "files").mkdir()
    with own_engine(program) as own:
        digest = make_image(own.engine.url, NAME)
        other = own.engine.begin(Wanted(NAME, digest, ["sleep", "7200"], []), "another server", "worker-0-0")
        with PachdProcess(folder / "server", ("--workers", "2", "--containers", own.engine.url)) as server:
            played = Boxed(
                server,
                folder / "files",
                seed,
                sizes=(10, 5000, 200_000),
                engine=own.engine,
                kill_engine=own.kill,
                image=NAME,
            )
            played.play(jobs)
        own.wait()
        with own.engine._api() as api:
            left = {one["Id"] for one in api.containers(all=True, filters={"label": [OURS]})}
        assert left == {other.id}, "what is ours is removed, and nothing else"
        return ", ".join(f"{what}: {count}" for what, count in sorted(played.done.items()))


@pytest.mark.engines
@pytest.mark.containers
@pytest.mark.own_engine
@pytest.mark.timeout(600)
def test_every_job_ends_right_and_nothing_is_left(tmp_path: Path) -> None:
    assert "kill the engine" in story("dockerd", tmp_path, seed=5, jobs=7)
