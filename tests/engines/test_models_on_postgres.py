"""The models of a repository and of the whole file system, which play against dictionaries, on PostgreSQL."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from trunkline.testing.engines.postgres import DATABASE, Postgres

sys.path.insert(0, str(Path(__file__).parents[1] / "pfs"))
sys.path.insert(0, str(Path(__file__).parents[1] / "api"))
from test_pfs_model import play_all
from test_repository_model import RepoMachine

pytestmark = pytest.mark.engines
STEPS = 50
STORIES = 6
HISTORIES, CALLS = 2, 60


def test_a_repository_on_postgres_is_as_the_model_says(pg: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATABASE, pg.whole_url)
    long = settings(
        max_examples=STORIES, stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(RepoMachine, settings=long)


@pytest.mark.timeout(400)
def test_every_call_does_on_postgres_what_the_model_does(pg: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATABASE, pg.whole_url)
    play_all(101, HISTORIES, CALLS)
