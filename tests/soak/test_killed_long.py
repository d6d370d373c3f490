"""The same story as in tests/engines, longer, at instants drawn from the round's seed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trunkline.testing.killing import Killing
from trunkline.testing.serving import PachdProcess

pytestmark = pytest.mark.soak


def test_nothing_is_lost_and_nothing_counted_twice(tmp_path: Path) -> None:
    seed = int(os.environ.get("TRUNKLINE_SOAK_SEED") or 1)
    (tmp_path / "files").mkdir()
    with PachdProcess(tmp_path / "server", ("--workers", "2")) as server:
        Killing(server, tmp_path / "files", seed).play(kills=30)
