"""SIGKILL of pachd and its workers at five instants; nothing is lost, nothing counted twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.testing.killing import Killing
from trunkline.testing.serving import PachdProcess

pytestmark = pytest.mark.engines


def test_nothing_is_lost_and_nothing_counted_twice(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    with PachdProcess(tmp_path / "server", ("--workers", "2")) as server:
        Killing(server, tmp_path / "files", seed=11).play(kills=5)
