"""A pipeline system for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pps_world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A fresh one, with the repo `data`."""
    made = World(tmp_path)
    made.repo()
    yield made
    made.close()
