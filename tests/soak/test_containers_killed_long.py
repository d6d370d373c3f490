"""The same story as in tests/engines, of fifty jobs, with Docker and with Podman."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "engines"))
from test_containers_killed import story

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("program", ["dockerd", "podman"])
def test_every_job_ends_right_and_nothing_is_left(
    program: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    seed = int(os.environ.get("TRUNKLINE_SOAK_SEED") or 1)
    record_property("figures", f"50 jobs with each engine; {program}: {story(program, tmp_path, seed, 50)}")
